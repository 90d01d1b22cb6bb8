-- What schema.prisma cannot say, in the order in which a database is made from nothing. `npm run migrate:baseline` writes the
-- baseline migration from this file: a line that begins with `--!` stands for what it names.
--   --! function <name>                 the file prisma/functions/…/<name>.sql
--   --! tables                          the tables of schema.prisma, with the two kinds of addition below
--   --!   column <table>.<column> …     what follows goes behind the column's type
--   --!   table <table> …               what follows goes behind the table's bracket
--   --! indexes                         the indexes and foreign keys of schema.prisma
--   --! functions                       every function that was not named before, in the order of the folders

-- Generated columns, so that no statement can forget them. Their functions come before the tables.

--! function fold_account
--! function accounts_of
--! function groups_of
--! function cohort_of

--! tables
--!   column users.account_fold GENERATED ALWAYS AS (fold_account("account")) STORED
--!   column users.accounts GENERATED ALWAYS AS (accounts_of("sources")) STORED
--!   column users.groups GENERATED ALWAYS AS (groups_of("sources")) STORED
--!   column users.cohort GENERATED ALWAYS AS (cohort_of("sources")) STORED
--!   table audit_events PARTITION BY RANGE ("at")

--! indexes

-- What a row must be.

ALTER TABLE "users"
  ADD CONSTRAINT "users_grace" CHECK ((policy_met_at IS NULL) = (grace_until IS NULL)),
  ADD CONSTRAINT "users_exemption" CHECK ((exempt_since IS NULL) = (exempt_reason IS NULL) AND (exempt_since IS NULL) = (exempt_by IS NULL)
    AND (exempt_until IS NULL OR exempt_since IS NOT NULL));
ALTER TABLE "policies"
  ADD CONSTRAINT "policies_enforcement" CHECK (enforcement IN ('optional', 'report_only', 'required')),
  ADD CONSTRAINT "policies_sso_rule" CHECK (sso_rule IN ('exempt_sso_only', 'exempt_sso_session', 'none')),
  ADD CONSTRAINT "policies_phishing_resistant" CHECK (phishing_resistant IN ('off', 'administrators', 'required')),
  ADD CONSTRAINT "policies_devices" CHECK (trusted_device_days BETWEEN 0 AND 30),
  ADD CONSTRAINT "policies_grace" CHECK (grace_period_days BETWEEN 0 AND 365);
-- What each kind of factor needs: a kind of its own has a constraint of its own.
ALTER TABLE "factors" ADD CONSTRAINT "factors_totp" CHECK (kind <> 'totp' OR num_nulls(algorithm, digits, period) = 0);
ALTER TABLE "factors" ADD CONSTRAINT "factors_passkey" CHECK (kind <> 'passkey' OR
  (num_nulls(credential_id, rp_id, backup_eligible, aaguid, transports) = 0 AND length(credential_id) BETWEEN 1 AND 1023));
ALTER TABLE "enrollments" ADD CONSTRAINT "enrollments_totp" CHECK (kind <> 'totp' OR num_nulls(algorithm, digits, period) = 0);
ALTER TABLE "recovery_codes" ADD CONSTRAINT "recovery_codes_bcrypt" CHECK (hash ~ '^[$]2[aby][$]1[0-9][$]');
ALTER TABLE "bypasses" ADD CONSTRAINT "bypasses_bcrypt" CHECK (hash ~ '^[$]2[aby][$]1[0-9][$]');

-- For pages of users and for counts. Nothing in them changes at a login.
CREATE INDEX "users_enrolled_idx" ON "users"("tenant", "enrolled_at") WHERE enrolled_at IS NOT NULL AND disabled_at IS NULL;
-- Users without a factor, by cohort: those that are asked what all of their cohort are, and those with a deadline or an exemption of
-- their own, or a role.
CREATE INDEX "users_untimed_idx" ON "users"("tenant", "cohort", "id")
  WHERE enrolled_at IS NULL AND disabled_at IS NULL AND grace_until IS NULL AND exempt_since IS NULL AND administrator_at IS NULL;
CREATE INDEX "users_timed_idx" ON "users"("tenant", "cohort", "id")
  INCLUDE ("policy_met_at", "grace_until", "exempt_since", "exempt_until", "administrator_at")
  WHERE enrolled_at IS NULL AND disabled_at IS NULL
    AND (grace_until IS NOT NULL OR exempt_since IS NOT NULL OR administrator_at IS NOT NULL);
CREATE INDEX "users_disabled_idx" ON "users"("tenant", "id") WHERE disabled_at IS NOT NULL;
CREATE INDEX "users_administrators_idx" ON "users"("tenant", "id") WHERE administrator_at IS NOT NULL;
CREATE INDEX "throttles_locked_idx" ON "throttles"("tenant", "user_id") WHERE locked_at IS NOT NULL;
CREATE INDEX "factors_rp_id_idx" ON "factors"("tenant", "rp_id") WHERE rp_id IS NOT NULL;
CREATE INDEX "recovery_codes_used_idx" ON "recovery_codes"("tenant", "user_id") WHERE used_at IS NOT NULL;
-- A set is hashed with one pepper: its first code speaks for all ten.
CREATE INDEX "recovery_codes_pepper_id" ON "recovery_codes"("pepper_id") WHERE slot = 0;
-- What is not a login is rare among what is. Refused codes are rare among accepted ones, and are what is looked for after an
-- attack: where there are hardly any, a page of them would read a year of logins.
CREATE INDEX "audit_events_rare_idx" ON "audit_events"("tenant", "action", "at", "id") WHERE action NOT IN ('totp.accepted', 'totp.refused', 'passkey.accepted', 'device.used');
CREATE INDEX "audit_events_refused_idx" ON "audit_events"("tenant", "action", "at", "id") WHERE action = 'totp.refused';
-- Which event is tried next, and whether a user's older ones are still there. Both hold what waits and nothing else.
CREATE INDEX "webhook_events_due_idx" ON "webhook_events"("due_at") WHERE parked_at IS NULL;
CREATE INDEX "webhook_events_order_idx" ON "webhook_events"("tenant", "subject", "at", "id") WHERE parked_at IS NULL;

-- No first sight waits until what others left is sorted in, and no page reads it.
ALTER INDEX "users_groups_idx" SET (fastupdate = off);

-- Rows that change often keep room for their next version on the page. At a login, none of what changes is indexed.
ALTER TABLE "factors" SET (fillfactor = 80);
ALTER TABLE "throttles" SET (fillfactor = 80);
ALTER TABLE "user_tallies" SET (fillfactor = 80);
ALTER TABLE "audit_heads" SET (fillfactor = 50);
-- Rows that come and go: the tables stay small if their dead rows are taken soon.
ALTER TABLE "audit_pending" SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE "user_tally_changes" SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);

-- How many users of each cohort there are, as of now: the sum of these rows.
CREATE VIEW current_tallies AS
SELECT tenant, cohort, is_enrolled, accounts, groups, users FROM user_tallies
UNION ALL
SELECT tenant, cohort, is_enrolled, accounts, groups, change FROM user_tally_changes;

--! functions

-- The audit in one partition per month, so that retention drops a table instead of deleting rows. The default one takes what
-- comes while its month is not there yet: no request is refused because a job did not run.
CREATE TABLE "audit_events_default" PARTITION OF "audit_events" DEFAULT;
DO $$ BEGIN
  PERFORM add_audit_partition((date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month') AT TIME ZONE 'UTC')
  FROM generate_series(0, 3) AS n;
END $$;

-- The role of the service: it reads and writes, changes no table, and cannot rewrite the audit. Give it to the service's
-- login: GRANT headless_mfa TO <login>. A role belongs to the whole server, and another database may have made it;
-- where the owner may not make roles, an administrator does, and runs the block below it.
DO $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    CREATE ROLE headless_mfa NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN
  RAISE NOTICE 'the role headless_mfa was not made here';
END $$;
DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON users, user_tallies, user_tally_changes, enrollments, factors, recovery_sets, recovery_codes,
      bypasses, throttles, refusals, policies, mfa_sessions, devices, revocations, audit_checkpoints, webhook_events, failures, suspicions
      TO headless_mfa;
    GRANT SELECT, INSERT, UPDATE ON audit_heads, webhook_endpoints, leases, keys TO headless_mfa;
    GRANT SELECT, INSERT, DELETE ON tombstones, audit_pending TO headless_mfa;
    GRANT SELECT, INSERT ON audit_events, audit_chain TO headless_mfa;
    GRANT SELECT ON current_tallies TO headless_mfa;
  END IF;
END $$;
