-- Signs a user out everywhere, for an administrator, whatever the epoch is.
CREATE OR REPLACE FUNCTION sign_out_user(
  p_tenant text, p_user uuid, p_reason text, p_is_support boolean, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := lock_user(p_tenant, p_user, p_is_support, p_by);
  v_epoch int;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  v_epoch := bump_epoch(p_tenant, p_user);
  DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = p_user;
  PERFORM audit(p_tenant, p_user::text, 'user.signed_out', 'success', NULL, p_by, jsonb_build_object('reason', p_reason));
  RETURN jsonb_build_object('outcome', 'signed_out');
END $$;
