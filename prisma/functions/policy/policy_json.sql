-- A policy as the service reads it; no group at all stands for all users.
CREATE OR REPLACE FUNCTION policy_json(p_row policies) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN jsonb_build_object('enforcement', p_row.enforcement,
    'groups', CASE WHEN cardinality(p_row.groups) > 0 THEN to_jsonb(p_row.groups) END,
    'gracePeriodDays', p_row.grace_period_days, 'enforceFrom', p_row.enforce_from, 'ssoRule', p_row.sso_rule,
    'phishingResistant', p_row.phishing_resistant, 'phishingResistantFrom', p_row.phishing_resistant_from,
    'trustedDeviceDays', p_row.trusted_device_days,
    'version', p_row.version, 'updatedAt', p_row.updated_at, 'updatedBy', p_row.updated_by);
END $$;
