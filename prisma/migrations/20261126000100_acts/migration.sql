-- AlterTable
ALTER TABLE "users" ADD COLUMN     "code_required_at" TIMESTAMPTZ(6),
ADD COLUMN     "tokens_since" TIMESTAMPTZ(6);

-- CreateTable
CREATE TABLE "bypasses" (
    "tenant" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "id" UUID NOT NULL,
    "hash" TEXT NOT NULL,
    "pepper_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(6) NOT NULL,
    "used_at" TIMESTAMPTZ(6),

    CONSTRAINT "bypasses_pkey" PRIMARY KEY ("tenant","user_id")
);

-- CreateTable
CREATE TABLE "traces" (
    "tenant" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "pepper_id" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL,
    "disabled_at" TIMESTAMPTZ(6),
    "erased_at" TIMESTAMPTZ(6) NOT NULL,

    CONSTRAINT "traces_pkey" PRIMARY KEY ("tenant","hash")
);

-- CreateIndex
CREATE INDEX "bypasses_expires_at_idx" ON "bypasses"("expires_at");

-- AddForeignKey
ALTER TABLE "bypasses" ADD CONSTRAINT "bypasses_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- CreateIndex
CREATE INDEX "traces_pepper_id_idx" ON "traces"("pepper_id");

-- By hand, beyond what schema.prisma can say.

ALTER TABLE "bypasses" ADD CONSTRAINT "bypasses_bcrypt" CHECK (hash ~ '^[$]2[aby][$]1[0-9][$]');
-- What was allowed still is: no row need be looked at.
ALTER TABLE "throttles" DROP CONSTRAINT "throttles_kind",
  ADD CONSTRAINT "throttles_kind" CHECK (kind IN ('totp', 'recovery', 'bypass', 'enroll')) NOT VALID;

-- What administrators do to one user. Each settlement locks his row first, is audited with the reason, and answers `gone`
-- for nobody, `forbidden` where support would touch somebody who was ever seen with an `mfa:` role. Throttles are locked
-- in the order of their kinds: bypass, enroll, recovery, totp. What counts people (tally_user_v1, note_factors_v1) comes with
-- a later migration, and so does what see_user_v1 and confirm_factor_v1 do then.

-- Locks somebody for an administrator: null, or the outcome that forbids it.
CREATE FUNCTION hold_user_v1(p_tenant text, p_user uuid, p_is_support boolean) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_is_administrator boolean;
BEGIN
  SELECT administrator_at IS NOT NULL INTO v_is_administrator FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  IF p_is_support AND v_is_administrator THEN RETURN jsonb_build_object('outcome', 'forbidden'); END IF;
  RETURN NULL;
END $$;

-- Clears run, wait, lock and budget of every kind. Answers what there was, by kind, for the audit.
CREATE FUNCTION clear_throttles_v1(p_tenant text, p_user uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_cleared jsonb;
BEGIN
  PERFORM 1 FROM throttles WHERE tenant = p_tenant AND user_id = p_user ORDER BY kind FOR UPDATE;
  SELECT coalesce(jsonb_object_agg(kind, jsonb_build_object('failures', failures, 'waitUntil', wait_until, 'lockedAt', locked_at,
    'budget', cardinality(recent))), '{}') INTO v_cleared
  FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND (failures > 0 OR tries > 0 OR locked_at IS NOT NULL OR recent <> '{}');
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}'
  WHERE tenant = p_tenant AND user_id = p_user;
  RETURN v_cleared;
END $$;

-- Puts a bypass in the place of any earlier one; its failures are counted from zero. p_bypass is {id, hash, pepperId, seconds}.
CREATE FUNCTION store_bypass_v1(p_tenant text, p_user uuid, p_bypass jsonb) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_until timestamptz := v_now + make_interval(secs => (p_bypass->>'seconds')::int);
BEGIN
  INSERT INTO throttles (tenant, user_id, kind) VALUES (p_tenant, p_user, 'bypass')
  ON CONFLICT (tenant, user_id, kind) DO UPDATE SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}';
  DELETE FROM bypasses WHERE tenant = p_tenant AND user_id = p_user;
  INSERT INTO bypasses (tenant, user_id, id, hash, pepper_id, created_at, expires_at)
  VALUES (p_tenant, p_user, (p_bypass->>'id')::uuid, p_bypass->>'hash', p_bypass->>'pepperId', v_now, v_until);
  RETURN v_until;
END $$;

-- Gives somebody a code for one login. Decides: of parallel ones the last one committed stands.
CREATE FUNCTION issue_bypass_v1(p_tenant text, p_user uuid, p_reason text, p_bypass jsonb, p_is_support boolean, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := hold_user_v1(p_tenant, p_user, p_is_support);
  v_until timestamptz;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  v_until := store_bypass_v1(p_tenant, p_user, p_bypass);
  PERFORM audit_v1(p_tenant, p_user::text, 'bypass.issued', 'success', NULL, p_by, jsonb_build_object('reason', p_reason, 'expiresAt', v_until));
  RETURN jsonb_build_object('outcome', 'issued', 'expiresAt', v_until);
END $$;

-- Takes all factors and codes from somebody and ends his MFA tokens. With a bypass nobody sets up a factor anew without it,
-- or a later one. Decides: of parallel resets one; a confirmation, new codes or a code that come later find another epoch.
-- The audit keeps what there was. A grace that was given once is not given again.
CREATE FUNCTION reset_user_v1(p_tenant text, p_user uuid, p_reason text, p_bypass jsonb, p_is_support boolean, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := hold_user_v1(p_tenant, p_user, p_is_support);
  v_cleared jsonb;
  v_factors jsonb;
  v_until timestamptz;
  v_epoch int;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  IF NOT EXISTS (SELECT 1 FROM factors WHERE tenant = p_tenant AND user_id = p_user)
    AND NOT EXISTS (SELECT 1 FROM enrollments WHERE tenant = p_tenant AND user_id = p_user AND expires_at > clock_timestamp()) THEN
    RETURN jsonb_build_object('outcome', 'nothing');
  END IF;
  v_cleared := clear_throttles_v1(p_tenant, p_user);
  SELECT coalesce(jsonb_agg(jsonb_build_object('factorId', id, 'label', label, 'confirmedAt', confirmed_at, 'lastUsedAt', last_used_at)
    ORDER BY confirmed_at, id), '[]') INTO v_factors FROM factors WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM factors WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM recovery_sets WHERE tenant = p_tenant AND user_id = p_user;
  PERFORM note_factors_v1(p_tenant, p_user);
  DELETE FROM bypasses WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = p_user;
  UPDATE users SET revision = revision + 1, code_required_at = CASE WHEN p_bypass IS NOT NULL THEN clock_timestamp() END
  WHERE tenant = p_tenant AND id = p_user;
  v_epoch := move_epoch_v1(p_tenant, p_user);
  PERFORM audit_v1(p_tenant, p_user::text, 'user.reset', 'success', NULL, p_by, jsonb_build_object(
    'reason', p_reason, 'requireCode', p_bypass IS NOT NULL, 'factors', v_factors, 'cleared', v_cleared));
  IF p_bypass IS NOT NULL THEN
    v_until := store_bypass_v1(p_tenant, p_user, p_bypass);
    PERFORM audit_v1(p_tenant, p_user::text, 'bypass.issued', 'success', NULL, p_by, jsonb_build_object('reason', p_reason, 'expiresAt', v_until));
  END IF;
  RETURN jsonb_build_object('outcome', 'reset', 'factors', jsonb_array_length(v_factors), 'expiresAt', v_until);
END $$;

-- Ends every wait and lock. Failures that are counted beside it come before it or after it, whole.
CREATE FUNCTION unlock_user_v1(p_tenant text, p_user uuid, p_reason text, p_is_support boolean, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := hold_user_v1(p_tenant, p_user, p_is_support);
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  PERFORM audit_v1(p_tenant, p_user::text, 'user.unlocked', 'success', NULL, p_by,
    jsonb_build_object('reason', p_reason, 'cleared', clear_throttles_v1(p_tenant, p_user)));
  RETURN jsonb_build_object('outcome', 'unlocked');
END $$;

-- Signs somebody out everywhere, whatever his epoch is.
CREATE FUNCTION sign_out_user_v1(p_tenant text, p_user uuid, p_reason text, p_is_support boolean, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := hold_user_v1(p_tenant, p_user, p_is_support);
  v_epoch int;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  v_epoch := move_epoch_v1(p_tenant, p_user);
  DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = p_user;
  PERFORM audit_v1(p_tenant, p_user::text, 'user.signed_out', 'success', NULL, p_by, jsonb_build_object('reason', p_reason));
  RETURN jsonb_build_object('outcome', 'signed_out');
END $$;

-- Lets somebody in again who was disabled.
CREATE FUNCTION enable_user_v1(p_tenant text, p_user uuid, p_reason text, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_before users%ROWTYPE;
BEGIN
  SELECT * INTO v_before FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  IF v_before.disabled_at IS NULL THEN RETURN jsonb_build_object('outcome', 'nothing'); END IF;
  UPDATE users SET disabled_at = NULL WHERE tenant = p_tenant AND id = p_user;
  PERFORM tally_user_v1(p_tenant, p_user, v_before);
  PERFORM audit_v1(p_tenant, p_user::text, 'user.enabled', 'success', NULL, p_by, jsonb_build_object('reason', p_reason));
  RETURN jsonb_build_object('outcome', 'enabled');
END $$;

-- Takes a person out of the database; the trace stays: p_trace is {hash, pepperId, hashes: those of every pepper, at}, and
-- `at` what a replica's clock says, since it is by replicas' clocks that tokens were issued: the later one counts. Decides:
-- what waits for him finds nobody, and what he would be recorded by anew finds the trace. Rows are locked as everybody locks
-- them before his own goes, which those who add a row to him hold.
CREATE FUNCTION erase_user_v1(p_tenant text, p_user uuid, p_reason text, p_trace jsonb, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := hold_user_v1(p_tenant, p_user, false);
  v_before users%ROWTYPE;
  v_epoch int;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  PERFORM 1 FROM throttles WHERE tenant = p_tenant AND user_id = p_user ORDER BY kind FOR UPDATE;
  v_epoch := move_epoch_v1(p_tenant, p_user);
  SELECT * INTO v_before FROM users WHERE tenant = p_tenant AND id = p_user;
  DELETE FROM traces WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_trace->'hashes'));
  INSERT INTO traces (tenant, hash, pepper_id, epoch, disabled_at, erased_at)
  VALUES (p_tenant, p_trace->>'hash', p_trace->>'pepperId', v_epoch, v_before.disabled_at, greatest(clock_timestamp(), (p_trace->>'at')::timestamptz));
  PERFORM audit_v1(p_tenant, p_user::text, 'user.erased', 'success', NULL, p_by, jsonb_build_object('reason', p_reason));
  DELETE FROM users WHERE tenant = p_tenant AND id = p_user;
  PERFORM tally_user_v1(p_tenant, p_user, v_before);
  RETURN jsonb_build_object('outcome', 'erased');
END $$;

-- Makes somebody anew who was erased, if he was and is not there again: with an epoch that no token of his has, and disabled
-- if he was. p_hashes are what his trace would be under each pepper.
CREATE FUNCTION revive_user_v1(p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_hashes jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO users (tenant, id, namespace, subject, account, epoch, tokens_since, disabled_at)
  SELECT p_tenant, p_id, p_namespace, p_subject, coalesce(p_account, p_subject), epoch + 1, erased_at, disabled_at
  FROM traces WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_hashes))
  ON CONFLICT (tenant, namespace, subject) DO NOTHING;
  IF FOUND THEN PERFORM tally_user_v1(p_tenant, p_id, NULL); END IF;
END $$;

-- Records the first sight of somebody, or the newer word of an issuer about him, as see_user_v1 does, but not of somebody
-- who was erased since the token was issued: `erased`. Whoever comes back later is made anew. Decides: of a first sight and
-- an erasure at the same moment, the erasure stands.
CREATE FUNCTION see_user_v2(
  p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_issuer text, p_claimed boolean, p_word jsonb,
  p_issued_at timestamptz, p_hashes jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_trace traces%ROWTYPE;
  v_after traces%ROWTYPE;
BEGIN
  SELECT * INTO v_trace FROM traces WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_hashes));
  IF p_issued_at <= v_trace.erased_at THEN RETURN jsonb_build_object('outcome', 'erased'); END IF;
  IF FOUND THEN PERFORM revive_user_v1(p_tenant, p_id, p_namespace, p_subject, p_account, p_hashes); END IF;
  PERFORM see_user_v1(p_tenant, p_id, p_namespace, p_subject, p_account, p_issuer, p_claimed, p_word);
  -- An erasure that was waited for is seen by now.
  SELECT * INTO v_after FROM traces WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_hashes));
  IF v_after IS DISTINCT FROM v_trace OR NOT EXISTS (SELECT 1 FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = p_subject) THEN
    RAISE EXCEPTION USING ERRCODE = 'ERASE';
  END IF;
  RETURN jsonb_build_object('outcome', 'seen');
EXCEPTION WHEN SQLSTATE 'ERASE' THEN
  RETURN jsonb_build_object('outcome', 'erased');
END $$;

-- As before, and counts what was tried as a bypass under a kind of its own, whether or not there is one.
CREATE OR REPLACE FUNCTION refuse_code_v1(
  p_tenant text, p_user uuid, p_kind text, p_weight int, p_limits jsonb, p_pending uuid, p_by jsonb, p_details jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_closed jsonb;
  v_now timestamptz := clock_timestamp();
  v_row throttles%ROWTYPE;
  v_waits int := jsonb_array_length(p_limits->'waits');
  v_wait double precision;
  v_recent timestamptz[];
  v_day int := (p_limits->>'day')::int;
  v_month int := (p_limits->>'month')::int;
  v_call text := CASE p_kind WHEN 'bypass' THEN 'recovery' ELSE p_kind END;
BEGIN
  IF p_kind = 'bypass' THEN
    INSERT INTO throttles (tenant, user_id, kind) VALUES (p_tenant, p_user, p_kind) ON CONFLICT DO NOTHING;
  END IF;
  v_closed := hold_throttle_v1(p_tenant, p_user, p_kind);
  IF v_closed IS NOT NULL THEN RETURN v_closed; END IF;
  SELECT * INTO v_row FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  v_row.failures := v_row.failures + 1;
  v_row.tries := v_row.tries + p_weight;
  v_recent := ARRAY(SELECT f FROM unnest(v_row.recent) AS f WHERE f > v_now - interval '30 days' ORDER BY f)
    || array_fill(v_now, ARRAY[p_weight]);
  v_wait := least((p_limits->>'maxWait')::double precision,
    (p_limits->'waits'->>(least(v_row.failures, v_waits) - 1))::double precision
      * power(2::double precision, least(greatest(v_row.failures - v_waits, 0), 30)));
  -- The budget opens again when so many failures have aged that fewer than its number are left.
  v_row.wait_until := greatest(
    v_now + make_interval(secs => v_wait),
    v_recent[cardinality(v_recent) - v_day + 1] + interval '24 hours',
    v_recent[cardinality(v_recent) - v_month + 1] + interval '30 days');
  UPDATE throttles SET failures = v_row.failures, tries = v_row.tries, recent = v_recent,
    wait_until = CASE WHEN v_row.wait_until > v_now THEN v_row.wait_until END,
    locked_at = CASE WHEN v_row.tries >= (p_limits->>'lock')::int THEN v_now END
  WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  IF p_pending IS NOT NULL THEN
    DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user AND factor_id = p_pending AND attempts >= 4;
    UPDATE enrollments SET attempts = attempts + 1
    WHERE tenant = p_tenant AND user_id = p_user AND factor_id = p_pending;
  END IF;
  PERFORM audit_v1(p_tenant, p_user::text, v_call || '.refused', 'failure', p_kind, p_by, p_details);
  IF v_row.tries >= (p_limits->>'lock')::int THEN
    PERFORM audit_v1(p_tenant, p_user::text, v_call || '.locked', 'failure', p_kind, p_by, '{}');
  END IF;
  RETURN jsonb_build_object('outcome', 'refused');
END $$;

-- Spends a bypass. Decides: one use out of any number, before it ends. What a recovery code clears and says of the factors
-- that come after it, a bypass does too.
CREATE FUNCTION accept_bypass_v1(p_tenant text, p_user uuid, p_epoch int, p_hash text, p_act jsonb, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_closed jsonb;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'spent'); END IF;
  v_closed := hold_throttle_v1(p_tenant, p_user, 'bypass');
  IF v_closed IS NOT NULL THEN RETURN v_closed; END IF;
  UPDATE bypasses SET used_at = clock_timestamp()
  WHERE tenant = p_tenant AND user_id = p_user AND hash = p_hash AND used_at IS NULL AND expires_at > clock_timestamp();
  IF NOT FOUND THEN
    PERFORM audit_v1(p_tenant, p_user::text, 'recovery.refused', 'failure', 'bypass', p_by, '{"cause": "spent"}');
    RETURN jsonb_build_object('outcome', 'spent');
  END IF;
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'bypass';
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}'
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'totp';
  UPDATE users SET recovered_at = clock_timestamp() WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit_v1(p_tenant, p_user::text, 'bypass.used', 'success', 'bypass', p_by, '{}');
  RETURN jsonb_build_object('outcome', 'accepted',
    'remaining', (SELECT count(*) FROM recovery_codes WHERE tenant = p_tenant AND user_id = p_user AND used_at IS NULL),
    'generation', remember_session_v1(p_tenant, p_user, p_epoch, p_act));
END $$;

-- Starts an enrollment as start_enrollment_v1 does, for whom the decision was about: not after a reset that came between.
CREATE FUNCTION start_enrollment_v2(
  p_tenant text, p_user uuid, p_epoch int, p_factor uuid, p_label text, p_session text, p_sealed bytea, p_key_id text,
  p_ttl_seconds int, p_per_hour int, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  RETURN start_enrollment_v1(p_tenant, p_user, p_factor, p_label, p_session, p_sealed, p_key_id, p_ttl_seconds, p_per_hour, p_by);
END $$;

-- Has somebody who administers set up a factor, so that there is somebody to ask for a code?
CREATE FUNCTION has_administrator_v1(p_tenant text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT 1 FROM users WHERE tenant = p_tenant AND administrator_at IS NOT NULL AND enrolled_at IS NOT NULL AND disabled_at IS NULL);
END $$;

-- Confirms as confirm_factor_v1 does. p_rule says what the first factor rests on: `lone`, that the tenant has no enrolled
-- administrator yet; decides: of several first administrators at the same moment one sets up his factor without a code.
-- `young`, that no code was asked though administrators need one: then it, and what is set up by it, administers as late as
-- what comes after a recovery.
CREATE FUNCTION confirm_factor_v2(
  p_tenant text, p_user uuid, p_epoch int, p_revision int, p_factor uuid, p_claim uuid, p_label text, p_step bigint,
  p_set uuid, p_codes jsonb, p_rule text, p_act jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_result jsonb;
  v_now timestamptz;
BEGIN
  IF p_rule = 'lone' THEN
    PERFORM pg_advisory_xact_lock(hashtextextended('first administrator of ' || p_tenant, 0));
    IF has_administrator_v1(p_tenant) THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  END IF;
  v_result := confirm_factor_v1(p_tenant, p_user, p_epoch, p_revision, p_factor, p_claim, p_label, p_step, p_set, p_codes, p_act, p_by);
  IF v_result->>'outcome' <> 'confirmed' THEN RETURN v_result; END IF;
  v_now := clock_timestamp();
  UPDATE users SET code_required_at = NULL, recovered_at = CASE WHEN p_rule = 'young' THEN v_now ELSE recovered_at END
  WHERE tenant = p_tenant AND id = p_user AND (p_rule = 'young' OR code_required_at IS NOT NULL);
  UPDATE factors SET after_recovery_at = v_now WHERE p_rule = 'young' AND tenant = p_tenant AND id = p_factor;
  RETURN v_result;
END $$;

-- Everything that a decision about one person needs, as one row: read by its tenant and id, or tenant and subject. With
-- the time of the reading, by which deadlines and exemptions end.
CREATE VIEW person_v3 AS
SELECT u.tenant, u.id, u.namespace, u.subject, u.account, u.epoch, u.revision, u.sources,
  u.disabled_at IS NOT NULL AS is_disabled,
  u.administrator_at IS NOT NULL AS is_administrator,
  u.code_required_at IS NOT NULL AS is_code_required, u.tokens_since,
  u.created_at, clock_timestamp() AS read_at, u.policy_met_at, u.grace_until, u.reported_version,
  u.exempt_since, u.exempt_until, u.exempt_reason, u.exempt_by,
  (SELECT jsonb_agg(jsonb_build_object('id', f.id, 'label', f.label, 'sealed', encode(f.sealed, 'hex'), 'keyId', f.key_id,
      'algorithm', f.algorithm, 'digits', f.digits, 'period', f.period, 'lastStep', f.last_step, 'createdAt', f.created_at,
      'confirmedAt', f.confirmed_at, 'lastUsedAt', f.last_used_at, 'afterRecoveryAt', f.after_recovery_at)
      ORDER BY f.confirmed_at, f.id)
    FROM factors f WHERE f.tenant = u.tenant AND f.user_id = u.id) AS factors,
  (SELECT jsonb_build_object('factorId', e.factor_id, 'label', e.label, 'session', e.session,
      'sealed', encode(e.sealed, 'hex'), 'keyId', e.key_id, 'createdAt', e.created_at)
    FROM enrollments e WHERE e.tenant = u.tenant AND e.user_id = u.id AND e.expires_at > clock_timestamp()) AS pending,
  (SELECT jsonb_build_object('id', s.id, 'generatedAt', s.generated_at, 'acknowledgedAt', s.acknowledged_at,
      'total', (SELECT count(*) FROM recovery_codes c WHERE c.tenant = u.tenant AND c.user_id = u.id),
      'remaining', (SELECT count(*) FROM recovery_codes c WHERE c.tenant = u.tenant AND c.user_id = u.id AND c.used_at IS NULL))
    FROM recovery_sets s WHERE s.tenant = u.tenant AND s.user_id = u.id) AS recovery,
  (SELECT jsonb_object_agg(t.kind, jsonb_build_object(
      'failures', t.failures,
      'waitSeconds', CASE WHEN t.wait_until > clock_timestamp() THEN seconds_until_v1(t.wait_until) END,
      'waitUntil', CASE WHEN t.wait_until > clock_timestamp() THEN t.wait_until END,
      'lockedAt', t.locked_at))
    FROM throttles t WHERE t.tenant = u.tenant AND t.user_id = u.id) AS throttles,
  (SELECT jsonb_build_object('enforcement', p.enforcement,
      'groups', CASE WHEN cardinality(p.groups) > 0 THEN to_jsonb(p.groups) END,
      'gracePeriodDays', p.grace_period_days, 'enforceFrom', p.enforce_from, 'ssoRule', p.sso_rule,
      'version', p.version, 'updatedAt', p.updated_at, 'updatedBy', p.updated_by)
    FROM policies p WHERE p.tenant = u.tenant) AS policy
FROM users u;

DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON bypasses TO headless_mfa;
    GRANT SELECT, INSERT, DELETE ON traces TO headless_mfa;
    GRANT SELECT ON person_v3 TO headless_mfa;
  END IF;
END $$;
