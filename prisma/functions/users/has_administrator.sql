-- Has an administrator set up a factor, so that users can ask them for a code?
CREATE OR REPLACE FUNCTION has_administrator(p_tenant text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT 1 FROM users WHERE tenant = p_tenant AND administrator_at IS NOT NULL AND enrolled_at IS NOT NULL
    AND disabled_at IS NULL);
END $$;
