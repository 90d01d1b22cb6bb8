-- The settlements: each thing that must happen once is decided here, in one call, together with its audit row.
--
-- A function and not a CTE, because each statement inside it sees what was committed while it waited for a row lock
-- (a CTE sees one snapshot), and because an engine that distributes by tenant runs it where the tenant's rows are.
-- Names end in a version: a release that needs other behaviour adds _v2 and leaves _v1 to the replicas of before.
-- Rows are locked in the order users, throttles (recovery, totp), enrollments, factors, so that no two deadlock.
-- Times are the database's: a replica's clock decides nothing here but the TOTP step.
-- p_by is {actor, address, requestId}. The answer is {outcome, …}; nothing but the outcome in the name was changed.

CREATE FUNCTION audit_v1(
  p_tenant text, p_subject text, p_action text, p_outcome text, p_kind text, p_by jsonb, p_details jsonb
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit_events (tenant, actor, subject, action, outcome, factor_kind, address, request_id, details)
  VALUES (p_tenant, p_by->>'actor', p_subject, p_action, p_outcome, p_kind, p_by->>'address', p_by->>'requestId', p_details);
END $$;

-- `Retry-After`: whole seconds, never 0.
CREATE FUNCTION seconds_until_v1(p_until timestamptz) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN greatest(1, ceil(extract(epoch FROM p_until - clock_timestamp())));
END $$;

-- Records the first sight of somebody, or the newer word of an issuer about him. `p_word` is {local, sso, groups?};
-- where the token claimed no accounts (`p_claimed` false) its door is added to what the issuer had said before. A token
-- without a name for people (`p_account` null) leaves the one that is known.
CREATE FUNCTION see_user_v1(
  p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_issuer text, p_claimed boolean, p_word jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid;
BEGIN
  INSERT INTO users AS u (tenant, id, namespace, subject, account, sources)
  VALUES (p_tenant, p_id, p_namespace, p_subject, coalesce(p_account, p_subject), jsonb_build_object(p_issuer, p_word))
  ON CONFLICT (tenant, namespace, subject) DO UPDATE SET
    account = coalesce(p_account, u.account),
    sources = u.sources || jsonb_build_object(p_issuer,
      coalesce(u.sources->p_issuer, '{}') || p_word || CASE WHEN p_claimed THEN '{}'::jsonb ELSE jsonb_build_object(
        'local', (p_word->>'local')::boolean OR coalesce((u.sources->p_issuer->>'local')::boolean, false),
        'sso', (p_word->>'sso')::boolean OR coalesce((u.sources->p_issuer->>'sso')::boolean, false)) END)
  RETURNING u.id INTO v_id;
  INSERT INTO throttles (tenant, user_id, kind)
  VALUES (p_tenant, v_id, 'enroll'), (p_tenant, v_id, 'recovery'), (p_tenant, v_id, 'totp')
  ON CONFLICT DO NOTHING;
END $$;

-- Locks the user's throttle of a kind and says whether a code may be looked at: null, or the outcome that forbids it.
CREATE FUNCTION hold_throttle_v1(p_tenant text, p_user uuid, p_kind text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_row throttles%ROWTYPE;
BEGIN
  SELECT * INTO v_row FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind FOR UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('outcome', 'lost');
  ELSIF v_row.locked_at IS NOT NULL THEN
    RETURN jsonb_build_object('outcome', 'locked');
  ELSIF v_row.wait_until > clock_timestamp() THEN
    RETURN jsonb_build_object('outcome', 'waiting', 'seconds', seconds_until_v1(v_row.wait_until));
  END IF;
  RETURN NULL;
END $$;

-- Counts a refused code, unless somebody else's failures have closed the door meanwhile: then nothing was looked at.
-- Decides: of any number of parallel guesses, only as many as the waits allow are answered "refused".
-- p_limits is {waits: seconds[], maxWait, lock, day, month}; p_pending the factor whose confirmation was tried, if any.
CREATE FUNCTION refuse_code_v1(
  p_tenant text, p_user uuid, p_kind text, p_weight int, p_limits jsonb, p_pending uuid, p_by jsonb, p_details jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_closed jsonb := hold_throttle_v1(p_tenant, p_user, p_kind);
  v_now timestamptz := clock_timestamp();
  v_row throttles%ROWTYPE;
  v_waits int := jsonb_array_length(p_limits->'waits');
  v_wait double precision;
  v_recent timestamptz[];
  v_day int := (p_limits->>'day')::int;
  v_month int := (p_limits->>'month')::int;
BEGIN
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
  PERFORM audit_v1(p_tenant, p_user::text, p_kind || '.refused', 'failure', p_kind, p_by, p_details);
  IF v_row.tries >= (p_limits->>'lock')::int THEN
    PERFORM audit_v1(p_tenant, p_user::text, p_kind || '.locked', 'failure', p_kind, p_by, '{}');
  END IF;
  RETURN jsonb_build_object('outcome', 'refused');
END $$;

-- Remembers the act for the login session that it was done in, in the statement that accepts the code: null for a session
-- that is not remembered. p_act is {issuer, session, acr, methods, factorId, authTime, maxAge}. Answers the generation.
CREATE FUNCTION remember_session_v1(p_tenant text, p_user uuid, p_epoch int, p_act jsonb) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_at timestamptz := to_timestamp((p_act->>'authTime')::double precision);
  v_generation int;
BEGIN
  IF p_act IS NULL THEN RETURN NULL; END IF;
  INSERT INTO mfa_sessions AS s (tenant, user_id, issuer, session, acr, methods, factor_id, auth_time, epoch, expires_at)
  VALUES (p_tenant, p_user, p_act->>'issuer', p_act->>'session', p_act->>'acr', ARRAY(SELECT jsonb_array_elements_text(p_act->'methods')),
    (p_act->>'factorId')::uuid, v_at, p_epoch, v_at + make_interval(secs => (p_act->>'maxAge')::int))
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET acr = excluded.acr, methods = excluded.methods,
    factor_id = excluded.factor_id, auth_time = excluded.auth_time, epoch = excluded.epoch, expires_at = excluded.expires_at
  RETURNING s.generation INTO v_generation;
  RETURN v_generation;
END $$;

-- Logs a session out: its act is forgotten, and MFA tokens that were issued for it so far are of an older generation. The
-- row stays until the last of them has ended. A later code counts again.
CREATE FUNCTION end_session_v1(p_tenant text, p_user uuid, p_issuer text, p_session text, p_token_seconds int, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO mfa_sessions AS s (tenant, user_id, issuer, session, generation, epoch, expires_at)
  VALUES (p_tenant, p_user, p_issuer, p_session, 1, 0, clock_timestamp() + make_interval(secs => p_token_seconds))
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET generation = s.generation + 1, acr = NULL, methods = '{}',
    factor_id = NULL, auth_time = NULL, epoch = 0, expires_at = excluded.expires_at;
  PERFORM audit_v1(p_tenant, p_user::text, 'session.ended', 'success', NULL, p_by, '{}');
  RETURN jsonb_build_object('outcome', 'ended');
END $$;

-- Signs somebody out everywhere: every MFA token and every remembered act is of an older epoch.
CREATE FUNCTION sign_out_v1(p_tenant text, p_user uuid, p_epoch int, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE users SET epoch = epoch + 1 WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = p_user;
  PERFORM audit_v1(p_tenant, p_user::text, 'user.signed_out', 'success', NULL, p_by, '{}');
  RETURN jsonb_build_object('outcome', 'signed_out');
END $$;

-- Accepts a TOTP code. Decides: of any number of uses of one step, over every replica, one; never an older one after it.
CREATE FUNCTION accept_totp_v1(
  p_tenant text, p_user uuid, p_epoch int, p_factor uuid, p_step bigint, p_act jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_closed jsonb := hold_throttle_v1(p_tenant, p_user, 'totp');
BEGIN
  IF v_closed IS NOT NULL THEN RETURN v_closed; END IF;
  UPDATE factors f SET last_step = p_step, last_used_at = clock_timestamp()
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

-- Spends a recovery code. Decides: one use out of any number. Clears run, wait, lock and budget of TOTP: else somebody
-- with just the password could shut its owner out for a month.
CREATE FUNCTION accept_recovery_v1(
  p_tenant text, p_user uuid, p_epoch int, p_slot int, p_hash text, p_act jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_closed jsonb;
  v_remaining int;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'spent'); END IF;
  v_closed := hold_throttle_v1(p_tenant, p_user, 'recovery');
  IF v_closed IS NOT NULL THEN RETURN v_closed; END IF;
  UPDATE recovery_codes SET used_at = clock_timestamp()
  WHERE tenant = p_tenant AND user_id = p_user AND slot = p_slot AND hash = p_hash AND used_at IS NULL;
  IF NOT FOUND THEN
    PERFORM audit_v1(p_tenant, p_user::text, 'recovery.refused', 'failure', 'recovery', p_by, '{"cause": "spent"}');
    RETURN jsonb_build_object('outcome', 'spent');
  END IF;
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'recovery';
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}'
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'totp';
  UPDATE users SET recovered_at = clock_timestamp() WHERE tenant = p_tenant AND id = p_user;
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

-- Starts an enrollment in place of an earlier one. Decides: at most one pending factor per user, `p_perHour` starts an hour.
CREATE FUNCTION start_enrollment_v1(
  p_tenant text, p_user uuid, p_factor uuid, p_label text, p_session text, p_sealed bytea, p_key_id text,
  p_ttl_seconds int, p_per_hour int, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_recent timestamptz[];
BEGIN
  SELECT ARRAY(SELECT s FROM unnest(recent) AS s WHERE s > clock_timestamp() - interval '1 hour' ORDER BY s) INTO v_recent
  FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = 'enroll' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'lost'); END IF;
  v_now := clock_timestamp();
  IF cardinality(v_recent) >= p_per_hour THEN
    RETURN jsonb_build_object('outcome', 'waiting',
      'seconds', seconds_until_v1(v_recent[cardinality(v_recent) - p_per_hour + 1] + interval '1 hour'));
  END IF;
  UPDATE throttles SET recent = v_recent || v_now WHERE tenant = p_tenant AND user_id = p_user AND kind = 'enroll';
  DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user;
  INSERT INTO enrollments (tenant, user_id, factor_id, label, session, sealed, key_id, created_at, expires_at)
  VALUES (p_tenant, p_user, p_factor, p_label, p_session, p_sealed, p_key_id, v_now, v_now + make_interval(secs => p_ttl_seconds));
  PERFORM audit_v1(p_tenant, p_user::text, 'factor.started', 'success', 'totp', p_by, jsonb_build_object('factorId', p_factor));
  RETURN jsonb_build_object('outcome', 'started', 'expiresAt', v_now + make_interval(secs => p_ttl_seconds));
END $$;

-- Reserves a confirmation while its recovery codes are hashed, for some seconds, so that fifty parallel requests with
-- the right code cost one set of hashes and not fifty. A holder that dies loses nothing: the claim ends by itself.
CREATE FUNCTION claim_confirmation_v1(p_tenant text, p_user uuid, p_factor uuid, p_claim uuid, p_seconds int)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_closed jsonb := hold_throttle_v1(p_tenant, p_user, 'totp');
BEGIN
  IF v_closed IS NOT NULL THEN RETURN v_closed; END IF;
  UPDATE enrollments SET claim = p_claim, claimed_until = clock_timestamp() + make_interval(secs => p_seconds)
  WHERE tenant = p_tenant AND user_id = p_user AND factor_id = p_factor AND expires_at > clock_timestamp()
    AND (claim IS NULL OR claim = p_claim OR claimed_until < clock_timestamp());
  RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'claimed' ELSE 'spent' END);
END $$;

-- Makes the pending factor active, its step spent, with the recovery codes ([{slot, hash, pepperId}] or null) if it is
-- the first. Decides: one confirmation out of any number; at most five factors and no label twice, by the revision.
CREATE FUNCTION confirm_factor_v1(
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
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'totp';
  PERFORM audit_v1(p_tenant, p_user::text, 'factor.confirmed', 'success', 'totp', p_by,
    jsonb_build_object('factorId', p_factor, 'label', p_label));
  RETURN jsonb_build_object('outcome', 'confirmed', 'generation', remember_session_v1(p_tenant, p_user, p_epoch, p_act));
END $$;

CREATE FUNCTION store_codes_v1(p_tenant text, p_user uuid, p_set uuid, p_codes jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM recovery_sets WHERE tenant = p_tenant AND user_id = p_user;
  INSERT INTO recovery_sets (tenant, user_id, id, generated_at) VALUES (p_tenant, p_user, p_set, clock_timestamp());
  INSERT INTO recovery_codes (tenant, user_id, slot, hash, pepper_id)
  SELECT p_tenant, p_user, (c->>'slot')::smallint, c->>'hash', c->>'pepperId' FROM jsonb_array_elements(p_codes) AS c;
END $$;

-- Replaces the whole set. Decides: of parallel replacements the last one committed stands, whole.
CREATE FUNCTION replace_codes_v1(p_tenant text, p_user uuid, p_epoch int, p_set uuid, p_codes jsonb, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND OR NOT EXISTS (SELECT 1 FROM factors WHERE tenant = p_tenant AND user_id = p_user) THEN
    RETURN jsonb_build_object('outcome', 'stale');
  END IF;
  PERFORM store_codes_v1(p_tenant, p_user, p_set, p_codes);
  PERFORM audit_v1(p_tenant, p_user::text, 'recovery.regenerated', 'success', 'recovery', p_by, '{}');
  RETURN jsonb_build_object('outcome', 'replaced');
END $$;

-- Renames an active factor, or the caller's pending one. The unique index decides who has a label; the revision moves, so
-- that a confirmation beside it decides on its label anew.
CREATE FUNCTION rename_factor_v1(p_tenant text, p_user uuid, p_epoch int, p_factor uuid, p_label text, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  UPDATE factors SET label = p_label WHERE tenant = p_tenant AND user_id = p_user AND id = p_factor;
  IF NOT FOUND THEN
    UPDATE enrollments SET label = p_label
    WHERE tenant = p_tenant AND user_id = p_user AND factor_id = p_factor AND expires_at > clock_timestamp();
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  END IF;
  UPDATE users SET revision = revision + 1 WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit_v1(p_tenant, p_user::text, 'factor.renamed', 'success', 'totp', p_by,
    jsonb_build_object('factorId', p_factor, 'label', p_label));
  RETURN jsonb_build_object('outcome', 'renamed');
EXCEPTION WHEN unique_violation THEN
  RETURN jsonb_build_object('outcome', 'taken');
END $$;

-- Removes a factor and moves the epoch; with the last one go the recovery codes. Decides, by the revision: nobody is
-- left with codes and no factor, or with a factor and no codes, whatever else is confirmed or removed beside it.
CREATE FUNCTION remove_factor_v1(p_tenant text, p_user uuid, p_epoch int, p_revision int, p_factor uuid, p_act jsonb, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_epoch int;
  v_gone factors%ROWTYPE;
BEGIN
  UPDATE users SET epoch = epoch + 1, revision = revision + 1
  WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND revision = p_revision AND disabled_at IS NULL
    AND EXISTS (SELECT 1 FROM factors f WHERE f.tenant = p_tenant AND f.user_id = p_user AND f.id = p_factor)
  RETURNING epoch INTO v_epoch;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  DELETE FROM factors WHERE tenant = p_tenant AND user_id = p_user AND id = p_factor RETURNING * INTO v_gone;
  IF NOT EXISTS (SELECT 1 FROM factors WHERE tenant = p_tenant AND user_id = p_user) THEN
    DELETE FROM recovery_sets WHERE tenant = p_tenant AND user_id = p_user;
  END IF;
  PERFORM audit_v1(p_tenant, p_user::text, 'factor.removed', 'success', 'totp', p_by, jsonb_build_object(
    'factorId', p_factor, 'label', v_gone.label, 'confirmedAt', v_gone.confirmed_at, 'lastUsedAt', v_gone.last_used_at));
  RETURN jsonb_build_object('outcome', 'removed', 'epoch', v_epoch, 'generation', remember_session_v1(p_tenant, p_user, v_epoch, p_act));
END $$;

CREATE FUNCTION remove_pending_v1(p_tenant text, p_user uuid, p_factor uuid, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user AND factor_id = p_factor;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  PERFORM audit_v1(p_tenant, p_user::text, 'factor.removed', 'success', 'totp', p_by,
    jsonb_build_object('factorId', p_factor, 'pending', true));
  RETURN jsonb_build_object('outcome', 'removed');
END $$;

-- Changes a policy; `p_patch` holds the fields to set. Decides: of two changes of one version, one (p_expected null: any).
CREATE FUNCTION put_policy_v1(p_tenant text, p_expected int, p_patch jsonb, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_old policies%ROWTYPE;
  v_new policies%ROWTYPE;
BEGIN
  INSERT INTO policies (tenant) VALUES (p_tenant) ON CONFLICT DO NOTHING;
  SELECT * INTO v_old FROM policies WHERE tenant = p_tenant FOR UPDATE;
  IF v_old.version <> p_expected THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  v_new := v_old;
  v_new.enforcement := coalesce(p_patch->>'enforcement', v_old.enforcement);
  v_new.sso_rule := coalesce(p_patch->>'ssoRule', v_old.sso_rule);
  IF v_new IS DISTINCT FROM v_old THEN
    UPDATE policies SET enforcement = v_new.enforcement, sso_rule = v_new.sso_rule,
      version = version + 1, updated_at = clock_timestamp(), updated_by = p_by->>'actor'
    WHERE tenant = p_tenant;
    PERFORM audit_v1(p_tenant, NULL, 'policy.changed', 'success', NULL, p_by, jsonb_build_object(
      'before', jsonb_build_object('enforcement', v_old.enforcement, 'ssoRule', v_old.sso_rule),
      'after', jsonb_build_object('enforcement', v_new.enforcement, 'ssoRule', v_new.sso_rule)));
  END IF;
  RETURN jsonb_build_object('outcome', 'changed');
END $$;

-- What is known of a login session; the act only while it counts, with the epoch that it must be of.
CREATE VIEW session_v1 AS
SELECT tenant, user_id, issuer, session, generation,
  CASE WHEN acr IS NOT NULL AND expires_at > clock_timestamp() THEN jsonb_build_object(
    'acr', acr, 'methods', methods, 'factorId', factor_id, 'epoch', epoch,
    'authTime', floor(extract(epoch FROM auth_time)), 'endsAt', floor(extract(epoch FROM expires_at))) END AS act
FROM mfa_sessions;

-- Everything that a decision about one person needs, as one row: read by its tenant and id, or tenant and subject.
CREATE VIEW person_v1 AS
SELECT u.tenant, u.id, u.namespace, u.subject, u.account, u.epoch, u.revision, u.sources,
  u.disabled_at IS NOT NULL AS is_disabled,
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
      'waitSeconds', CASE WHEN t.wait_until > clock_timestamp() THEN seconds_until_v1(t.wait_until) END,
      'lockedAt', t.locked_at))
    FROM throttles t WHERE t.tenant = u.tenant AND t.user_id = u.id) AS throttles,
  (SELECT jsonb_build_object('enforcement', p.enforcement, 'ssoRule', p.sso_rule, 'version', p.version,
      'updatedAt', p.updated_at, 'updatedBy', p.updated_by)
    FROM policies p WHERE p.tenant = u.tenant) AS policy
FROM users u;

DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    GRANT SELECT ON person_v1, session_v1 TO headless_mfa;
  END IF;
END $$;
