-- Puts a set of recovery codes in the place of any earlier one. p_codes is [{slot, hash, tag, pepperId}].
CREATE OR REPLACE FUNCTION store_codes(p_tenant text, p_user uuid, p_set uuid, p_codes jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM recovery_sets WHERE tenant = p_tenant AND user_id = p_user;
  INSERT INTO recovery_sets (tenant, user_id, id, generated_at) VALUES (p_tenant, p_user, p_set, clock_timestamp());
  INSERT INTO recovery_codes (tenant, user_id, slot, hash, tag, pepper_id)
  SELECT p_tenant, p_user, (c->>'slot')::smallint, c->>'hash', (c->>'tag')::int, c->>'pepperId' FROM jsonb_array_elements(p_codes) AS c;
END $$;
