-- An operator says that this key is lost; recorded in the audit of every tenant. What it has sealed or hashed stays, and never opens:
-- a user who has lost their second factor by it is asked for one all the same.
CREATE OR REPLACE FUNCTION forget_key(p_purpose text, p_id text, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_tenant text;
BEGIN
  UPDATE keys SET lost_at = clock_timestamp() WHERE purpose = p_purpose AND id = p_id AND lost_at IS NULL;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'unknown'); END IF;
  FOR v_tenant IN SELECT tenant FROM audit_heads ORDER BY tenant LOOP
    PERFORM audit(v_tenant, NULL, 'key.rotated', 'success', NULL, p_by, jsonb_build_object('purpose', p_purpose, 'lost', p_id));
  END LOOP;
  RETURN jsonb_build_object('outcome', 'forgotten');
END $$;
