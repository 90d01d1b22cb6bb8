-- The keys that rows need: {sealing: ids[], pepper: ids[]}. By steps through the indexes: it takes as long as there are ids, not rows.
CREATE OR REPLACE FUNCTION keys_in_use() RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_sealing text[] := ARRAY(SELECT DISTINCT key_id FROM enrollments WHERE expires_at > clock_timestamp());
  v_peppers text[] := '{}';
  v_id text;
BEGIN
  SELECT min(key_id) INTO v_id FROM factors;
  WHILE v_id IS NOT NULL LOOP
    v_sealing := v_sealing || v_id;
    SELECT min(key_id) INTO v_id FROM factors WHERE key_id > v_id;
  END LOOP;
  SELECT min(pepper_id) INTO v_id FROM recovery_codes WHERE slot = 0;
  WHILE v_id IS NOT NULL LOOP
    v_peppers := v_peppers || v_id;
    SELECT min(pepper_id) INTO v_id FROM recovery_codes WHERE slot = 0 AND pepper_id > v_id;
  END LOOP;
  RETURN jsonb_build_object('sealing', to_jsonb(v_sealing), 'pepper', to_jsonb(v_peppers));
END $$;
