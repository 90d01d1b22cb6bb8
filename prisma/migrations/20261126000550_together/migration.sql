-- By hand. A login's two calls for several people of one tenant at once: what calls of the same moment would each ask is
-- asked once, and a commit serves them all.

-- Some people of a tenant, by the subjects of one namespace or, without one, by their ids. As find_person_v2 it asks one
-- table after the other; whose a row is stands in it. Pending ones and recovery codes are read where they are asked for.
-- Its statements take lists, and are planned once: each list would else look cheaper than a list in general.
CREATE FUNCTION find_people_v1(p_tenant text, p_namespace text, p_names text[], p_sessions text[], p_is_whole boolean)
RETURNS json LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_ids uuid[] := '{}';
  v_users json;
  v_factors json;
  v_pending json;
  v_sets json;
  v_codes json;
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
    SELECT array_agg(id), json_agg(json_build_object('id', id, 'namespace', namespace, 'subject', subject, 'account', account, 'epoch', epoch,
      'revision', revision, 'sources', sources, 'isDisabled', disabled_at IS NOT NULL, 'isAdministrator', administrator_at IS NOT NULL,
      'isCodeRequired', code_required_at IS NOT NULL, 'tokensSince', tokens_since, 'createdAt', created_at, 'policyMetAt', policy_met_at,
      'graceUntil', grace_until, 'reportedVersion', reported_version, 'exemptSince', exempt_since, 'exemptUntil', exempt_until,
      'exemptReason', exempt_reason, 'exemptBy', exempt_by))
    INTO v_ids, v_users FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = ANY (p_names);
  END IF;
  IF v_users IS NULL THEN RETURN NULL; END IF;
  SELECT json_agg(json_build_object('userId', user_id, 'id', id, 'label', label, 'sealed', encode(sealed, 'hex'), 'keyId', key_id,
    'algorithm', algorithm, 'digits', digits, 'period', period, 'lastStep', last_step, 'createdAt', created_at,
    'confirmedAt', confirmed_at, 'lastUsedAt', last_used_at, 'afterRecoveryAt', after_recovery_at) ORDER BY confirmed_at, id)
  INTO v_factors FROM factors WHERE tenant = p_tenant AND user_id = ANY (v_ids);
  SELECT json_agg(json_build_object('userId', user_id, 'kind', kind, 'failures', failures, 'waitUntil', wait_until, 'lockedAt', locked_at))
  INTO v_throttles FROM throttles WHERE tenant = p_tenant AND user_id = ANY (v_ids);
  SELECT enforcement, CASE WHEN cardinality(groups) > 0 THEN groups END AS groups, grace_period_days AS "gracePeriodDays",
    enforce_from AS "enforceFrom", sso_rule AS "ssoRule", version, updated_at AS "updatedAt", updated_by AS "updatedBy"
  INTO v_row FROM policies WHERE tenant = p_tenant;
  IF FOUND THEN v_policy := to_json(v_row); END IF;
  IF cardinality(p_sessions) > 0 THEN
    SELECT json_agg(json_build_object('userId', user_id, 'issuer', issuer, 'session', session, 'generation', generation,
      'acr', CASE WHEN expires_at > v_now THEN acr END, 'methods', methods, 'factorId', factor_id, 'epoch', epoch,
      'authTime', floor(extract(epoch FROM auth_time)), 'endsAt', floor(extract(epoch FROM expires_at))))
    INTO v_sessions FROM mfa_sessions WHERE tenant = p_tenant AND user_id = ANY (v_ids) AND session = ANY (p_sessions);
  END IF;
  IF p_is_whole THEN
    SELECT json_agg(json_build_object('userId', user_id, 'factorId', factor_id, 'label', label, 'session', session,
      'sealed', encode(sealed, 'hex'), 'keyId', key_id, 'createdAt', created_at))
    INTO v_pending FROM enrollments WHERE tenant = p_tenant AND user_id = ANY (v_ids) AND expires_at > v_now;
    SELECT json_agg(json_build_object('userId', user_id, 'id', id, 'generatedAt', generated_at, 'acknowledgedAt', acknowledged_at))
    INTO v_sets FROM recovery_sets WHERE tenant = p_tenant AND user_id = ANY (v_ids);
    SELECT json_agg(json_build_object('userId', user_id, 'isUsed', used_at IS NOT NULL))
    INTO v_codes FROM recovery_codes WHERE tenant = p_tenant AND user_id = ANY (v_ids);
  END IF;
  RETURN json_build_object('readAt', v_now, 'users', v_users, 'factors', v_factors, 'throttles', v_throttles, 'policy', v_policy,
    'sessions', v_sessions, 'pending', v_pending, 'sets', v_sets, 'codes', v_codes);
END $$;

-- Codes of several people, each decided by accept_totp_v1 as if it were alone, in the order given: that of their ids, so that
-- no two calls wait for each other. What one of them fails by takes back all: the caller then asks for each alone.
CREATE FUNCTION accept_totps_v1(p_tenant text, p_codes jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_code jsonb;
  v_results jsonb := '[]';
BEGIN
  FOR v_code IN SELECT jsonb_array_elements(p_codes) LOOP
    v_results := v_results || accept_totp_v1(p_tenant, (v_code->>'userId')::uuid, (v_code->>'epoch')::int, (v_code->>'factorId')::uuid,
      (v_code->>'step')::bigint, nullif(v_code->'act', 'null'), v_code->'by');
  END LOOP;
  RETURN v_results;
END $$;

-- The same of codes that were refused, each counted by refuse_code_v1: of one person's, one after the other.
CREATE FUNCTION refuse_codes_v1(p_tenant text, p_kind text, p_limits jsonb, p_codes jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_code jsonb;
  v_results jsonb := '[]';
BEGIN
  FOR v_code IN SELECT jsonb_array_elements(p_codes) LOOP
    v_results := v_results || refuse_code_v1(p_tenant, (v_code->>'userId')::uuid, p_kind, (v_code->>'weight')::int, p_limits,
      (v_code->>'pendingId')::uuid, v_code->'by', '{}');
  END LOOP;
  RETURN v_results;
END $$;
