-- Lets a user in again who was disabled.
CREATE OR REPLACE FUNCTION enable_user(p_tenant text, p_user uuid, p_reason text, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_before users%ROWTYPE;
BEGIN
  SELECT * INTO v_before FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  IF v_before.disabled_at IS NULL THEN RETURN jsonb_build_object('outcome', 'nothing'); END IF;
  UPDATE users SET disabled_at = NULL WHERE tenant = p_tenant AND id = p_user;
  PERFORM tally_user(p_tenant, p_user, v_before);
  PERFORM audit(p_tenant, p_user::text, 'user.enabled', 'success', NULL, p_by, jsonb_build_object('reason', p_reason));
  RETURN jsonb_build_object('outcome', 'enabled');
END $$;
