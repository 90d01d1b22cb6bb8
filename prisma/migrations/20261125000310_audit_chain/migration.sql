-- CreateTable
CREATE TABLE "audit_pending" (
    "tenant" TEXT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "id" UUID NOT NULL,

    CONSTRAINT "audit_pending_pkey" PRIMARY KEY ("tenant","at","id")
);

-- CreateTable
CREATE TABLE "audit_chain" (
    "tenant" TEXT NOT NULL,
    "position" BIGINT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "id" UUID NOT NULL,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "audit_chain_pkey" PRIMARY KEY ("tenant","position")
);

-- CreateTable
CREATE TABLE "audit_heads" (
    "tenant" TEXT NOT NULL,
    "count" BIGINT NOT NULL,
    "hash" BYTEA NOT NULL,
    "signed_count" BIGINT,
    "signed_at" TIMESTAMPTZ(6),

    CONSTRAINT "audit_heads_pkey" PRIMARY KEY ("tenant")
);

-- CreateTable
CREATE TABLE "audit_checkpoints" (
    "tenant" TEXT NOT NULL,
    "count" BIGINT NOT NULL,
    "until" TIMESTAMPTZ(6) NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "kept_since" TIMESTAMPTZ(6) NOT NULL,
    "kid" TEXT NOT NULL,
    "jws" TEXT NOT NULL,

    CONSTRAINT "audit_checkpoints_pkey" PRIMARY KEY ("tenant","count")
);

-- CreateTable
CREATE TABLE "leases" (
    "name" TEXT NOT NULL,
    "holder" UUID NOT NULL,
    "until" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "leases_pkey" PRIMARY KEY ("name")
);

-- CreateIndex
CREATE UNIQUE INDEX "audit_chain_tenant_at_id_key" ON "audit_chain"("tenant", "at", "id");

-- CreateIndex
CREATE INDEX "audit_checkpoints_kid_idx" ON "audit_checkpoints"("kid");

-- By hand, beyond what schema.prisma can say.

-- Rows come and go at each event: the table stays small if its dead rows are taken soon.
ALTER TABLE "audit_pending" SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE "audit_heads" SET (fillfactor = 50);

-- As before, and the event is entered for the chain in the same transaction. Nothing is chained here: events of one tenant
-- would wait for each other.
CREATE OR REPLACE FUNCTION audit_v1(
  p_tenant text, p_subject text, p_action text, p_outcome text, p_kind text, p_by jsonb, p_details jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_at timestamptz := clock_timestamp();
  v_id uuid := gen_random_uuid();
BEGIN
  INSERT INTO audit_events (tenant, at, id, actor, subject, action, outcome, factor_kind, address, request_id, details)
  VALUES (p_tenant, v_at, v_id, p_by->>'actor', p_subject, p_action, p_outcome, p_kind, p_by->>'address', p_by->>'requestId', p_details);
  INSERT INTO audit_pending (tenant, at, id) VALUES (p_tenant, v_at, v_id);
END $$;

INSERT INTO "audit_pending" SELECT tenant, at, id FROM "audit_events";

-- Takes or renews what one replica alone should do. Decides: of any number of replicas one holds it at a time.
CREATE FUNCTION take_lease_v1(p_name text, p_holder uuid, p_seconds int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  INSERT INTO leases AS l (name, holder, until) VALUES (p_name, p_holder, v_now + make_interval(secs => p_seconds))
  ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE l.holder = excluded.holder OR l.until < v_now;
  RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'held' ELSE 'taken' END);
END $$;

-- Appends events to a tenant's chain after `p_count` of them, of which the last had `p_hash` (hexadecimal, as the new
-- ones). Decides: of two that append to one head, one; the chain never forks, whoever holds the lease.
CREATE FUNCTION append_audit_v1(p_tenant text, p_count bigint, p_hash text, p_ats timestamptz[], p_ids uuid[], p_hashes text[])
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_new int := cardinality(p_ids);
  v_entered int;
BEGIN
  IF p_count = 0 THEN
    INSERT INTO audit_heads (tenant, count, hash) VALUES (p_tenant, 0, decode(p_hash, 'hex')) ON CONFLICT DO NOTHING;
  END IF;
  UPDATE audit_heads SET count = p_count + v_new, hash = decode(p_hashes[v_new], 'hex')
  WHERE tenant = p_tenant AND count = p_count AND hash = decode(p_hash, 'hex');
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  DELETE FROM audit_pending p USING unnest(p_ats, p_ids) AS e (at, id) WHERE p.tenant = p_tenant AND p.at = e.at AND p.id = e.id;
  GET DIAGNOSTICS v_entered = ROW_COUNT;
  IF v_entered <> v_new THEN RAISE EXCEPTION 'an event to be chained is not entered'; END IF;
  INSERT INTO audit_chain (tenant, position, at, id, hash)
  SELECT p_tenant, p_count + e.n, e.at, e.id, decode(e.hash, 'hex') FROM unnest(p_ats, p_ids, p_hashes) WITH ORDINALITY AS e (at, id, hash, n);
  RETURN jsonb_build_object('outcome', 'appended');
END $$;

-- Keeps a checkpoint, in place of those of the same day (UTC) with fewer events.
CREATE FUNCTION put_checkpoint_v1(
  p_tenant text, p_count bigint, p_until timestamptz, p_at timestamptz, p_kept_since timestamptz, p_kid text, p_jws text
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit_checkpoints (tenant, count, until, at, kept_since, kid, jws)
  VALUES (p_tenant, p_count, p_until, p_at, p_kept_since, p_kid, p_jws)
  ON CONFLICT (tenant, count) DO UPDATE SET until = excluded.until, at = excluded.at, kept_since = excluded.kept_since, kid = excluded.kid, jws = excluded.jws;
  DELETE FROM audit_checkpoints WHERE tenant = p_tenant AND count < p_count AND at >= date_trunc('day', p_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
  UPDATE audit_heads SET signed_count = p_count, signed_at = p_at WHERE tenant = p_tenant AND coalesce(signed_count, 0) <= p_count;
  RETURN jsonb_build_object('outcome', 'kept');
END $$;

DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    GRANT SELECT, INSERT ON audit_chain TO headless_mfa;
    GRANT SELECT, INSERT, DELETE ON audit_pending TO headless_mfa;
    GRANT SELECT, INSERT, UPDATE ON audit_heads, leases TO headless_mfa;
    GRANT SELECT, INSERT, UPDATE, DELETE ON audit_checkpoints TO headless_mfa;
  END IF;
END $$;
