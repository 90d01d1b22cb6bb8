-- Changes a policy; `p_patch` holds the fields to set, and a reason is audited with it. Decides: of two changes of one version, one does
-- (p_expected null: any). Answers the policy that it made. `from` is the version that it was changed from: the policy's own where nothing
-- is other than before.
CREATE OR REPLACE FUNCTION put_policy(
  p_tenant text, p_expected int, p_patch jsonb, p_reason text, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_old policies%ROWTYPE;
  v_new policies%ROWTYPE;
BEGIN
  IF is_actor_gone(p_tenant, NULL, p_by) THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  INSERT INTO policies (tenant) VALUES (p_tenant) ON CONFLICT DO NOTHING;
  SELECT * INTO v_old FROM policies WHERE tenant = p_tenant FOR UPDATE;
  IF v_old.version <> p_expected THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  v_new := v_old;
  v_new.enforcement := coalesce(p_patch->>'enforcement', v_old.enforcement);
  v_new.sso_rule := coalesce(p_patch->>'ssoRule', v_old.sso_rule);
  v_new.grace_period_days := coalesce((p_patch->>'gracePeriodDays')::int, v_old.grace_period_days);
  IF p_patch ? 'groups' THEN
    v_new.groups := ARRAY(SELECT jsonb_array_elements_text(
      CASE WHEN jsonb_typeof(p_patch->'groups') = 'array' THEN p_patch->'groups' ELSE '[]' END));
  END IF;
  IF p_patch ? 'enforceFrom' THEN
    v_new.enforce_from := (p_patch->>'enforceFrom')::timestamptz;
  END IF;
  v_new.phishing_resistant := coalesce(p_patch->>'phishingResistant', v_old.phishing_resistant);
  IF p_patch ? 'phishingResistantFrom' THEN
    v_new.phishing_resistant_from := (p_patch->>'phishingResistantFrom')::timestamptz;
  END IF;
  v_new.trusted_device_days := coalesce((p_patch->>'trustedDeviceDays')::int, v_old.trusted_device_days);
  IF v_new IS DISTINCT FROM v_old THEN
    v_new.version := v_old.version + 1;
    v_new.updated_at := clock_timestamp();
    v_new.updated_by := p_by->>'actor';
    UPDATE policies SET enforcement = v_new.enforcement, groups = v_new.groups, grace_period_days = v_new.grace_period_days,
      enforce_from = v_new.enforce_from, sso_rule = v_new.sso_rule, phishing_resistant = v_new.phishing_resistant,
      phishing_resistant_from = v_new.phishing_resistant_from,
      trusted_device_days = v_new.trusted_device_days,
      version = v_new.version, updated_at = v_new.updated_at, updated_by = v_new.updated_by
    WHERE tenant = p_tenant;
    PERFORM audit(p_tenant, NULL, 'policy.changed', 'success', NULL, p_by,
      jsonb_strip_nulls(jsonb_build_object('reason', p_reason)) || jsonb_build_object(
      'before', policy_json(v_old) - '{version,updatedAt,updatedBy}'::text[],
      'after', policy_json(v_new) - '{version,updatedAt,updatedBy}'::text[]));
  END IF;
  RETURN jsonb_build_object('outcome', 'changed', 'from', v_old.version, 'policy', policy_json(v_new));
END $$;
