-- Exempts a user until a time (null: without an end), or ends that. p_max_days is the floor's; null: any.
CREATE OR REPLACE FUNCTION exempt_user(
  p_tenant text, p_user uuid, p_exempt boolean, p_until timestamptz, p_reason text, p_max_days int, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
BEGIN
  IF is_actor_gone(p_tenant, p_user, p_by) THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  IF p_until <= clock_timestamp() THEN RETURN jsonb_build_object('outcome', 'past'); END IF;
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  v_now := clock_timestamp();
  IF p_exempt AND coalesce(p_until, 'infinity') > v_now + p_max_days * interval '24 hours' THEN
    RETURN jsonb_build_object('outcome', 'below');
  END IF;
  UPDATE users SET exempt_since = CASE WHEN p_exempt THEN v_now END, exempt_until = p_until,
    exempt_reason = CASE WHEN p_exempt THEN p_reason END, exempt_by = CASE WHEN p_exempt THEN p_by->>'actor' END
  WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit(p_tenant, p_user::text, 'user.exempted', 'success', NULL, p_by,
    jsonb_build_object('exempt', p_exempt, 'reason', p_reason, 'until', p_until));
  RETURN jsonb_build_object('outcome', 'set');
END $$;
