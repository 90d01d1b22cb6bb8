-- Removes a factor that was started and not confirmed.
CREATE OR REPLACE FUNCTION remove_pending(p_tenant text, p_user uuid, p_factor uuid, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_kind text;
BEGIN
  IF is_actor_gone(p_tenant, NULL, p_by) THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user AND factor_id = p_factor RETURNING kind INTO v_kind;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  PERFORM audit(p_tenant, p_user::text, 'factor.removed', 'success', v_kind, p_by,
    jsonb_build_object('factorId', p_factor, 'pending', true));
  RETURN jsonb_build_object('outcome', 'removed');
END $$;
