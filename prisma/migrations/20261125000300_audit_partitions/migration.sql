-- The audit in one partition per month, so that retention drops a table instead of deleting rows. Rows that are there stay.
-- All by hand: schema.prisma cannot say it.

ALTER TABLE "audit_events" RENAME TO "audit_events_before";
ALTER TABLE "audit_events_before" RENAME CONSTRAINT "audit_events_pkey" TO "audit_events_before_pkey";

CREATE TABLE "audit_events" (
    "tenant" TEXT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "actor" TEXT,
    "subject" TEXT,
    "action" TEXT NOT NULL,
    "outcome" TEXT NOT NULL,
    "factor_kind" TEXT,
    "address" TEXT,
    "request_id" TEXT,
    "details" JSONB NOT NULL DEFAULT '{}',

    CONSTRAINT "audit_events_pkey" PRIMARY KEY ("tenant","at","id")
) PARTITION BY RANGE ("at");

-- Whom it is about and who did it are looked for in the whole time; what is not a login is rare among what is.
CREATE INDEX "audit_events_tenant_subject_at_id_idx" ON "audit_events"("tenant", "subject", "at", "id");
CREATE INDEX "audit_events_tenant_actor_at_id_idx" ON "audit_events"("tenant", "actor", "at", "id");
CREATE INDEX "audit_events_rare_idx" ON "audit_events"("tenant", "action", "at", "id") WHERE action NOT IN ('totp.accepted', 'totp.refused');

-- What comes while its month is not there yet: nobody is refused because a job did not run.
CREATE TABLE "audit_events_default" PARTITION OF "audit_events" DEFAULT;

-- Makes the partition of a month (UTC), and moves into it what came before it was there. For the owner of the tables alone.
-- Inserts go on, but for those that would go to the default partition: they wait.
CREATE FUNCTION add_audit_partition_v1(p_at timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_month timestamp := date_trunc('month', p_at AT TIME ZONE 'UTC');
  v_from timestamptz := v_month AT TIME ZONE 'UTC';
  v_to timestamptz := (v_month + interval '1 month') AT TIME ZONE 'UTC';
  v_name text := to_char(v_month, '"audit_events_"YYYY_MM');
BEGIN
  IF to_regclass(v_name) IS NOT NULL THEN RETURN false; END IF;
  LOCK TABLE audit_events_default IN ACCESS EXCLUSIVE MODE;
  EXECUTE format('CREATE TABLE %I (LIKE audit_events INCLUDING DEFAULTS)', v_name);
  EXECUTE format('WITH moved AS (DELETE FROM audit_events_default WHERE at >= %L AND at < %L RETURNING *) INSERT INTO %I SELECT * FROM moved',
    v_from, v_to, v_name);
  EXECUTE format('ALTER TABLE audit_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', v_name, v_from, v_to);
  RETURN true;
END $$;

INSERT INTO "audit_events" SELECT * FROM "audit_events_before";
DROP TABLE "audit_events_before";

DO $$ BEGIN
  PERFORM add_audit_partition_v1(month) FROM (SELECT DISTINCT date_trunc('month', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS month FROM audit_events) AS months;
  PERFORM add_audit_partition_v1((date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month') AT TIME ZONE 'UTC') FROM generate_series(0, 3) AS n;
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    GRANT SELECT, INSERT ON audit_events TO headless_mfa;
  END IF;
END $$;
