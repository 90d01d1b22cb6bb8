-- Records that tokens of an older epoch are dead; or, of that epoch and of one session, those of an older generation. Whatever moves a
-- user's epoch or a session's generation calls it in the same transaction: every replica reads what is new here some times a second, and so
-- refuses an MFA token without asking the database.
-- The table has no foreign key: an erased user's tokens are dead, too.
CREATE OR REPLACE FUNCTION record_revocation(p_tenant text, p_user uuid, p_issuer text, p_session text, p_epoch int, p_generation int)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO revocations (tenant, user_id, issuer, session, epoch, generation, at)
  VALUES (p_tenant, p_user, p_issuer, p_session, p_epoch, p_generation, clock_timestamp())
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET
    epoch = excluded.epoch, generation = excluded.generation, at = excluded.at;
END $$;
