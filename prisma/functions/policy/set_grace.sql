-- Sets a user's deadline. Decides: what the floor allows from the first contact (p_max_days; null: any) is asked of the row as it is when
-- it is written. What comes after leaves it alone: only an administrator moves a deadline.
CREATE OR REPLACE FUNCTION set_grace(p_tenant text, p_user uuid, p_until timestamptz, p_reason text, p_max_days int, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_user users%ROWTYPE;
BEGIN
  IF is_actor_gone(p_tenant, p_user, p_by) THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  IF p_until <= clock_timestamp() THEN RETURN jsonb_build_object('outcome', 'past'); END IF;
  SELECT * INTO v_user FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  v_now := clock_timestamp();
  IF p_until > coalesce(v_user.policy_met_at, v_now) + p_max_days * interval '24 hours' THEN
    RETURN jsonb_build_object('outcome', 'below');
  END IF;
  UPDATE users SET grace_until = p_until, policy_met_at = coalesce(policy_met_at, v_now) WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit(p_tenant, p_user::text, 'user.grace_set', 'success', NULL, p_by,
    jsonb_build_object('reason', p_reason, 'before', v_user.grace_until, 'after', p_until));
  RETURN jsonb_build_object('outcome', 'set');
END $$;
