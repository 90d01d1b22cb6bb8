-- CreateTable
CREATE TABLE "notices" (
    "tenant" TEXT NOT NULL,
    "id" UUID NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,
    "subject" TEXT NOT NULL DEFAULT '',
    "due_at" TIMESTAMPTZ(6) NOT NULL,
    "leased_until" TIMESTAMPTZ(6),
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "tried_since" TIMESTAMPTZ(6),
    "tried_at" TIMESTAMPTZ(6),
    "failure" TEXT,
    "parked_at" TIMESTAMPTZ(6),

    CONSTRAINT "notices_pkey" PRIMARY KEY ("tenant","id")
);

-- CreateTable
CREATE TABLE "notice_receivers" (
    "name" TEXT NOT NULL,
    "wanted_until" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "notice_receivers_pkey" PRIMARY KEY ("name")
);

-- CreateIndex
CREATE INDEX "notices_tenant_at_id_idx" ON "notices"("tenant", "at", "id");

-- CreateIndex
CREATE INDEX "notices_at_idx" ON "notices"("at");

-- By hand, beyond what schema.prisma can say.

-- Who is tried next, and whether somebody's older ones are still there. Both hold what waits and nothing else.
CREATE INDEX "notices_due_idx" ON "notices"("due_at") WHERE parked_at IS NULL;
CREATE INDEX "notices_order_idx" ON "notices"("tenant", "subject", "at", "id") WHERE parked_at IS NULL;

-- As before, and what concerns a user, the policy or an attack leaves a notice in the same transaction, whoever calls, if
-- there is a receiver. An insert and no more: no settlement waits for a delivery. Logins leave none.
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
  IF p_action = ANY ('{factor.confirmed,factor.removed,totp.locked,recovery.accepted,recovery.locked,recovery.low,recovery.regenerated,bypass.issued,bypass.used,user.unlocked,user.reset,user.signed_out,user.exempted,user.grace_set,user.disabled,user.enabled,user.erased,policy.changed,spray.suspected,guessing.suspected}')
    -- What was never confirmed was no factor.
    AND NOT p_details ? 'pending'
    AND EXISTS (SELECT 1 FROM notice_receivers WHERE wanted_until > v_at)
  THEN
    INSERT INTO notices (tenant, id, at, subject, due_at) VALUES (p_tenant, v_id, v_at, coalesce(p_subject, ''), v_at);
  END IF;
END $$;

-- There is a receiver: changes leave notices for a day from now. A replica that has one says so every hour.
CREATE FUNCTION want_notices_v1() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO notice_receivers AS r (name, wanted_until) VALUES ('webhook', clock_timestamp() + interval '24 hours')
  ON CONFLICT (name) DO UPDATE SET wanted_until = excluded.wanted_until;
  RETURN jsonb_build_object('outcome', 'wanted');
END $$;

-- Takes a notice, for `p_seconds`, to deliver it. Decides: of any number of workers one has it at a time, without waiting
-- for each other; and nobody's notice is delivered while an older one of his waits: it is due again when that one is.
CREATE FUNCTION claim_notice_v1(p_tenant text, p_id uuid, p_seconds int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_row notices%ROWTYPE;
  v_older notices%ROWTYPE;
  v_event audit_events%ROWTYPE;
  v_user users%ROWTYPE;
BEGIN
  SELECT * INTO v_row FROM notices
  WHERE tenant = p_tenant AND id = p_id AND parked_at IS NULL AND due_at <= v_now AND (leased_until IS NULL OR leased_until <= v_now)
  FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'taken'); END IF;
  SELECT * INTO v_older FROM notices
  WHERE tenant = p_tenant AND subject = v_row.subject AND parked_at IS NULL AND (at, id) < (v_row.at, v_row.id)
  ORDER BY at, id LIMIT 1;
  IF FOUND THEN
    UPDATE notices SET due_at = greatest(v_older.due_at, v_older.leased_until, v_now + interval '1 second') WHERE tenant = p_tenant AND id = p_id;
    RETURN jsonb_build_object('outcome', 'behind');
  END IF;
  SELECT * INTO v_event FROM audit_events WHERE tenant = p_tenant AND at = v_row.at AND id = p_id;
  IF NOT FOUND THEN
    DELETE FROM notices WHERE tenant = p_tenant AND id = p_id;
    RETURN jsonb_build_object('outcome', 'gone');
  END IF;
  UPDATE notices SET leased_until = v_now + make_interval(secs => p_seconds), attempts = attempts + 1, tried_since = coalesce(tried_since, v_now), tried_at = v_now
  WHERE tenant = p_tenant AND id = p_id;
  -- As he is called now: of somebody erased there is nothing left to tell.
  IF v_row.subject ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
    SELECT * INTO v_user FROM users WHERE tenant = p_tenant AND id = v_row.subject::uuid;
  END IF;
  RETURN jsonb_build_object('outcome', 'claimed', 'attempt', v_row.attempts + 1, 'event', jsonb_build_object(
    'type', v_event.action, 'timestamp', to_char(v_event.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'tenant', p_tenant,
    'userId', v_event.subject, 'namespace', v_user.namespace, 'subject', v_user.subject, 'account', v_user.account,
    'outcome', v_event.outcome, 'actor', v_event.actor, 'factorKind', v_event.factor_kind, 'address', v_event.address,
    'requestId', v_event.request_id, 'details', v_event.details));
END $$;

-- The next one of the same person is due at once. Answers its id, or null.
CREATE FUNCTION wake_notice_v1(p_tenant text, p_subject text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_id uuid;
BEGIN
  SELECT id INTO v_id FROM notices WHERE tenant = p_tenant AND subject = p_subject AND parked_at IS NULL ORDER BY at, id LIMIT 1;
  UPDATE notices SET due_at = least(due_at, v_now) WHERE tenant = p_tenant AND id = v_id;
  RETURN v_id;
END $$;

-- A notice was delivered, by the attempt of this number: it is gone. Decides: an attempt that took longer than its lease
-- leaves the notice to the one that has it now.
CREATE FUNCTION deliver_notice_v1(p_tenant text, p_id uuid, p_attempt int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_subject text;
BEGIN
  DELETE FROM notices WHERE tenant = p_tenant AND id = p_id AND attempts = p_attempt RETURNING subject INTO v_subject;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  RETURN jsonb_build_object('outcome', 'delivered', 'next', wake_notice_v1(p_tenant, v_subject));
END $$;

-- A notice was not delivered: it is tried again after as much time as has passed since the first try, which doubles it, from
-- five seconds to an hour; a day after the first try, or where that is of no use (p_is_final), it is parked. One that was
-- only interrupted is due at once.
CREATE FUNCTION fail_notice_v1(p_tenant text, p_id uuid, p_attempt int, p_failure text, p_is_final boolean, p_is_interrupted boolean)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_row notices%ROWTYPE;
  v_passed interval;
BEGIN
  SELECT * INTO v_row FROM notices WHERE tenant = p_tenant AND id = p_id AND attempts = p_attempt FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  v_passed := v_now - coalesce(v_row.tried_since, v_now);
  IF p_is_interrupted THEN
    v_row.due_at := v_now;
  ELSIF p_is_final OR v_passed >= interval '24 hours' THEN
    v_row.parked_at := v_now;
  ELSE
    -- Not all at one moment, where many have failed at one.
    v_row.due_at := v_now + least(greatest(v_passed, interval '5 seconds'), interval '1 hour') * (0.9 + 0.2 * random());
  END IF;
  UPDATE notices SET leased_until = NULL, due_at = v_row.due_at, parked_at = v_row.parked_at, failure = p_failure WHERE tenant = p_tenant AND id = p_id;
  IF v_row.parked_at IS NULL THEN RETURN jsonb_build_object('outcome', 'waiting'); END IF;
  RETURN jsonb_build_object('outcome', 'parked', 'next', wake_notice_v1(p_tenant, v_row.subject));
END $$;

-- An administrator has a notice tried again, now and for another day: in its place, which is before whatever came later and
-- still waits. `gone` for one that is not there: delivered, or nobody's.
CREATE FUNCTION retry_notice_v1(p_tenant text, p_id uuid, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_row notices%ROWTYPE;
  v_action text;
BEGIN
  UPDATE notices SET due_at = v_now, tried_since = NULL, parked_at = NULL WHERE tenant = p_tenant AND id = p_id RETURNING * INTO v_row;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  SELECT action INTO v_action FROM audit_events WHERE tenant = p_tenant AND at = v_row.at AND id = p_id;
  PERFORM audit_v1(p_tenant, nullif(v_row.subject, ''), 'notice.retried', 'success', NULL, p_by,
    jsonb_build_object('noticeId', p_id, 'type', v_action, 'attempts', v_row.attempts, 'failure', v_row.failure));
  RETURN jsonb_build_object('outcome', 'retried');
END $$;

DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON notices TO headless_mfa;
    GRANT SELECT, INSERT, UPDATE ON notice_receivers TO headless_mfa;
  END IF;
END $$;
