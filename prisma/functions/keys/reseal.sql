-- Puts secrets under another key, of one tenant: p_rows is [{id, was, sealed}], a factor's id and the bytes (hexadecimal) that it was read
-- with and is to have. Decides the race with whatever changed a row meanwhile: that row stays as it is, and is found again if it is still
-- of the old key. A login in between opens what it has read, by the key that is still there. Locks in the order of the ids, so that two who
-- do this at once wait for each other and do not deadlock.
CREATE OR REPLACE FUNCTION reseal(p_tenant text, p_from text, p_to text, p_rows jsonb, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_ids uuid[] := ARRAY(SELECT (r->>'id')::uuid FROM jsonb_array_elements(p_rows) AS r);
  v_factors int;
  v_pending int;
BEGIN
  PERFORM 1 FROM enrollments WHERE tenant = p_tenant AND factor_id = ANY(v_ids) AND key_id = p_from ORDER BY user_id FOR NO KEY UPDATE;
  PERFORM 1 FROM factors WHERE tenant = p_tenant AND id = ANY(v_ids) AND key_id = p_from ORDER BY id FOR NO KEY UPDATE;
  UPDATE enrollments e SET sealed = decode(r->>'sealed', 'hex'), key_id = p_to FROM jsonb_array_elements(p_rows) AS r
  WHERE e.tenant = p_tenant AND e.factor_id = (r->>'id')::uuid AND e.key_id = p_from AND e.sealed = decode(r->>'was', 'hex');
  GET DIAGNOSTICS v_pending = ROW_COUNT;
  UPDATE factors f SET sealed = decode(r->>'sealed', 'hex'), key_id = p_to FROM jsonb_array_elements(p_rows) AS r
  WHERE f.tenant = p_tenant AND f.id = (r->>'id')::uuid AND f.key_id = p_from AND f.sealed = decode(r->>'was', 'hex');
  GET DIAGNOSTICS v_factors = ROW_COUNT;
  IF v_factors + v_pending > 0 THEN
    PERFORM audit(p_tenant, NULL, 'key.rotated', 'success', NULL, p_by,
      jsonb_build_object('purpose', 'sealing', 'from', p_from, 'to', p_to, 'resealed', v_factors + v_pending));
  END IF;
  RETURN jsonb_build_object('outcome', 'resealed', 'rows', v_factors + v_pending);
END $$;
