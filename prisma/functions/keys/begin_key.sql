-- The first use of a key, recorded in the audit of every tenant where another one was in use before. Decides: of any number of replicas
-- that begin with it, one records it.
CREATE OR REPLACE FUNCTION begin_key(p_purpose text, p_id text, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_from text;
  v_tenant text;
BEGIN
  UPDATE keys SET first_at = clock_timestamp() WHERE purpose = p_purpose AND id = p_id AND first_at IS NULL;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'known'); END IF;
  SELECT id INTO v_from FROM keys WHERE purpose = p_purpose AND id <> p_id AND first_at IS NOT NULL ORDER BY first_at DESC LIMIT 1;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'begun'); END IF;
  FOR v_tenant IN SELECT tenant FROM audit_heads ORDER BY tenant LOOP
    PERFORM audit(v_tenant, NULL, 'key.rotated', 'success', NULL, p_by,
      jsonb_build_object('purpose', p_purpose, 'from', v_from, 'to', p_id));
  END LOOP;
  RETURN jsonb_build_object('outcome', 'begun');
END $$;
