-- Some users of a tenant, by the subjects of one namespace or, without one, by their ids; null where there are none. With the time of the
-- reading, by which deadlines and exemptions end. Rows are told as they are, and what follows from them is for the caller; each says whose
-- it is. Enrollments, recovery codes and devices are read where they are asked for. Of an enrollment and a session only what still counts.
-- It is one of the two calls of a login. One small statement for each table, naming the tenant: on Citus it is planned once, for one shard;
-- the inner parts of one with all of it would be asked of every shard there is. The statements take lists and are planned once: each list
-- would else look cheaper than a list in general.
CREATE OR REPLACE FUNCTION find_users(p_tenant text, p_namespace text, p_names text[], p_sessions text[], p_is_whole boolean)
RETURNS json LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_ids uuid[] := '{}';
  v_users json;
  v_factors json;
  v_pending json;
  v_sets json;
  v_codes json;
  v_devices json;
  v_throttles json;
  v_policy json;
  v_row record;
  v_sessions json;
BEGIN
  IF p_namespace IS NULL THEN
    v_ids := p_names::uuid[];
    SELECT json_agg(json_build_object('id', id, 'namespace', namespace, 'subject', subject, 'account', account, 'epoch', epoch,
      'revision', revision, 'sources', sources, 'isDisabled', disabled_at IS NOT NULL, 'isAdministrator', administrator_at IS NOT NULL,
      'isCodeRequired', code_required_at IS NOT NULL, 'tokensSince', tokens_since, 'createdAt', created_at, 'policyMetAt', policy_met_at,
      'graceUntil', grace_until, 'reportedVersion', reported_version, 'exemptSince', exempt_since, 'exemptUntil', exempt_until,
      'exemptReason', exempt_reason, 'exemptBy', exempt_by))
    INTO v_users FROM users WHERE tenant = p_tenant AND id = ANY (v_ids);
  ELSE
    SELECT array_agg(id), json_agg(json_build_object('id', id, 'namespace', namespace, 'subject', subject, 'account', account,
      'epoch', epoch,
      'revision', revision, 'sources', sources, 'isDisabled', disabled_at IS NOT NULL, 'isAdministrator', administrator_at IS NOT NULL,
      'isCodeRequired', code_required_at IS NOT NULL, 'tokensSince', tokens_since, 'createdAt', created_at, 'policyMetAt', policy_met_at,
      'graceUntil', grace_until, 'reportedVersion', reported_version, 'exemptSince', exempt_since, 'exemptUntil', exempt_until,
      'exemptReason', exempt_reason, 'exemptBy', exempt_by))
    INTO v_ids, v_users FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = ANY (p_names);
  END IF;
  IF v_users IS NULL THEN RETURN NULL; END IF;
  SELECT json_agg(json_build_object('userId', user_id, 'id', id, 'kind', kind, 'label', label, 'sealed', encode(sealed, 'hex'),
    'keyId', key_id, 'algorithm', algorithm, 'digits', digits, 'period', period, 'counter', counter, 'createdAt', created_at,
    'confirmedAt', confirmed_at, 'lastUsedAt', last_used_at, 'afterRecoveryAt', after_recovery_at,
    'credential', CASE WHEN credential_id IS NOT NULL THEN json_build_object('id', encode(credential_id, 'hex'), 'rpId', rp_id,
      'isEligible', backup_eligible, 'aaguid', aaguid, 'transports', transports) END) ORDER BY confirmed_at, id)
  INTO v_factors FROM factors WHERE tenant = p_tenant AND user_id = ANY (v_ids);
  SELECT json_agg(json_build_object('userId', user_id, 'kind', kind, 'failures', failures, 'waitUntil', wait_until, 'lockedAt', locked_at))
  INTO v_throttles FROM throttles WHERE tenant = p_tenant AND user_id = ANY (v_ids);
  SELECT enforcement, CASE WHEN cardinality(groups) > 0 THEN groups END AS groups, grace_period_days AS "gracePeriodDays",
    enforce_from AS "enforceFrom", sso_rule AS "ssoRule", phishing_resistant AS "phishingResistant",
    phishing_resistant_from AS "phishingResistantFrom",
    trusted_device_days AS "trustedDeviceDays", version, updated_at AS "updatedAt", updated_by AS "updatedBy"
  INTO v_row FROM policies WHERE tenant = p_tenant;
  IF FOUND THEN v_policy := to_json(v_row); END IF;
  IF cardinality(p_sessions) > 0 THEN
    SELECT json_agg(json_build_object('userId', user_id, 'issuer', issuer, 'session', session, 'generation', generation,
      'acr', CASE WHEN ends_at > v_now THEN acr END, 'methods', methods, 'factorId', factor_id, 'epoch', epoch, 'mac', encode(mac, 'hex'),
      'authTime', floor(extract(epoch FROM auth_time)), 'endsAt', floor(extract(epoch FROM ends_at))))
    INTO v_sessions FROM mfa_sessions WHERE tenant = p_tenant AND user_id = ANY (v_ids) AND session = ANY (p_sessions);
  END IF;
  IF p_is_whole THEN
    SELECT json_agg(json_build_object('userId', user_id, 'factorId', factor_id, 'kind', kind, 'label', label, 'session', session,
      'sealed', encode(sealed, 'hex'), 'keyId', key_id, 'algorithm', algorithm, 'digits', digits, 'period', period,
      'createdAt', created_at) ORDER BY created_at, factor_id)
    INTO v_pending FROM enrollments WHERE tenant = p_tenant AND user_id = ANY (v_ids) AND expires_at > v_now;
    SELECT json_agg(json_build_object('userId', user_id, 'id', id, 'generatedAt', generated_at, 'acknowledgedAt', acknowledged_at))
    INTO v_sets FROM recovery_sets WHERE tenant = p_tenant AND user_id = ANY (v_ids);
    SELECT json_agg(json_build_object('userId', user_id, 'isUsed', used_at IS NOT NULL))
    INTO v_codes FROM recovery_codes WHERE tenant = p_tenant AND user_id = ANY (v_ids);
    SELECT json_agg(json_build_object('userId', user_id, 'id', id, 'mac', encode(mac, 'hex'), 'name', name, 'factorId', factor_id,
      'earnedAt', floor(extract(epoch FROM earned_at)), 'epoch', epoch, 'createdAt', created_at, 'lastUsedAt', last_used_at)
      ORDER BY created_at DESC)
    INTO v_devices FROM devices WHERE tenant = p_tenant AND user_id = ANY (v_ids);
  END IF;
  RETURN json_build_object('readAt', v_now, 'users', v_users, 'factors', v_factors, 'throttles', v_throttles, 'policy', v_policy,
    'sessions', v_sessions, 'pending', v_pending, 'sets', v_sets, 'codes', v_codes, 'devices', v_devices);
END $$;
