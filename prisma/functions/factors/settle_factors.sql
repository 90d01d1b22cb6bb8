-- Right and wrong codes of one kind, of several users, that were compared at the same moment: each is decided by accept_factor or
-- refuse_factor as if it were alone, in the order given, which is that of the users' ids, and of one user that in which they came.
-- Decides: which of one user's guesses is looked at does not depend on which of them is right.
-- p_attempts is a list of {userId, factorId, epoch, counter, authentication, by} for a right code, of
-- {userId, weight, limits, pendingId, near, by}
-- for a wrong one.
CREATE OR REPLACE FUNCTION settle_factors(p_tenant text, p_kind text, p_attempts jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_attempt jsonb;
  v_user uuid;
  v_results jsonb := '[]';
BEGIN
  FOR v_attempt IN SELECT attempt FROM jsonb_array_elements(p_attempts) WITH ORDINALITY AS a (attempt, place) ORDER BY place LOOP
    v_user := (v_attempt->>'userId')::uuid;
    IF v_attempt ? 'counter' THEN
      v_results := v_results || accept_factor(p_tenant, v_user, p_kind, (v_attempt->>'epoch')::int, (v_attempt->>'factorId')::uuid,
        (v_attempt->>'counter')::bigint, nullif(v_attempt->'authentication', 'null'), v_attempt->'by');
    ELSE
      v_results := v_results || refuse_factor(p_tenant, v_user, p_kind, (v_attempt->>'weight')::int, v_attempt->'limits',
        (v_attempt->>'pendingId')::uuid, nullif(v_attempt->'near', 'null'), v_attempt->'by');
    END IF;
  END LOOP;
  RETURN v_results;
END $$;
