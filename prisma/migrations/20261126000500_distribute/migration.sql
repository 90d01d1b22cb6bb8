-- What lets an engine that distributes by tenant (Citus) take these tables: there the tenant of a row cannot change, so a
-- foreign key that would follow it is refused. Ours never changes. Which tables are distributed is src/db/distribute.ts's.

-- DropForeignKey
ALTER TABLE "enrollments" DROP CONSTRAINT "enrollments_tenant_user_id_fkey";

-- DropForeignKey
ALTER TABLE "factors" DROP CONSTRAINT "factors_tenant_user_id_fkey";

-- DropForeignKey
ALTER TABLE "recovery_sets" DROP CONSTRAINT "recovery_sets_tenant_user_id_fkey";

-- DropForeignKey
ALTER TABLE "recovery_codes" DROP CONSTRAINT "recovery_codes_tenant_user_id_fkey";

-- DropForeignKey
ALTER TABLE "bypasses" DROP CONSTRAINT "bypasses_tenant_user_id_fkey";

-- DropForeignKey
ALTER TABLE "throttles" DROP CONSTRAINT "throttles_tenant_user_id_fkey";

-- DropForeignKey
ALTER TABLE "mfa_sessions" DROP CONSTRAINT "mfa_sessions_tenant_user_id_fkey";

-- AddForeignKey
ALTER TABLE "enrollments" ADD CONSTRAINT "enrollments_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "factors" ADD CONSTRAINT "factors_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "recovery_sets" ADD CONSTRAINT "recovery_sets_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "recovery_codes" ADD CONSTRAINT "recovery_codes_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "recovery_sets"("tenant", "user_id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "bypasses" ADD CONSTRAINT "bypasses_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "throttles" ADD CONSTRAINT "throttles_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "mfa_sessions" ADD CONSTRAINT "mfa_sessions_tenant_user_id_fkey" FOREIGN KEY ("tenant", "user_id") REFERENCES "users"("tenant", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- By hand. As before, but what is set comes from a variable: an UPDATE there may not ask the clock for each row. The moment
-- is taken when the locks are held, so that nobody's wait for them makes it earlier.

CREATE OR REPLACE FUNCTION accept_bypass_v1(p_tenant text, p_user uuid, p_epoch int, p_hash text, p_act jsonb, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_closed jsonb;
  v_now timestamptz;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'spent'); END IF;
  v_closed := hold_throttle_v1(p_tenant, p_user, 'bypass');
  IF v_closed IS NOT NULL THEN RETURN v_closed; END IF;
  v_now := clock_timestamp();
  UPDATE bypasses SET used_at = v_now
  WHERE tenant = p_tenant AND user_id = p_user AND hash = p_hash AND used_at IS NULL AND expires_at > v_now;
  IF NOT FOUND THEN
    PERFORM audit_v1(p_tenant, p_user::text, 'recovery.refused', 'failure', 'bypass', p_by, '{"cause": "spent"}');
    RETURN jsonb_build_object('outcome', 'spent');
  END IF;
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'bypass';
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}'
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'totp';
  UPDATE users SET recovered_at = v_now WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit_v1(p_tenant, p_user::text, 'bypass.used', 'success', 'bypass', p_by, '{}');
  RETURN jsonb_build_object('outcome', 'accepted',
    'remaining', (SELECT count(*) FROM recovery_codes WHERE tenant = p_tenant AND user_id = p_user AND used_at IS NULL),
    'generation', remember_session_v1(p_tenant, p_user, p_epoch, p_act));
END $$;

CREATE OR REPLACE FUNCTION accept_recovery_v1(
  p_tenant text, p_user uuid, p_epoch int, p_slot int, p_hash text, p_act jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_closed jsonb;
  v_now timestamptz;
  v_remaining int;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'spent'); END IF;
  v_closed := hold_throttle_v1(p_tenant, p_user, 'recovery');
  IF v_closed IS NOT NULL THEN RETURN v_closed; END IF;
  v_now := clock_timestamp();
  UPDATE recovery_codes SET used_at = v_now
  WHERE tenant = p_tenant AND user_id = p_user AND slot = p_slot AND hash = p_hash AND used_at IS NULL;
  IF NOT FOUND THEN
    PERFORM audit_v1(p_tenant, p_user::text, 'recovery.refused', 'failure', 'recovery', p_by, '{"cause": "spent"}');
    RETURN jsonb_build_object('outcome', 'spent');
  END IF;
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'recovery';
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}'
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'totp';
  UPDATE users SET recovered_at = v_now WHERE tenant = p_tenant AND id = p_user;
  SELECT count(*) INTO v_remaining FROM recovery_codes
  WHERE tenant = p_tenant AND user_id = p_user AND used_at IS NULL;
  PERFORM audit_v1(p_tenant, p_user::text, 'recovery.accepted', 'success', 'recovery', p_by,
    jsonb_build_object('remaining', v_remaining));
  IF v_remaining IN (3, 1, 0) THEN
    PERFORM audit_v1(p_tenant, p_user::text, 'recovery.low', 'success', 'recovery', p_by,
      jsonb_build_object('remaining', v_remaining));
  END IF;
  RETURN jsonb_build_object('outcome', 'accepted', 'remaining', v_remaining,
    'generation', remember_session_v1(p_tenant, p_user, p_epoch, p_act));
END $$;

CREATE OR REPLACE FUNCTION accept_totp_v1(
  p_tenant text, p_user uuid, p_epoch int, p_factor uuid, p_step bigint, p_act jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_closed jsonb := hold_throttle_v1(p_tenant, p_user, 'totp');
  v_now timestamptz := clock_timestamp();
BEGIN
  IF v_closed IS NOT NULL THEN RETURN v_closed; END IF;
  UPDATE factors f SET last_step = p_step, last_used_at = v_now
  FROM users u
  WHERE f.tenant = p_tenant AND f.id = p_factor AND f.user_id = p_user AND f.last_step < p_step
    AND u.tenant = p_tenant AND u.id = p_user AND u.epoch = p_epoch AND u.disabled_at IS NULL;
  IF NOT FOUND THEN
    PERFORM audit_v1(p_tenant, p_user::text, 'totp.refused', 'failure', 'totp', p_by, '{"cause": "spent"}');
    RETURN jsonb_build_object('outcome', 'spent');
  END IF;
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'totp' AND (failures > 0 OR tries > 0);
  PERFORM audit_v1(p_tenant, p_user::text, 'totp.accepted', 'success', 'totp', p_by, jsonb_build_object('factorId', p_factor));
  RETURN jsonb_build_object('outcome', 'accepted', 'generation', remember_session_v1(p_tenant, p_user, p_epoch, p_act));
END $$;

CREATE OR REPLACE FUNCTION claim_confirmation_v1(p_tenant text, p_user uuid, p_factor uuid, p_claim uuid, p_seconds int)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_closed jsonb := hold_throttle_v1(p_tenant, p_user, 'totp');
  v_now timestamptz := clock_timestamp();
BEGIN
  IF v_closed IS NOT NULL THEN RETURN v_closed; END IF;
  UPDATE enrollments SET claim = p_claim, claimed_until = v_now + make_interval(secs => p_seconds)
  WHERE tenant = p_tenant AND user_id = p_user AND factor_id = p_factor AND expires_at > v_now
    AND (claim IS NULL OR claim = p_claim OR claimed_until < v_now);
  RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'claimed' ELSE 'spent' END);
END $$;

CREATE OR REPLACE FUNCTION rename_factor_v1(p_tenant text, p_user uuid, p_epoch int, p_factor uuid, p_label text, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  v_now := clock_timestamp();
  UPDATE factors SET label = p_label WHERE tenant = p_tenant AND user_id = p_user AND id = p_factor;
  IF NOT FOUND THEN
    UPDATE enrollments SET label = p_label
    WHERE tenant = p_tenant AND user_id = p_user AND factor_id = p_factor AND expires_at > v_now;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  END IF;
  UPDATE users SET revision = revision + 1 WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit_v1(p_tenant, p_user::text, 'factor.renamed', 'success', 'totp', p_by,
    jsonb_build_object('factorId', p_factor, 'label', p_label));
  RETURN jsonb_build_object('outcome', 'renamed');
EXCEPTION WHEN unique_violation THEN
  RETURN jsonb_build_object('outcome', 'taken');
END $$;

CREATE OR REPLACE FUNCTION reset_user_v1(p_tenant text, p_user uuid, p_reason text, p_bypass jsonb, p_is_support boolean, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := hold_user_v1(p_tenant, p_user, p_is_support);
  v_cleared jsonb;
  v_factors jsonb;
  v_until timestamptz;
  v_epoch int;
  v_now timestamptz;
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
  v_now := clock_timestamp();
  UPDATE users SET revision = revision + 1, code_required_at = CASE WHEN p_bypass IS NOT NULL THEN v_now END
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

CREATE OR REPLACE FUNCTION remember_session_v1(p_tenant text, p_user uuid, p_epoch int, p_act jsonb) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_at timestamptz := to_timestamp((p_act->>'authTime')::double precision);
  v_generation int;
  v_methods text[] := ARRAY(SELECT jsonb_array_elements_text(p_act->'methods'));
BEGIN
  IF p_act IS NULL THEN RETURN NULL; END IF;
  INSERT INTO mfa_sessions AS s (tenant, user_id, issuer, session, acr, methods, factor_id, auth_time, epoch, expires_at)
  VALUES (p_tenant, p_user, p_act->>'issuer', p_act->>'session', p_act->>'acr', v_methods,
    (p_act->>'factorId')::uuid, v_at, p_epoch, v_at + make_interval(secs => (p_act->>'maxAge')::int))
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET acr = excluded.acr, methods = excluded.methods,
    factor_id = excluded.factor_id, auth_time = excluded.auth_time, epoch = excluded.epoch, expires_at = excluded.expires_at
  RETURNING s.generation INTO v_generation;
  RETURN v_generation;
END $$;

-- How many rows an INSERT has made where some were there is not the same everywhere: it counts whom it made by their rows.
CREATE OR REPLACE FUNCTION sync_users_v2(p_tenant text, p_users jsonb, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_before users[];
  v_created int;
  v_updated int;
  v_counts jsonb;
  v_id uuid;
  v_is_disabled boolean;
  v_epoch int;
BEGIN
  INSERT INTO users (tenant, id, namespace, subject, account, sources, disabled_at, epoch, tokens_since)
  SELECT p_tenant, g.id, namespace, subject, coalesce(account, subject), synced_sources_v1('{}', accounts, groups),
    CASE WHEN coalesce(disabled, t.disabled_at IS NOT NULL) THEN coalesce(t.disabled_at, v_now) END, coalesce(t.epoch, 0) + 1, t.erased_at
  FROM jsonb_to_recordset(p_users) AS g (id uuid, namespace text, subject text, account text, accounts jsonb, groups jsonb, disabled boolean, hashes jsonb)
  LEFT JOIN LATERAL (SELECT o.* FROM jsonb_array_elements_text(g.hashes) AS h JOIN traces o ON o.tenant = p_tenant AND o.hash = h LIMIT 1) AS t ON true
  ORDER BY namespace, subject
  ON CONFLICT (tenant, namespace, subject) DO NOTHING;
  SELECT count(*) INTO v_created FROM jsonb_to_recordset(p_users) AS g (id uuid) JOIN users u ON u.tenant = p_tenant AND u.id = g.id;
  INSERT INTO throttles (tenant, user_id, kind)
  SELECT p_tenant, u.id, k FROM jsonb_to_recordset(p_users) AS g (id uuid) JOIN users u ON u.tenant = p_tenant AND u.id = g.id
  CROSS JOIN unnest(ARRAY['enroll', 'recovery', 'totp']) AS k;

  SELECT coalesce(array_agg(b), '{}') INTO v_before FROM (
    SELECT u.* FROM jsonb_to_recordset(p_users) AS g (id uuid, namespace text, subject text)
    JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject AND u.id <> g.id
    ORDER BY u.namespace, u.subject FOR NO KEY UPDATE OF u) AS b;
  IF v_created + cardinality(v_before) <> jsonb_array_length(p_users) THEN
    RAISE EXCEPTION 'somebody was erased meanwhile';
  END IF;
  UPDATE users u SET account = n.account, sources = n.sources, disabled_at = n.disabled_at
  FROM (
    SELECT b.id, coalesce(g.account, b.account) AS account, synced_sources_v1(b.sources, g.accounts, g.groups) AS sources,
      CASE WHEN coalesce(g.disabled, b.disabled_at IS NOT NULL) THEN coalesce(b.disabled_at, v_now) END AS disabled_at
    FROM jsonb_to_recordset(p_users) AS g (namespace text, subject text, account text, accounts jsonb, groups jsonb, disabled boolean)
    JOIN unnest(v_before) AS b ON b.namespace = g.namespace AND b.subject = g.subject) AS n
  WHERE u.tenant = p_tenant AND u.id = n.id AND (u.account, u.sources, u.disabled_at) IS DISTINCT FROM (n.account, n.sources, n.disabled_at);
  GET DIAGNOSTICS v_updated = ROW_COUNT;

  INSERT INTO user_tally_changes (tenant, kind, is_enrolled, accounts, groups, change)
  SELECT p_tenant, kind, is_enrolled, accounts, groups, sum(change) FROM (
    SELECT kind, enrolled_at IS NOT NULL AS is_enrolled, accounts, groups, -1 AS change FROM unnest(v_before) WHERE disabled_at IS NULL
    UNION ALL
    SELECT u.kind, u.enrolled_at IS NOT NULL, u.accounts, u.groups, 1 FROM jsonb_to_recordset(p_users) AS g (namespace text, subject text)
    JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject WHERE u.disabled_at IS NULL) AS c
  GROUP BY kind, is_enrolled, accounts, groups HAVING sum(change) <> 0;

  FOR v_id, v_is_disabled IN
    SELECT u.id, u.disabled_at IS NOT NULL FROM jsonb_to_recordset(p_users) AS g (namespace text, subject text)
    JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject
    LEFT JOIN unnest(v_before) AS b ON b.id = u.id
    WHERE (u.disabled_at IS NULL) <> (b.disabled_at IS NULL) ORDER BY u.namespace, u.subject
  LOOP
    IF v_is_disabled THEN
      v_epoch := move_epoch_v1(p_tenant, v_id);
      DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = v_id;
    END IF;
    PERFORM audit_v1(p_tenant, v_id::text, CASE WHEN v_is_disabled THEN 'user.disabled' ELSE 'user.enabled' END, 'success', NULL, p_by, '{}');
  END LOOP;
  v_counts := jsonb_build_object('created', v_created, 'updated', v_updated, 'unchanged', cardinality(v_before) - v_updated);
  PERFORM audit_v1(p_tenant, NULL, 'users.synced', 'success', NULL, p_by, v_counts);
  RETURN v_counts || jsonb_build_object('outcome', 'synced');
END $$;

CREATE OR REPLACE FUNCTION revive_user_v1(p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_hashes jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid;
BEGIN
  INSERT INTO users (tenant, id, namespace, subject, account, epoch, tokens_since, disabled_at)
  SELECT p_tenant, p_id, p_namespace, p_subject, coalesce(p_account, p_subject), epoch + 1, erased_at, disabled_at
  FROM traces WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_hashes))
  ON CONFLICT (tenant, namespace, subject) DO NOTHING
  RETURNING id INTO v_id;
  IF v_id IS NOT NULL THEN PERFORM tally_user_v1(p_tenant, p_id, NULL); END IF;
END $$;

-- One after the other: a statement that runs where the rows are may not call what asks for rows in turn.
CREATE OR REPLACE FUNCTION recount_users_v1(p_tenant text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_mended int;
  v_user uuid;
BEGIN
  FOR v_user IN SELECT u.id FROM users u
    WHERE u.tenant = p_tenant AND (u.enrolled_at IS NULL) = EXISTS (SELECT 1 FROM factors f WHERE f.tenant = p_tenant AND f.user_id = u.id)
  LOOP
    PERFORM note_factors_v1(p_tenant, v_user);
  END LOOP;
  INSERT INTO user_tally_changes (tenant, kind, is_enrolled, accounts, groups, change)
  SELECT p_tenant, kind, is_enrolled, accounts, groups, sum(users) FROM (
    SELECT kind, enrolled_at IS NOT NULL AS is_enrolled, accounts, groups, count(*) AS users FROM users
    WHERE tenant = p_tenant AND disabled_at IS NULL GROUP BY 1, 2, 3, 4
    UNION ALL SELECT kind, is_enrolled, accounts, groups, -users FROM user_tallies_v1 WHERE tenant = p_tenant) AS c
  GROUP BY kind, is_enrolled, accounts, groups HAVING sum(users) <> 0;
  GET DIAGNOSTICS v_mended = ROW_COUNT;
  RETURN jsonb_build_object('outcome', 'counted', 'mended', v_mended);
END $$;

-- Everything that a decision about one person needs, in one answer and of one moment: he is named by his id, or by namespace
-- and subject. Null for nobody. Of a login session what is known of it, if one is named; the act only while it counts, with the
-- epoch that it must be of. With the time of the reading, by which deadlines and exemptions end.
-- Many small statements and not a view with all of it in one: each names the tenant, so that it is planned once, for one shard,
-- on an engine that distributes; a view's inner parts name only each other's, and would be asked of every shard there is.
CREATE FUNCTION find_person_v1(p_tenant text, p_namespace text, p_subject text, p_user uuid, p_issuer text, p_session text)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_user users%ROWTYPE;
  v_factors jsonb;
  v_pending jsonb;
  v_set recovery_sets%ROWTYPE;
  v_total int;
  v_remaining int;
  v_recovery jsonb;
  v_throttles jsonb;
  v_policy jsonb;
  v_generation int;
  v_act jsonb;
BEGIN
  IF p_user IS NULL THEN
    SELECT * INTO v_user FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = p_subject;
  ELSE
    SELECT * INTO v_user FROM users WHERE tenant = p_tenant AND id = p_user;
  END IF;
  IF NOT FOUND THEN RETURN NULL; END IF;
  SELECT jsonb_agg(jsonb_build_object('id', id, 'label', label, 'sealed', encode(sealed, 'hex'), 'keyId', key_id, 'algorithm', algorithm,
    'digits', digits, 'period', period, 'lastStep', last_step, 'createdAt', created_at, 'confirmedAt', confirmed_at,
    'lastUsedAt', last_used_at, 'afterRecoveryAt', after_recovery_at) ORDER BY confirmed_at, id) INTO v_factors
  FROM factors WHERE tenant = p_tenant AND user_id = v_user.id;
  SELECT jsonb_build_object('factorId', factor_id, 'label', label, 'session', session, 'sealed', encode(sealed, 'hex'), 'keyId', key_id,
    'createdAt', created_at) INTO v_pending
  FROM enrollments WHERE tenant = p_tenant AND user_id = v_user.id AND expires_at > v_now;
  SELECT * INTO v_set FROM recovery_sets WHERE tenant = p_tenant AND user_id = v_user.id;
  IF FOUND THEN
    SELECT count(*), count(*) FILTER (WHERE used_at IS NULL) INTO v_total, v_remaining FROM recovery_codes WHERE tenant = p_tenant AND user_id = v_user.id;
    v_recovery := jsonb_build_object('id', v_set.id, 'generatedAt', v_set.generated_at, 'acknowledgedAt', v_set.acknowledged_at,
      'total', v_total, 'remaining', v_remaining);
  END IF;
  SELECT jsonb_object_agg(kind, jsonb_build_object('failures', failures,
    'waitSeconds', CASE WHEN wait_until > v_now THEN greatest(1, ceil(extract(epoch FROM wait_until - v_now))) END,
    'waitUntil', CASE WHEN wait_until > v_now THEN wait_until END, 'lockedAt', locked_at)) INTO v_throttles
  FROM throttles WHERE tenant = p_tenant AND user_id = v_user.id;
  SELECT jsonb_build_object('enforcement', enforcement, 'groups', CASE WHEN cardinality(groups) > 0 THEN to_jsonb(groups) END,
    'gracePeriodDays', grace_period_days, 'enforceFrom', enforce_from, 'ssoRule', sso_rule, 'version', version,
    'updatedAt', updated_at, 'updatedBy', updated_by) INTO v_policy
  FROM policies WHERE tenant = p_tenant;
  IF p_session IS NOT NULL THEN
    SELECT generation, CASE WHEN acr IS NOT NULL AND expires_at > v_now THEN jsonb_build_object('acr', acr, 'methods', methods,
      'factorId', factor_id, 'epoch', epoch, 'authTime', floor(extract(epoch FROM auth_time)), 'endsAt', floor(extract(epoch FROM expires_at))) END
    INTO v_generation, v_act
    FROM mfa_sessions WHERE tenant = p_tenant AND user_id = v_user.id AND issuer = p_issuer AND session = p_session;
  END IF;
  RETURN jsonb_build_object('tenant', v_user.tenant, 'id', v_user.id, 'namespace', v_user.namespace, 'subject', v_user.subject,
    'account', v_user.account, 'epoch', v_user.epoch, 'revision', v_user.revision, 'sources', v_user.sources,
    'isDisabled', v_user.disabled_at IS NOT NULL, 'isAdministrator', v_user.administrator_at IS NOT NULL,
    'isCodeRequired', v_user.code_required_at IS NOT NULL, 'tokensSince', v_user.tokens_since, 'createdAt', v_user.created_at, 'readAt', v_now,
    'policyMetAt', v_user.policy_met_at, 'graceUntil', v_user.grace_until, 'reportedVersion', v_user.reported_version,
    'exemptSince', v_user.exempt_since, 'exemptUntil', v_user.exempt_until, 'exemptReason', v_user.exempt_reason, 'exemptBy', v_user.exempt_by)
    || jsonb_build_object('factors', v_factors, 'pending', v_pending, 'recovery', v_recovery, 'throttles', v_throttles, 'policy', v_policy,
      'generation', v_generation, 'act', v_act);
END $$;

-- The tenant's policy, for whom no person stands who would have it. Null where nobody has set one.
CREATE FUNCTION find_policy_v1(p_tenant text) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_row policies%ROWTYPE;
BEGIN
  SELECT * INTO v_row FROM policies WHERE tenant = p_tenant;
  RETURN CASE WHEN FOUND THEN policy_json_v1(v_row) END;
END $$;
