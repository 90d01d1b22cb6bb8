-- The tenant's policy, for callers without a user to read it with. Null where none was set.
CREATE OR REPLACE FUNCTION find_policy(p_tenant text) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_row policies%ROWTYPE;
BEGIN
  SELECT * INTO v_row FROM policies WHERE tenant = p_tenant;
  RETURN CASE WHEN FOUND THEN policy_json(v_row) END;
END $$;
