-- Spends a recovery code. Decides: one use out of any number. Clears run, wait, lock and budget of the kinds of factor that p_kinds
-- names: else an attacker with just the password could shut the account's owner out for a month.
-- Trusted devices go, and what they lifted ends: the user has lost something.
-- What is set comes from a variable, as Citus does not let an UPDATE ask the clock for each row. It is taken when the locks are held, so
-- that waiting for them makes it no earlier.
CREATE OR REPLACE FUNCTION accept_recovery(
  p_tenant text, p_user uuid, p_epoch int, p_slot int, p_hash text, p_kinds text[], p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_remaining int;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'spent'); END IF;
  v_now := clock_timestamp();
  UPDATE recovery_codes SET used_at = v_now
  WHERE tenant = p_tenant AND user_id = p_user AND slot = p_slot AND hash = p_hash AND used_at IS NULL;
  IF NOT FOUND THEN
    PERFORM record_refusal(p_tenant, p_user, 'recovery', 'recovery', 'spent', p_by);
    RETURN jsonb_build_object('outcome', 'spent');
  END IF;
  PERFORM 1 FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = ANY (p_kinds) ORDER BY kind FOR UPDATE;
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}'
  WHERE tenant = p_tenant AND user_id = p_user AND kind = ANY (p_kinds);
  UPDATE users SET recovered_at = v_now WHERE tenant = p_tenant AND id = p_user;
  SELECT count(*) INTO v_remaining FROM recovery_codes
  WHERE tenant = p_tenant AND user_id = p_user AND used_at IS NULL;
  PERFORM audit(p_tenant, p_user::text, 'recovery.accepted', 'success', 'recovery', p_by,
    jsonb_build_object('remaining', v_remaining));
  IF v_remaining IN (3, 1, 0) THEN
    PERFORM audit(p_tenant, p_user::text, 'recovery.low', 'success', 'recovery', p_by,
      jsonb_build_object('remaining', v_remaining));
  END IF;
  PERFORM remove_devices(p_tenant, p_user, NULL, '{"cause": "recovery"}', p_by);
  RETURN jsonb_build_object('outcome', 'accepted', 'remaining', v_remaining,
    'generation', remember_session(p_tenant, p_user, p_authentication));
END $$;
