-- Signs a user out everywhere: every MFA token and every remembered authentication is of an older epoch.
CREATE OR REPLACE FUNCTION sign_out(p_tenant text, p_user uuid, p_epoch int, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  PERFORM bump_epoch(p_tenant, p_user);
  DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = p_user;
  PERFORM audit(p_tenant, p_user::text, 'user.signed_out', 'success', NULL, p_by, '{}');
  RETURN jsonb_build_object('outcome', 'signed_out');
END $$;
