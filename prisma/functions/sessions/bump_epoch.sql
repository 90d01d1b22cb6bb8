-- Ends every MFA token and remembered authentication of a user, for the settlement that calls it; their row of `users` is locked from here
-- on. Answers the new epoch; null if there is no such user.
CREATE OR REPLACE FUNCTION bump_epoch(p_tenant text, p_user uuid) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_epoch int;
BEGIN
  UPDATE users SET epoch = epoch + 1 WHERE tenant = p_tenant AND id = p_user RETURNING epoch INTO v_epoch;
  IF FOUND THEN
    PERFORM record_revocation(p_tenant, p_user, '', '', v_epoch, 0);
  END IF;
  RETURN v_epoch;
END $$;
