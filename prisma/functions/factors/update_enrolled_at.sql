-- Keeps `enrolled_at` with the factors: called by whatever has added or removed one.
CREATE OR REPLACE FUNCTION update_enrolled_at(p_tenant text, p_user uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_before users%ROWTYPE;
  v_since timestamptz;
BEGIN
  SELECT * INTO v_before FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  SELECT min(confirmed_at) INTO v_since FROM factors WHERE tenant = p_tenant AND user_id = p_user;
  IF (v_since IS NULL) = (v_before.enrolled_at IS NULL) THEN RETURN; END IF;
  UPDATE users SET enrolled_at = v_since WHERE tenant = p_tenant AND id = p_user;
  PERFORM tally_user(p_tenant, p_user, v_before);
END $$;
