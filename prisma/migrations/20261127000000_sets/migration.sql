-- By hand. The codes of a joint call are decided together and not one by one: one statement for each of what has to be done,
-- however many they are. Its statements take lists, and are planned once, as those of find_people_v1. On Citus a column that
-- is set to no more than an element of a list (`SET a = list[1]`) ends the worker's process (13.2.2): each is in an expression.

-- Several events of one action that nobody is told of (audit_v1 has which those are not), one for each subject.
CREATE FUNCTION audit_all_v1(p_tenant text, p_subjects uuid[], p_action text, p_outcome text, p_kind text, p_bys jsonb[], p_details jsonb[])
RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_at timestamptz := clock_timestamp();
  v_ids uuid[] := ARRAY(SELECT gen_random_uuid() FROM unnest(p_subjects));
BEGIN
  IF cardinality(p_subjects) = 0 THEN RETURN; END IF;
  INSERT INTO audit_events (tenant, at, id, actor, subject, action, outcome, factor_kind, address, request_id, details)
  SELECT p_tenant, v_at, e.id, e.by->>'actor', e.subject::text, p_action, p_outcome, p_kind, e.by->>'address', e.by->>'requestId', e.details
  FROM unnest(v_ids, p_subjects, p_bys, p_details) AS e (id, subject, by, details);
  INSERT INTO audit_pending (tenant, at, id) SELECT p_tenant, v_at, id FROM unnest(v_ids) AS id;
END $$;

-- Codes of several people: at each place of the lists a user, his epoch, the factor, the step, the act and {actor, address,
-- requestId}. Each is decided as by accept_totp_v1: the throttles of all are locked, that of the lowest id first; then it is
-- read who they are; then the steps are spent. Who is not as usual is left to accept_totp_v1: who waits or is locked, is gone
-- or of another epoch, whose step is spent, and a person's second code.
CREATE FUNCTION accept_totps_v2(p_tenant text, p_users uuid[], p_epochs int[], p_factors uuid[], p_steps bigint[], p_acts jsonb[], p_bys jsonb[])
RETURNS jsonb LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_row record;
  v_now timestamptz;
  v_open uuid[] := '{}';
  v_counted uuid[] := '{}';
  v_ids uuid[];
  v_epochs int[];
  -- Of those who are as usual, side by side.
  v_places int[] := '{}';
  v_users uuid[] := '{}';
  v_factors uuid[] := '{}';
  v_steps bigint[] := '{}';
  -- Of those whose step it was.
  v_winners uuid[] := '{}';
  v_bys jsonb[] := '{}';
  v_details jsonb[] := '{}';
  v_place int;
  v_results jsonb[] := array_fill(NULL::jsonb, ARRAY[cardinality(p_users)]);
BEGIN
  FOR v_row IN
    SELECT user_id, failures, tries, wait_until, locked_at FROM throttles
    WHERE tenant = p_tenant AND user_id = ANY (p_users) AND kind = 'totp' ORDER BY user_id FOR UPDATE
  LOOP
    CONTINUE WHEN v_row.locked_at IS NOT NULL OR v_row.wait_until > clock_timestamp();
    v_open := v_open || v_row.user_id;
    IF v_row.failures > 0 OR v_row.tries > 0 THEN v_counted := v_counted || v_row.user_id; END IF;
  END LOOP;
  v_now := clock_timestamp();
  SELECT array_agg(id), array_agg(epoch) INTO v_ids, v_epochs FROM users
  WHERE tenant = p_tenant AND id = ANY (v_open) AND disabled_at IS NULL;
  FOR n IN 1 .. cardinality(p_users) LOOP
    CONTINUE WHEN p_users[n] = ANY (v_users) OR v_epochs[array_position(v_ids, p_users[n])] IS DISTINCT FROM p_epochs[n];
    v_places := v_places || n;
    v_users := v_users || p_users[n];
    v_factors := v_factors || p_factors[n];
    v_steps := v_steps || p_steps[n];
  END LOOP;
  FOR v_row IN
    UPDATE factors SET last_step = greatest(last_step, v_steps[array_position(v_factors, id)]), last_used_at = v_now
    WHERE tenant = p_tenant AND id = ANY (v_factors) AND user_id = v_users[array_position(v_factors, id)]
      AND last_step < v_steps[array_position(v_factors, id)]
    RETURNING user_id
  LOOP
    v_place := v_places[array_position(v_users, v_row.user_id)];
    v_winners := v_winners || v_row.user_id;
    v_bys := v_bys || p_bys[v_place];
    v_details := v_details || jsonb_build_object('factorId', p_factors[v_place]);
    v_results[v_place] := '{"outcome": "accepted", "generation": null}';
  END LOOP;
  IF cardinality(v_counted) > 0 THEN
    UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL
    WHERE tenant = p_tenant AND user_id = ANY (v_counted) AND user_id = ANY (v_winners) AND kind = 'totp';
  END IF;
  PERFORM audit_all_v1(p_tenant, v_winners, 'totp.accepted', 'success', 'totp', v_bys, v_details);
  FOR n IN 1 .. cardinality(p_users) LOOP
    IF v_results[n] IS NULL THEN
      v_results[n] := accept_totp_v1(p_tenant, p_users[n], p_epochs[n], p_factors[n], p_steps[n], p_acts[n], p_bys[n]);
    ELSIF p_acts[n] IS NOT NULL THEN
      v_results[n] := jsonb_set(v_results[n], '{generation}', to_jsonb(remember_session_v1(p_tenant, p_users[n], p_epochs[n], p_acts[n])));
    END IF;
  END LOOP;
  RETURN to_jsonb(v_results);
END $$;

-- When somebody who has failed so often, and at these moments, may try again: a wait for each failure in a row, and no more of
-- them in a day and in a month than the budget has, which opens again when so many have aged that fewer are left.
CREATE FUNCTION next_try_v1(p_limits jsonb, p_failures int, p_recent timestamptz[], p_now timestamptz) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_waits int := jsonb_array_length(p_limits->'waits');
  v_wait double precision := least((p_limits->>'maxWait')::double precision,
    (p_limits->'waits'->>(least(p_failures, v_waits) - 1))::double precision
      * power(2::double precision, least(greatest(p_failures - v_waits, 0), 30)));
BEGIN
  RETURN greatest(
    p_now + make_interval(secs => v_wait),
    p_recent[cardinality(p_recent) - (p_limits->>'day')::int + 1] + interval '24 hours',
    p_recent[cardinality(p_recent) - (p_limits->>'month')::int + 1] + interval '30 days');
END $$;

-- As before, with that.
CREATE OR REPLACE FUNCTION refuse_code_v1(
  p_tenant text, p_user uuid, p_kind text, p_weight int, p_limits jsonb, p_pending uuid, p_by jsonb, p_details jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_closed jsonb;
  v_now timestamptz := clock_timestamp();
  v_row throttles%ROWTYPE;
  v_recent timestamptz[];
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
  v_row.wait_until := next_try_v1(p_limits, v_row.failures, v_recent, v_now);
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

-- Codes of several people that were refused: at each place of the lists a user, the weight, the pending factor and {actor,
-- address, requestId}. Each is counted as by refuse_code_v1, to which who is not as usual is left: who waits or is locked, and
-- by this one will be; of whom a failure has aged; who tried a pending factor; and a person's second code.
CREATE FUNCTION refuse_codes_v2(p_tenant text, p_kind text, p_limits jsonb, p_users uuid[], p_weights int[], p_pendings uuid[], p_bys jsonb[])
RETURNS jsonb LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_row record;
  v_now timestamptz;
  v_place int;
  -- Of those who are as usual, side by side.
  v_users uuid[] := '{}';
  v_weights int[] := '{}';
  v_nows timestamptz[] := '{}';
  v_waits timestamptz[] := '{}';
  v_bys jsonb[] := '{}';
  v_results jsonb[] := array_fill(NULL::jsonb, ARRAY[cardinality(p_users)]);
BEGIN
  FOR v_row IN
    SELECT user_id, failures, tries, recent, wait_until, locked_at FROM throttles
    WHERE tenant = p_tenant AND user_id = ANY (p_users) AND kind = p_kind ORDER BY user_id FOR UPDATE
  LOOP
    v_now := clock_timestamp();
    v_place := array_position(p_users, v_row.user_id);
    CONTINUE WHEN v_row.locked_at IS NOT NULL OR v_row.wait_until > v_now OR v_row.recent[1] <= v_now - interval '30 days'
      OR v_row.tries + p_weights[v_place] >= (p_limits->>'lock')::int OR p_pendings[v_place] IS NOT NULL;
    v_users := v_users || v_row.user_id;
    v_weights := v_weights || p_weights[v_place];
    v_nows := v_nows || v_now;
    v_waits := v_waits || next_try_v1(p_limits, v_row.failures + 1, v_row.recent || array_fill(v_now, p_weights[v_place:v_place]), v_now);
    v_bys := v_bys || p_bys[v_place];
    v_results[v_place] := '{"outcome": "refused"}';
  END LOOP;
  IF cardinality(v_users) > 0 THEN
    UPDATE throttles SET failures = failures + 1, tries = tries + v_weights[array_position(v_users, user_id)],
      recent = recent || array_fill(v_nows[array_position(v_users, user_id)], ARRAY[v_weights[array_position(v_users, user_id)]]),
      wait_until = CASE WHEN v_waits[array_position(v_users, user_id)] > v_nows[array_position(v_users, user_id)] THEN v_waits[array_position(v_users, user_id)] END
    WHERE tenant = p_tenant AND user_id = ANY (v_users) AND kind = p_kind;
    PERFORM audit_all_v1(p_tenant, v_users, CASE p_kind WHEN 'bypass' THEN 'recovery' ELSE p_kind END || '.refused', 'failure', p_kind, v_bys,
      array_fill('{}'::jsonb, ARRAY[cardinality(v_users)]));
  END IF;
  FOR n IN 1 .. cardinality(p_users) LOOP
    IF v_results[n] IS NULL THEN
      v_results[n] := refuse_code_v1(p_tenant, p_users[n], p_kind, p_weights[n], p_limits, p_pendings[n], p_bys[n], '{}');
    END IF;
  END LOOP;
  RETURN to_jsonb(v_results);
END $$;
