-- CreateTable
CREATE TABLE "failures" (
    "tenant" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "source" TEXT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "failures_pkey" PRIMARY KEY ("tenant","user_id","source")
);

-- CreateTable
CREATE TABLE "suspicions" (
    "tenant" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "suspicions_pkey" PRIMARY KEY ("tenant","action","key")
);

-- CreateIndex
CREATE INDEX "failures_at_idx" ON "failures"("at");

-- By hand, beyond what schema.prisma can say. Attacks are looked for behind the log, by the replica that chains it: no login
-- pays for it, and no function that counts a failure has to know.

-- Enters whose codes were refused, from where, and when; of two times of one the later.
CREATE FUNCTION note_failures_v1(p_tenant text, p_users text[], p_sources text[], p_ats timestamptz[]) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO failures AS f (tenant, user_id, source, at)
  SELECT p_tenant, e.user_id, e.source, max(e.at) FROM unnest(p_users, p_sources, p_ats) AS e (user_id, source, at)
  GROUP BY e.user_id, e.source ORDER BY e.user_id, e.source
  ON CONFLICT (tenant, user_id, source) DO UPDATE SET at = greatest(f.at, excluded.at);
  RETURN jsonb_build_object('outcome', 'noted');
END $$;

-- Records a suspicion, unless it was known in the last `p_seconds`. Decides: of any number that have it at once, one is told of.
CREATE FUNCTION suspect_v1(
  p_tenant text, p_action text, p_key text, p_seconds int, p_subject text, p_outcome text, p_kind text, p_by jsonb, p_details jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_since timestamptz := v_now - make_interval(secs => p_seconds);
BEGIN
  INSERT INTO suspicions AS s (tenant, action, key, at) VALUES (p_tenant, p_action, p_key, v_now)
  ON CONFLICT (tenant, action, key) DO UPDATE SET at = excluded.at WHERE s.at <= v_since;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'known'); END IF;
  PERFORM audit_v1(p_tenant, p_subject, p_action, p_outcome, p_kind, p_by, p_details);
  RETURN jsonb_build_object('outcome', 'suspected');
END $$;

-- Is somebody guessing this person's codes? `p_at` is when one was refused (p_outcome `failure`), or accepted after others had
-- been (`success`): with five refused in the 24 hours before, it is told, each once in 24 hours. What cost no attempt is none.
CREATE FUNCTION suspect_guessing_v1(p_tenant text, p_user text, p_at timestamptz, p_outcome text, p_kind text, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_failures int;
BEGIN
  SELECT count(*) INTO v_failures FROM audit_events
  WHERE tenant = p_tenant AND subject = p_user AND at > p_at - interval '24 hours' AND at <= p_at
    AND action IN ('totp.refused', 'recovery.refused') AND NOT details ? 'cause';
  IF v_failures < 5 THEN RETURN jsonb_build_object('outcome', 'few'); END IF;
  RETURN suspect_v1(p_tenant, 'guessing.suspected', p_user || ' ' || p_outcome, 86400, p_user, p_outcome, p_kind, p_by,
    jsonb_build_object('failures', v_failures, 'hours', 24));
END $$;

-- Is somebody trying codes on many people? From one source (`p_source`), or, null, from wherever: then only if more people of
-- the tenant failed than passed in that hour. Told once an hour.
CREATE FUNCTION suspect_spray_v1(p_tenant text, p_source text, p_users int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_details jsonb := jsonb_build_object('users', p_users, 'hours', 1);
  v_passed int;
BEGIN
  IF p_source IS NOT NULL THEN
    RETURN suspect_v1(p_tenant, 'spray.suspected', p_source, 3600, NULL, 'failure', NULL, '{}', v_details || jsonb_build_object('source', p_source));
  END IF;
  -- The log of an hour is read only where nobody knows yet.
  IF EXISTS (SELECT 1 FROM suspicions WHERE tenant = p_tenant AND action = 'spray.suspected' AND key = '*' AND at > clock_timestamp() - interval '1 hour') THEN
    RETURN jsonb_build_object('outcome', 'known');
  END IF;
  SELECT count(DISTINCT subject) INTO v_passed FROM audit_events
  WHERE tenant = p_tenant AND at > clock_timestamp() - interval '1 hour' AND action IN ('totp.accepted', 'recovery.accepted', 'bypass.used');
  IF v_passed >= p_users THEN RETURN jsonb_build_object('outcome', 'few'); END IF;
  RETURN suspect_v1(p_tenant, 'spray.suspected', '*', 3600, NULL, 'failure', NULL, '{}', v_details || jsonb_build_object('passed', v_passed));
END $$;

DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON failures, suspicions TO headless_mfa;
  END IF;
END $$;
