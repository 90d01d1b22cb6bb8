-- Puts a bypass code in the place of any earlier one; its failures are counted from zero. p_bypass is {id, hash, pepperId, seconds}.
-- Answers when it ends.
CREATE OR REPLACE FUNCTION store_bypass(p_tenant text, p_user uuid, p_bypass jsonb) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_until timestamptz := v_now + make_interval(secs => (p_bypass->>'seconds')::int);
BEGIN
  INSERT INTO throttles (tenant, user_id, kind) VALUES (p_tenant, p_user, 'bypass')
  ON CONFLICT (tenant, user_id, kind) DO UPDATE SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}';
  DELETE FROM bypasses WHERE tenant = p_tenant AND user_id = p_user;
  INSERT INTO bypasses (tenant, user_id, id, hash, pepper_id, created_at, expires_at)
  VALUES (p_tenant, p_user, (p_bypass->>'id')::uuid, p_bypass->>'hash', p_bypass->>'pepperId', v_now, v_until);
  RETURN v_until;
END $$;
