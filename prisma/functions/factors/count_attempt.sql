-- Counts a refused answer to a pending factor: the fifth destroys it.
CREATE OR REPLACE FUNCTION count_attempt(p_tenant text, p_user uuid, p_kind text, p_factor uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind AND factor_id = p_factor AND attempts >= 4;
  UPDATE enrollments SET attempts = attempts + 1 WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind AND factor_id = p_factor;
END $$;
