-- The schema did not change. As before, in forms that an engine which distributes by tenant takes, too: there what is returned asks
-- for no rows beside a call that does, and an INSERT that returns something is given its values.

CREATE OR REPLACE FUNCTION accept_bypass_v1(p_tenant text, p_user uuid, p_epoch int, p_hash text, p_act jsonb, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_closed jsonb;
  v_now timestamptz;
  v_remaining int;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'spent'); END IF;
  v_closed := hold_throttle_v1(p_tenant, p_user, 'bypass');
  IF v_closed IS NOT NULL THEN RETURN v_closed; END IF;
  v_now := clock_timestamp();
  UPDATE bypasses SET used_at = v_now
  WHERE tenant = p_tenant AND user_id = p_user AND hash = p_hash AND used_at IS NULL AND expires_at > v_now;
  IF NOT FOUND THEN
    PERFORM audit_v1(p_tenant, p_user::text, 'recovery.refused', 'failure', 'bypass', p_by, '{"cause": "spent"}');
    RETURN jsonb_build_object('outcome', 'spent');
  END IF;
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'bypass';
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}'
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'totp';
  UPDATE users SET recovered_at = v_now WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit_v1(p_tenant, p_user::text, 'bypass.used', 'success', 'bypass', p_by, '{}');
  SELECT count(*) INTO v_remaining FROM recovery_codes WHERE tenant = p_tenant AND user_id = p_user AND used_at IS NULL;
  RETURN jsonb_build_object('outcome', 'accepted', 'remaining', v_remaining, 'generation', remember_session_v1(p_tenant, p_user, p_epoch, p_act));
END $$;

CREATE OR REPLACE FUNCTION revive_user_v1(p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_hashes jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_trace traces%ROWTYPE;
  v_id uuid;
BEGIN
  SELECT * INTO v_trace FROM traces WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_hashes)) LIMIT 1;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO users (tenant, id, namespace, subject, account, epoch, tokens_since, disabled_at)
  VALUES (p_tenant, p_id, p_namespace, p_subject, coalesce(p_account, p_subject), v_trace.epoch + 1, v_trace.erased_at, v_trace.disabled_at)
  ON CONFLICT (tenant, namespace, subject) DO NOTHING
  RETURNING id INTO v_id;
  IF v_id IS NOT NULL THEN PERFORM tally_user_v1(p_tenant, p_id, NULL); END IF;
END $$;
