-- Codes of one kind, of several users: at each place of the lists a user, their epoch, the factor, its counter, the authentication and
-- {actor, address, requestId}. Decides what accept_factor decides, for all of them at once: the throttles of all are locked, that of the
-- lowest id first, so that no two calls wait for each other in a circle; then it is read who the users are; then the counters are spent.
-- Whatever is not as usual is left to accept_factor: who has no throttle yet, waits or is locked, is gone or of another epoch,
-- whose counter is spent, and a user's second code.
-- One statement for each of what has to be done, however many the codes are. Its statements take lists and are planned once: each list
-- would else look cheaper than a list in general. On Citus (13.2.2) a column that is set to no more than an element of a list
-- (`SET a = list[1]`) ends the worker's process: each is in an expression.
CREATE OR REPLACE FUNCTION accept_factors(
  p_tenant text, p_kind text, p_users uuid[], p_epochs int[], p_factors uuid[], p_counters bigint[], p_authentications jsonb[],
  p_bys jsonb[]
) RETURNS jsonb LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
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
  v_counters bigint[] := '{}';
  -- Of those whose counter it was.
  v_winners uuid[] := '{}';
  v_bys jsonb[] := '{}';
  v_details jsonb[] := '{}';
  v_place int;
  v_results jsonb[] := array_fill(NULL::jsonb, ARRAY[cardinality(p_users)]);
BEGIN
  FOR v_row IN
    SELECT user_id, failures, tries, wait_until, locked_at FROM throttles
    WHERE tenant = p_tenant AND user_id = ANY (p_users) AND kind = p_kind ORDER BY user_id FOR UPDATE
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
    v_counters := v_counters || p_counters[n];
  END LOOP;
  FOR v_row IN
    UPDATE factors SET counter = greatest(counter, v_counters[array_position(v_factors, id)]), last_used_at = v_now
    WHERE tenant = p_tenant AND id = ANY (v_factors) AND user_id = v_users[array_position(v_factors, id)] AND kind = p_kind
      AND counter < v_counters[array_position(v_factors, id)]
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
    WHERE tenant = p_tenant AND user_id = ANY (v_counted) AND user_id = ANY (v_winners) AND kind = p_kind;
  END IF;
  PERFORM audit_all(p_tenant, v_winners, p_kind || '.accepted', 'success', p_kind, v_bys, v_details);
  FOR n IN 1 .. cardinality(p_users) LOOP
    IF v_results[n] IS NULL THEN
      v_results[n] := accept_factor(p_tenant, p_users[n], p_kind, p_epochs[n], p_factors[n], p_counters[n], p_authentications[n], p_bys[n]);
    ELSIF p_authentications[n] IS NOT NULL THEN
      v_results[n] := jsonb_set(v_results[n], '{generation}', to_jsonb(remember_session(p_tenant, p_users[n], p_authentications[n])));
    END IF;
  END LOOP;
  RETURN to_jsonb(v_results);
END $$;
