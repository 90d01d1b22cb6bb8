-- Refused codes of one kind, of several users: at each place of the lists a user, the weight, the pending factor, what
-- refuse_factor takes as p_near, and {actor, address, requestId}.
-- Decides what refuse_factor decides, for all of them at once. Whatever is not as usual is left to refuse_factor: who has no throttle yet,
-- waits or is locked, or will be by this one; who has a failure that has aged; who tried a pending factor; and a user's second code.
-- Its statements take lists and are planned once, as those of accept_factors.
CREATE OR REPLACE FUNCTION refuse_factors(
  p_tenant text, p_kind text, p_limits jsonb, p_users uuid[], p_weights int[], p_pendings uuid[], p_nears jsonb[], p_bys jsonb[]
) RETURNS jsonb LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_row record;
  v_now timestamptz;
  v_place int;
  -- Of those who are as usual, side by side.
  v_users uuid[] := '{}';
  v_weights int[] := '{}';
  v_nows timestamptz[] := '{}';
  v_waits timestamptz[] := '{}';
  v_nears jsonb[] := '{}';
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
    v_waits := v_waits || next_try(p_limits, v_row.failures + 1, v_row.recent || array_fill(v_now, p_weights[v_place:v_place]), v_now);
    v_nears := v_nears || coalesce(p_nears[v_place], '{}');
    v_bys := v_bys || p_bys[v_place];
    v_results[v_place] := '{"outcome": "refused"}';
  END LOOP;
  IF cardinality(v_users) > 0 THEN
    UPDATE throttles SET failures = failures + 1, tries = tries + v_weights[array_position(v_users, user_id)],
      recent = recent || array_fill(v_nows[array_position(v_users, user_id)], ARRAY[v_weights[array_position(v_users, user_id)]]),
      wait_until = CASE WHEN v_waits[array_position(v_users, user_id)] > v_nows[array_position(v_users, user_id)]
        THEN v_waits[array_position(v_users, user_id)] END
    WHERE tenant = p_tenant AND user_id = ANY (v_users) AND kind = p_kind;
    PERFORM audit_all(p_tenant, v_users, p_kind || '.refused', 'failure', p_kind, v_bys, v_nears);
  END IF;
  FOR n IN 1 .. cardinality(p_users) LOOP
    IF v_results[n] IS NULL THEN
      v_results[n] := refuse_factor(p_tenant, p_users[n], p_kind, p_weights[n], p_limits, p_pendings[n], p_nears[n], p_bys[n]);
    END IF;
  END LOOP;
  RETURN to_jsonb(v_results);
END $$;
