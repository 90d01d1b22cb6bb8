-- CreateTable
CREATE TABLE "endings" (
    "tenant" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "issuer" TEXT NOT NULL,
    "session" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL,
    "generation" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT "endings_pkey" PRIMARY KEY ("tenant","user_id","issuer","session")
);

-- CreateIndex
CREATE INDEX "endings_at_idx" ON "endings"("at");

-- By hand, beyond what schema.prisma can say. Every replica reads what is new here some times a second, and so refuses
-- an MFA token without asking the database. Whatever moves a user's epoch or a session's generation records it in the
-- same statement. The functions that did so before are replaced and not given a new version: replicas of the release
-- before call them as they did, and what those end is then known to the others.

-- Records that tokens of an older epoch are dead; or, of that epoch and of one session, those of an older generation.
-- No foreign key: an erased person's tokens are dead, too.
CREATE FUNCTION record_ending_v1(p_tenant text, p_user uuid, p_issuer text, p_session text, p_epoch int, p_generation int)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO endings (tenant, user_id, issuer, session, epoch, generation)
  VALUES (p_tenant, p_user, p_issuer, p_session, p_epoch, p_generation)
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET
    epoch = excluded.epoch, generation = excluded.generation, at = clock_timestamp();
END $$;

-- Ends every MFA token and remembered act of somebody, for the settlement that calls it; its row of `users` is locked from
-- here on. Answers the new epoch; null for nobody.
CREATE FUNCTION move_epoch_v1(p_tenant text, p_user uuid) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_epoch int;
BEGIN
  UPDATE users SET epoch = epoch + 1 WHERE tenant = p_tenant AND id = p_user RETURNING epoch INTO v_epoch;
  IF FOUND THEN
    PERFORM record_ending_v1(p_tenant, p_user, '', '', v_epoch, 0);
  END IF;
  RETURN v_epoch;
END $$;

-- As before, and records the ending: with the epoch as it is once the session's row is locked, so that no token that was
-- issued for the session so far is of a newer one. The row outlives what is recorded (20 minutes): a generation that
-- began anew while an older ending is known would be dead.
CREATE OR REPLACE FUNCTION end_session_v1(p_tenant text, p_user uuid, p_issuer text, p_session text, p_token_seconds int, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_generation int;
  v_epoch int;
BEGIN
  INSERT INTO mfa_sessions AS s (tenant, user_id, issuer, session, generation, epoch, expires_at)
  VALUES (p_tenant, p_user, p_issuer, p_session, 1, 0, clock_timestamp() + greatest(make_interval(secs => p_token_seconds), interval '22 minutes'))
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET generation = s.generation + 1, acr = NULL, methods = '{}',
    factor_id = NULL, auth_time = NULL, epoch = 0, expires_at = excluded.expires_at
  RETURNING s.generation INTO v_generation;
  SELECT epoch INTO v_epoch FROM users WHERE tenant = p_tenant AND id = p_user;
  PERFORM record_ending_v1(p_tenant, p_user, p_issuer, p_session, v_epoch, v_generation);
  PERFORM audit_v1(p_tenant, p_user::text, 'session.ended', 'success', NULL, p_by, '{}');
  RETURN jsonb_build_object('outcome', 'ended');
END $$;

-- As before, and records the ending.
CREATE OR REPLACE FUNCTION sign_out_v1(p_tenant text, p_user uuid, p_epoch int, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  PERFORM move_epoch_v1(p_tenant, p_user);
  DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = p_user;
  PERFORM audit_v1(p_tenant, p_user::text, 'user.signed_out', 'success', NULL, p_by, '{}');
  RETURN jsonb_build_object('outcome', 'signed_out');
END $$;

-- As before, and records the ending.
CREATE OR REPLACE FUNCTION remove_factor_v1(p_tenant text, p_user uuid, p_epoch int, p_revision int, p_factor uuid, p_act jsonb, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_epoch int;
  v_gone factors%ROWTYPE;
BEGIN
  UPDATE users SET revision = revision + 1
  WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND revision = p_revision AND disabled_at IS NULL
    AND EXISTS (SELECT 1 FROM factors f WHERE f.tenant = p_tenant AND f.user_id = p_user AND f.id = p_factor);
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  v_epoch := move_epoch_v1(p_tenant, p_user);
  DELETE FROM factors WHERE tenant = p_tenant AND user_id = p_user AND id = p_factor RETURNING * INTO v_gone;
  IF NOT EXISTS (SELECT 1 FROM factors WHERE tenant = p_tenant AND user_id = p_user) THEN
    DELETE FROM recovery_sets WHERE tenant = p_tenant AND user_id = p_user;
  END IF;
  PERFORM audit_v1(p_tenant, p_user::text, 'factor.removed', 'success', 'totp', p_by, jsonb_build_object(
    'factorId', p_factor, 'label', v_gone.label, 'confirmedAt', v_gone.confirmed_at, 'lastUsedAt', v_gone.last_used_at));
  RETURN jsonb_build_object('outcome', 'removed', 'epoch', v_epoch, 'generation', remember_session_v1(p_tenant, p_user, v_epoch, p_act));
END $$;

DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON endings TO headless_mfa;
  END IF;
END $$;
