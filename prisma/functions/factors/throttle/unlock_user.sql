-- Ends every wait and lock. Failures that are counted beside it come before it or after it, whole.
CREATE OR REPLACE FUNCTION unlock_user(
  p_tenant text, p_user uuid, p_reason text, p_is_support boolean, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := lock_user(p_tenant, p_user, p_is_support, p_by);
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  PERFORM audit(p_tenant, p_user::text, 'user.unlocked', 'success', NULL, p_by,
    jsonb_build_object('reason', p_reason, 'cleared', clear_throttles(p_tenant, p_user)));
  RETURN jsonb_build_object('outcome', 'unlocked');
END $$;
