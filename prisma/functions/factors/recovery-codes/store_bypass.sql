-- Puts a bypass code in the place of any earlier one. p_bypass is {id, hash, tag, pepperId, seconds}.
-- Answers when it ends.
CREATE OR REPLACE FUNCTION store_bypass(p_tenant text, p_user uuid, p_bypass jsonb) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_until timestamptz := v_now + make_interval(secs => (p_bypass->>'seconds')::int);
BEGIN
  DELETE FROM bypasses WHERE tenant = p_tenant AND user_id = p_user;
  INSERT INTO bypasses (tenant, user_id, id, hash, tag, pepper_id, created_at, expires_at)
  VALUES (p_tenant, p_user, (p_bypass->>'id')::uuid, p_bypass->>'hash', (p_bypass->>'tag')::int, p_bypass->>'pepperId', v_now, v_until);
  RETURN v_until;
END $$;
