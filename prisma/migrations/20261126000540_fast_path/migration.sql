-- By hand. What a login calls, as before, but of statements that each ask one table for one tenant, with nothing nested: of
-- these alone Citus keeps a plan; any other it plans anew for each call, which costs more than all that it then does.

CREATE OR REPLACE FUNCTION find_person_v2(p_tenant text, p_namespace text, p_subject text, p_user uuid, p_issuer text, p_session text)
RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_user record;
  v_row record;
  v_factors json;
  v_pending json;
  v_recovery json;
  v_total int;
  v_used int;
  v_throttles json;
  v_policy json;
  v_session json;
BEGIN
  IF p_user IS NULL THEN
    SELECT id, namespace, subject, account, epoch, revision, sources, disabled_at IS NOT NULL AS "isDisabled",
      administrator_at IS NOT NULL AS "isAdministrator", code_required_at IS NOT NULL AS "isCodeRequired", tokens_since AS "tokensSince",
      created_at AS "createdAt", policy_met_at AS "policyMetAt", grace_until AS "graceUntil", reported_version AS "reportedVersion",
      exempt_since AS "exemptSince", exempt_until AS "exemptUntil", exempt_reason AS "exemptReason", exempt_by AS "exemptBy"
    INTO v_user FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = p_subject;
  ELSE
    SELECT id, namespace, subject, account, epoch, revision, sources, disabled_at IS NOT NULL AS "isDisabled",
      administrator_at IS NOT NULL AS "isAdministrator", code_required_at IS NOT NULL AS "isCodeRequired", tokens_since AS "tokensSince",
      created_at AS "createdAt", policy_met_at AS "policyMetAt", grace_until AS "graceUntil", reported_version AS "reportedVersion",
      exempt_since AS "exemptSince", exempt_until AS "exemptUntil", exempt_reason AS "exemptReason", exempt_by AS "exemptBy"
    INTO v_user FROM users WHERE tenant = p_tenant AND id = p_user;
  END IF;
  IF NOT FOUND THEN RETURN NULL; END IF;
  SELECT json_agg(json_build_object('id', id, 'label', label, 'sealed', encode(sealed, 'hex'), 'keyId', key_id, 'algorithm', algorithm,
    'digits', digits, 'period', period, 'lastStep', last_step, 'createdAt', created_at, 'confirmedAt', confirmed_at,
    'lastUsedAt', last_used_at, 'afterRecoveryAt', after_recovery_at) ORDER BY confirmed_at, id)
  INTO v_factors FROM factors WHERE tenant = p_tenant AND user_id = v_user.id;
  SELECT factor_id AS "factorId", label, session, encode(sealed, 'hex') AS sealed, key_id AS "keyId", created_at AS "createdAt"
  INTO v_row FROM enrollments WHERE tenant = p_tenant AND user_id = v_user.id AND expires_at > v_now;
  IF FOUND THEN v_pending := to_json(v_row); END IF;
  SELECT id, generated_at AS "generatedAt", acknowledged_at AS "acknowledgedAt"
  INTO v_row FROM recovery_sets WHERE tenant = p_tenant AND user_id = v_user.id;
  IF FOUND THEN
    v_recovery := to_json(v_row);
    SELECT count(*), count(used_at) INTO v_total, v_used FROM recovery_codes WHERE tenant = p_tenant AND user_id = v_user.id;
  END IF;
  SELECT json_agg(json_build_object('kind', kind, 'failures', failures, 'waitUntil', wait_until, 'lockedAt', locked_at))
  INTO v_throttles FROM throttles WHERE tenant = p_tenant AND user_id = v_user.id;
  SELECT enforcement, CASE WHEN cardinality(groups) > 0 THEN groups END AS groups, grace_period_days AS "gracePeriodDays",
    enforce_from AS "enforceFrom", sso_rule AS "ssoRule", version, updated_at AS "updatedAt", updated_by AS "updatedBy"
  INTO v_row FROM policies WHERE tenant = p_tenant;
  IF FOUND THEN v_policy := to_json(v_row); END IF;
  IF p_session IS NOT NULL THEN
    SELECT generation, CASE WHEN expires_at > v_now THEN acr END AS acr, methods, factor_id AS "factorId", epoch,
      floor(extract(epoch FROM auth_time)) AS "authTime", floor(extract(epoch FROM expires_at)) AS "endsAt"
    INTO v_row FROM mfa_sessions WHERE tenant = p_tenant AND user_id = v_user.id AND issuer = p_issuer AND session = p_session;
    IF FOUND THEN v_session := to_json(v_row); END IF;
  END IF;
  RETURN json_build_object('readAt', v_now, 'user', v_user, 'factors', v_factors, 'pending', v_pending, 'recovery', v_recovery,
    'codes', v_total, 'usedCodes', v_used, 'throttles', v_throttles, 'policy', v_policy, 'session', v_session);
END $$;

-- Whether he may is asked before the step is spent: neither before nor now does it keep anybody from being disabled meanwhile,
-- and what he gets then is of an epoch that is over.
CREATE OR REPLACE FUNCTION accept_totp_v1(
  p_tenant text, p_user uuid, p_epoch int, p_factor uuid, p_step bigint, p_act jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_throttle throttles%ROWTYPE;
  v_closed jsonb;
  v_now timestamptz;
  v_generation int;
BEGIN
  SELECT * INTO v_throttle FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = 'totp' FOR UPDATE;
  IF NOT FOUND OR v_throttle.locked_at IS NOT NULL OR v_throttle.wait_until IS NOT NULL THEN
    v_closed := hold_throttle_v1(p_tenant, p_user, 'totp');
    IF v_closed IS NOT NULL THEN RETURN v_closed; END IF;
  END IF;
  v_now := clock_timestamp();
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL;
  IF FOUND THEN
    UPDATE factors SET last_step = p_step, last_used_at = v_now
    WHERE tenant = p_tenant AND id = p_factor AND user_id = p_user AND last_step < p_step;
  END IF;
  IF NOT FOUND THEN
    PERFORM audit_v1(p_tenant, p_user::text, 'totp.refused', 'failure', 'totp', p_by, '{"cause": "spent"}');
    RETURN '{"outcome": "spent"}';
  END IF;
  IF v_throttle.failures > 0 OR v_throttle.tries > 0 THEN
    UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL WHERE tenant = p_tenant AND user_id = p_user AND kind = 'totp';
  END IF;
  PERFORM audit_v1(p_tenant, p_user::text, 'totp.accepted', 'success', 'totp', p_by, jsonb_build_object('factorId', p_factor));
  IF p_act IS NOT NULL THEN v_generation := remember_session_v1(p_tenant, p_user, p_epoch, p_act); END IF;
  RETURN jsonb_build_object('outcome', 'accepted', 'generation', v_generation);
END $$;

-- Whether somebody wants to be told is asked only of what he would be told of.
CREATE OR REPLACE FUNCTION audit_v1(
  p_tenant text, p_subject text, p_action text, p_outcome text, p_kind text, p_by jsonb, p_details jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_at timestamptz := clock_timestamp();
  v_id uuid := gen_random_uuid();
BEGIN
  INSERT INTO audit_events (tenant, at, id, actor, subject, action, outcome, factor_kind, address, request_id, details)
  VALUES (p_tenant, v_at, v_id, p_by->>'actor', p_subject, p_action, p_outcome, p_kind, p_by->>'address', p_by->>'requestId', p_details);
  INSERT INTO audit_pending (tenant, at, id) VALUES (p_tenant, v_at, v_id);
  IF p_action = ANY ('{factor.confirmed,factor.removed,totp.locked,recovery.accepted,recovery.locked,recovery.low,recovery.regenerated,bypass.issued,bypass.used,user.unlocked,user.reset,user.signed_out,user.exempted,user.grace_set,user.disabled,user.enabled,user.erased,policy.changed,spray.suspected,guessing.suspected}')
    -- What was never confirmed was no factor.
    AND NOT p_details ? 'pending'
  THEN
    IF EXISTS (SELECT 1 FROM notice_receivers WHERE wanted_until > v_at) THEN
      INSERT INTO notices (tenant, id, at, subject, due_at) VALUES (p_tenant, v_id, v_at, coalesce(p_subject, ''), v_at);
    END IF;
  END IF;
END $$;
