-- Spends a bypass code. Decides: one use out of any number, before it ends. What a recovery code clears, and says of the factors that
-- come after it, a bypass code does too.
-- The codes that remain are counted in a statement of their own: on Citus an expression may not ask for rows beside a call that does.
CREATE OR REPLACE FUNCTION accept_bypass(
  p_tenant text, p_user uuid, p_epoch int, p_hash text, p_kinds text[], p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_remaining int;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'spent'); END IF;
  v_now := clock_timestamp();
  UPDATE bypasses SET used_at = v_now
  WHERE tenant = p_tenant AND user_id = p_user AND hash = p_hash AND used_at IS NULL AND expires_at > v_now;
  IF NOT FOUND THEN
    PERFORM record_refusal(p_tenant, p_user, 'recovery', 'bypass', 'spent', p_by);
    RETURN jsonb_build_object('outcome', 'spent');
  END IF;
  PERFORM 1 FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = ANY (p_kinds) ORDER BY kind FOR UPDATE;
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}'
  WHERE tenant = p_tenant AND user_id = p_user AND kind = ANY (p_kinds);
  UPDATE users SET recovered_at = v_now WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit(p_tenant, p_user::text, 'bypass.used', 'success', 'bypass', p_by, '{}');
  SELECT count(*) INTO v_remaining FROM recovery_codes WHERE tenant = p_tenant AND user_id = p_user AND used_at IS NULL;
  PERFORM remove_devices(p_tenant, p_user, NULL, '{"cause": "recovery"}', p_by);
  RETURN jsonb_build_object('outcome', 'accepted', 'remaining', v_remaining,
    'generation', remember_session(p_tenant, p_user, p_authentication));
END $$;
