-- Accepts a code, or what else a factor of a kind answers, by its counter: of TOTP the time step. Decides: of any number of uses of one
-- counter, over every replica, one; never an older one after it.
-- The throttle is locked first, and written only if it has counted something. Whether the user may is asked before the counter is spent:
-- a user may still be disabled meanwhile, and the token that they get then is of an epoch that is over.
-- It is one of the two calls of a login. Each statement asks one table for one tenant, with nothing nested: of these alone Citus keeps a
-- plan. Any other it plans anew for each call, which costs more than all that it then does.
CREATE OR REPLACE FUNCTION accept_factor(
  p_tenant text, p_user uuid, p_kind text, p_epoch int, p_factor uuid, p_counter bigint, p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_throttle throttles%ROWTYPE;
  v_throttled jsonb;
  v_now timestamptz;
  v_generation int;
BEGIN
  SELECT * INTO v_throttle FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind FOR UPDATE;
  IF NOT FOUND OR v_throttle.locked_at IS NOT NULL OR v_throttle.wait_until IS NOT NULL THEN
    v_throttled := lock_throttle(p_tenant, p_user, p_kind);
    IF v_throttled IS NOT NULL THEN RETURN v_throttled; END IF;
    SELECT * INTO v_throttle FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  END IF;
  v_now := clock_timestamp();
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL;
  IF FOUND THEN
    UPDATE factors SET counter = p_counter, last_used_at = v_now
    WHERE tenant = p_tenant AND id = p_factor AND user_id = p_user AND kind = p_kind AND counter < p_counter;
  END IF;
  IF NOT FOUND THEN
    PERFORM record_refusal(p_tenant, p_user, p_kind, p_kind, 'spent', p_by);
    RETURN '{"outcome": "spent"}';
  END IF;
  IF v_throttle.failures > 0 OR v_throttle.tries > 0 THEN
    UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  END IF;
  PERFORM audit(p_tenant, p_user::text, p_kind || '.accepted', 'success', p_kind, p_by, jsonb_build_object('factorId', p_factor));
  IF p_authentication IS NOT NULL THEN v_generation := remember_session(p_tenant, p_user, p_authentication); END IF;
  RETURN jsonb_build_object('outcome', 'accepted', 'generation', v_generation);
END $$;
