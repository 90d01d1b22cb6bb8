-- By hand: what the sources say of somebody, each thing in a word that an index can find. No source's name and no group's has
-- a line break.
CREATE FUNCTION accounts_v1(p_sources jsonb) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN ARRAY(
    SELECT key || E'\n' || a COLLATE "C" FROM jsonb_each(p_sources) CROSS JOIN unnest(ARRAY['local', 'sso']) AS a
    WHERE value->a = 'true' ORDER BY 1);
END $$;

-- The source alone stands for groups that it left out.
CREATE FUNCTION groups_v1(p_sources jsonb) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN ARRAY(
    SELECT DISTINCT key || E'\n' || g COLLATE "C" FROM jsonb_each(p_sources)
    CROSS JOIN jsonb_array_elements_text(CASE WHEN jsonb_typeof(value->'groups') = 'array' THEN value->'groups' ELSE '[]' END) AS g
    UNION ALL SELECT key FROM jsonb_each(p_sources) WHERE value->'groupsUnknown' = 'true'
    ORDER BY 1);
END $$;

CREATE FUNCTION kind_v1(p_sources jsonb) RETURNS uuid LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN left(encode(sha256(convert_to(p_sources::text, 'UTF8')), 'hex'), 32)::uuid;
END $$;

-- AlterTable. Generated, so that no statement can forget them: the table is written anew, about a minute per million users.
ALTER TABLE "users" ADD COLUMN     "enrolled_at" TIMESTAMPTZ(6),
ADD COLUMN     "accounts" TEXT[] GENERATED ALWAYS AS (accounts_v1("sources")) STORED,
ADD COLUMN     "groups" TEXT[] GENERATED ALWAYS AS (groups_v1("sources")) STORED,
ADD COLUMN     "kind" UUID GENERATED ALWAYS AS (kind_v1("sources")) STORED;

-- CreateTable
CREATE TABLE "user_tallies" (
    "tenant" TEXT NOT NULL,
    "kind" UUID NOT NULL,
    "is_enrolled" BOOLEAN NOT NULL,
    "accounts" TEXT[],
    "groups" TEXT[],
    "users" BIGINT NOT NULL,

    CONSTRAINT "user_tallies_pkey" PRIMARY KEY ("tenant","kind","is_enrolled")
);

-- CreateTable
CREATE TABLE "user_tally_changes" (
    "tenant" TEXT NOT NULL,
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "kind" UUID NOT NULL,
    "is_enrolled" BOOLEAN NOT NULL,
    "accounts" TEXT[],
    "groups" TEXT[],
    "change" INTEGER NOT NULL,

    CONSTRAINT "user_tally_changes_pkey" PRIMARY KEY ("tenant","id")
);

-- By hand, beyond what schema.prisma can say.

UPDATE "users" u SET enrolled_at = f.at
FROM (SELECT tenant, user_id, min(confirmed_at) AS at FROM "factors" GROUP BY tenant, user_id) AS f
WHERE u.tenant = f.tenant AND u.id = f.user_id;
INSERT INTO "user_tallies" (tenant, kind, is_enrolled, accounts, groups, users)
SELECT tenant, kind, enrolled_at IS NOT NULL, accounts, groups, count(*) FROM "users" WHERE disabled_at IS NULL GROUP BY 1, 2, 3, 4, 5;

-- CreateIndex
CREATE INDEX "users_tenant_subject_idx" ON "users"("tenant", "subject");

-- CreateIndex
CREATE INDEX "users_groups_idx" ON "users" USING GIN ("groups");

-- For pages of people and for counts. Nothing in them changes at a login.
CREATE INDEX "users_account_idx" ON "users"("tenant", lower("account"));
CREATE INDEX "users_enrolled_idx" ON "users"("tenant", "enrolled_at") WHERE enrolled_at IS NOT NULL AND disabled_at IS NULL;
-- Those without a factor, by kind: who has neither a deadline nor an exemption of his own, and who has.
CREATE INDEX "users_untimed_idx" ON "users"("tenant", "kind", "id")
  WHERE enrolled_at IS NULL AND disabled_at IS NULL AND grace_until IS NULL AND exempt_since IS NULL;
CREATE INDEX "users_timed_idx" ON "users"("tenant", "kind", "id") INCLUDE ("policy_met_at", "grace_until", "exempt_since", "exempt_until")
  WHERE enrolled_at IS NULL AND disabled_at IS NULL AND (grace_until IS NOT NULL OR exempt_since IS NOT NULL);
CREATE INDEX "users_disabled_idx" ON "users"("tenant", "id") WHERE disabled_at IS NOT NULL;
CREATE INDEX "users_administrators_idx" ON "users"("tenant", "id") WHERE administrator_at IS NOT NULL;
CREATE INDEX "throttles_locked_idx" ON "throttles"("tenant", "user_id") WHERE locked_at IS NOT NULL;
CREATE INDEX "recovery_codes_used_idx" ON "recovery_codes"("tenant", "user_id") WHERE used_at IS NOT NULL;

-- Rows of the one change often; rows of the other come and go, and are few if the dead ones are taken soon.
ALTER TABLE "user_tallies" SET (fillfactor = 80);
ALTER TABLE "user_tally_changes" SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);

-- How many people of each kind there are, as of now: the sum of these rows.
CREATE VIEW user_tallies_v1 AS
SELECT tenant, kind, is_enrolled, accounts, groups, users FROM user_tallies
UNION ALL
SELECT tenant, kind, is_enrolled, accounts, groups, change FROM user_tally_changes;

-- Records how somebody is counted now who was counted as `p_before` says: his row as it was, or null where he is new. For
-- whatever makes or erases somebody, disables or enables him, changes what is said of him, or gives or takes his first
-- factor; it has locked the row before, so that no two count the same change. Changes are added up later, and nobody
-- waits for anybody else's.
CREATE FUNCTION tally_user_v1(p_tenant text, p_user uuid, p_before users) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_after users%ROWTYPE;
BEGIN
  SELECT * INTO v_after FROM users WHERE tenant = p_tenant AND id = p_user;
  INSERT INTO user_tally_changes (tenant, kind, is_enrolled, accounts, groups, change)
  SELECT p_tenant, kind, is_enrolled, accounts, groups, sum(change) FROM (
    SELECT p_before.kind, p_before.enrolled_at IS NOT NULL AS is_enrolled, p_before.accounts, p_before.groups, -1 AS change
    WHERE p_before.id IS NOT NULL AND p_before.disabled_at IS NULL
    UNION ALL SELECT v_after.kind, v_after.enrolled_at IS NOT NULL, v_after.accounts, v_after.groups, 1
    WHERE v_after.id IS NOT NULL AND v_after.disabled_at IS NULL) AS c
  GROUP BY kind, is_enrolled, accounts, groups HAVING sum(change) <> 0;
END $$;

-- For whatever adds or removes a factor, when it has: keeps `enrolled_at` with it.
CREATE FUNCTION note_factors_v1(p_tenant text, p_user uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_before users%ROWTYPE;
  v_since timestamptz;
BEGIN
  SELECT * INTO v_before FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  SELECT min(confirmed_at) INTO v_since FROM factors WHERE tenant = p_tenant AND user_id = p_user;
  IF (v_since IS NULL) = (v_before.enrolled_at IS NULL) THEN RETURN; END IF;
  UPDATE users SET enrolled_at = v_since WHERE tenant = p_tenant AND id = p_user;
  PERFORM tally_user_v1(p_tenant, p_user, v_before);
END $$;

-- Adds some of a tenant's changes to its tallies. Decides: each is added once, however many replicas do this at a time.
CREATE FUNCTION fold_tallies_v1(p_tenant text, p_limit int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_folded int;
  v_kinds uuid[];
BEGIN
  WITH taken AS (
    DELETE FROM user_tally_changes
    WHERE tenant = p_tenant AND id = ANY(ARRAY(SELECT id FROM user_tally_changes WHERE tenant = p_tenant ORDER BY id LIMIT p_limit))
    RETURNING kind, is_enrolled, accounts, groups, change
  ), added AS (
    INSERT INTO user_tallies AS t (tenant, kind, is_enrolled, accounts, groups, users)
    SELECT p_tenant, kind, is_enrolled, accounts, groups, sum(change) FROM taken GROUP BY 1, 2, 3, 4, 5 HAVING sum(change) <> 0 ORDER BY kind, is_enrolled
    ON CONFLICT (tenant, kind, is_enrolled) DO UPDATE SET users = t.users + excluded.users
    RETURNING kind
  )
  SELECT (SELECT count(*) FROM taken), (SELECT array_agg(kind) FROM added) INTO v_folded, v_kinds;
  DELETE FROM user_tallies WHERE tenant = p_tenant AND kind = ANY(v_kinds) AND users = 0;
  RETURN jsonb_build_object('outcome', 'folded', 'changes', v_folded);
END $$;

-- Counts a tenant's people anew and records what the tallies are wrong by; answers how many people that concerns. Both are
-- read in one statement, and so are of one moment: it may run beside whatever else counts.
CREATE FUNCTION recount_users_v1(p_tenant text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_mended int;
BEGIN
  PERFORM note_factors_v1(p_tenant, u.id) FROM users u
  WHERE u.tenant = p_tenant AND (u.enrolled_at IS NULL) = EXISTS (SELECT 1 FROM factors f WHERE f.tenant = p_tenant AND f.user_id = u.id);
  INSERT INTO user_tally_changes (tenant, kind, is_enrolled, accounts, groups, change)
  SELECT p_tenant, kind, is_enrolled, accounts, groups, sum(users) FROM (
    SELECT kind, enrolled_at IS NOT NULL AS is_enrolled, accounts, groups, count(*) AS users FROM users
    WHERE tenant = p_tenant AND disabled_at IS NULL GROUP BY 1, 2, 3, 4
    UNION ALL SELECT kind, is_enrolled, accounts, groups, -users FROM user_tallies_v1 WHERE tenant = p_tenant) AS c
  GROUP BY kind, is_enrolled, accounts, groups HAVING sum(users) <> 0;
  GET DIAGNOSTICS v_mended = ROW_COUNT;
  RETURN jsonb_build_object('outcome', 'counted', 'mended', v_mended);
END $$;

-- The functions below are replaced and not given a new version: replicas of the release before call them as they did, and
-- whom they add or change is counted, too.

-- As before, and counts him.
CREATE OR REPLACE FUNCTION see_user_v1(
  p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_issuer text, p_claimed boolean, p_word jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_before users%ROWTYPE;
  v_id uuid;
BEGIN
  INSERT INTO users (tenant, id, namespace, subject, account, sources)
  VALUES (p_tenant, p_id, p_namespace, p_subject, coalesce(p_account, p_subject), jsonb_build_object(p_issuer, p_word))
  ON CONFLICT (tenant, namespace, subject) DO NOTHING
  RETURNING id INTO v_id;
  IF v_id IS NULL THEN
    SELECT * INTO v_before FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = p_subject FOR NO KEY UPDATE;
    -- Erased between the two: whoever asks finds nobody, and asks again.
    IF NOT FOUND THEN RETURN; END IF;
    v_id := v_before.id;
    UPDATE users u SET
      account = coalesce(p_account, u.account),
      sources = u.sources || jsonb_build_object(p_issuer,
        coalesce(u.sources->p_issuer, '{}') || p_word || CASE WHEN p_claimed THEN '{}'::jsonb ELSE jsonb_build_object(
          'local', (p_word->>'local')::boolean OR coalesce((u.sources->p_issuer->>'local')::boolean, false),
          'sso', (p_word->>'sso')::boolean OR coalesce((u.sources->p_issuer->>'sso')::boolean, false)) END)
    WHERE u.tenant = p_tenant AND u.id = v_id;
  END IF;
  INSERT INTO throttles (tenant, user_id, kind)
  VALUES (p_tenant, v_id, 'enroll'), (p_tenant, v_id, 'recovery'), (p_tenant, v_id, 'totp')
  ON CONFLICT DO NOTHING;
  PERFORM tally_user_v1(p_tenant, v_id, v_before);
END $$;

-- As before, and notes that he has a factor.
CREATE OR REPLACE FUNCTION confirm_factor_v1(
  p_tenant text, p_user uuid, p_epoch int, p_revision int, p_factor uuid, p_claim uuid, p_label text, p_step bigint,
  p_set uuid, p_codes jsonb, p_act jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_closed jsonb;
  v_user users%ROWTYPE;
  v_pending enrollments%ROWTYPE;
BEGIN
  SELECT * INTO v_user FROM users
  WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND revision = p_revision AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  v_closed := hold_throttle_v1(p_tenant, p_user, 'totp');
  IF v_closed IS NOT NULL THEN RETURN v_closed; END IF;
  v_now := clock_timestamp();
  DELETE FROM enrollments
  WHERE tenant = p_tenant AND user_id = p_user AND factor_id = p_factor AND claim = p_claim AND expires_at > v_now
  RETURNING * INTO v_pending;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'spent'); END IF;
  INSERT INTO factors (tenant, id, user_id, label, sealed, key_id, last_step, created_at, confirmed_at, after_recovery_at)
  VALUES (p_tenant, p_factor, p_user, p_label, v_pending.sealed, v_pending.key_id, p_step, v_pending.created_at, v_now, v_user.recovered_at);
  IF p_codes IS NOT NULL THEN
    PERFORM store_codes_v1(p_tenant, p_user, p_set, p_codes);
  END IF;
  UPDATE users SET revision = revision + 1 WHERE tenant = p_tenant AND id = p_user;
  PERFORM note_factors_v1(p_tenant, p_user);
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'totp';
  PERFORM audit_v1(p_tenant, p_user::text, 'factor.confirmed', 'success', 'totp', p_by,
    jsonb_build_object('factorId', p_factor, 'label', p_label));
  RETURN jsonb_build_object('outcome', 'confirmed', 'generation', remember_session_v1(p_tenant, p_user, p_epoch, p_act));
END $$;

-- As before, and notes if it was his last one.
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
  PERFORM note_factors_v1(p_tenant, p_user);
  PERFORM audit_v1(p_tenant, p_user::text, 'factor.removed', 'success', 'totp', p_by, jsonb_build_object(
    'factorId', p_factor, 'label', v_gone.label, 'confirmedAt', v_gone.confirmed_at, 'lastUsedAt', v_gone.last_used_at));
  RETURN jsonb_build_object('outcome', 'removed', 'epoch', v_epoch, 'generation', remember_session_v1(p_tenant, p_user, v_epoch, p_act));
END $$;

DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON user_tallies, user_tally_changes TO headless_mfa;
    GRANT SELECT ON user_tallies_v1 TO headless_mfa;
  END IF;
END $$;
