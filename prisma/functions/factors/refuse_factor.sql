-- Counts a refused code of a kind, unless other failures have closed the throttle meanwhile: then nothing was looked at.
-- Decides: of any number of parallel guesses, only as many as the waits allow are answered "refused".
-- p_limits is {waits: seconds[], maxWait, lock, day, month}; p_pending the factor whose confirmation was tried, if any;
-- p_near, for the audit alone, {factorId, stepsAway} of a code that would have been right at another time.
CREATE OR REPLACE FUNCTION refuse_factor(
  p_tenant text, p_user uuid, p_kind text, p_weight int, p_limits jsonb, p_pending uuid, p_near jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_throttled jsonb;
  v_now timestamptz := clock_timestamp();
  v_row throttles%ROWTYPE;
  v_recent timestamptz[];
BEGIN
  v_throttled := lock_throttle(p_tenant, p_user, p_kind);
  IF v_throttled IS NOT NULL THEN RETURN v_throttled; END IF;
  SELECT * INTO v_row FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  v_row.failures := v_row.failures + 1;
  v_row.tries := v_row.tries + p_weight;
  v_recent := ARRAY(SELECT f FROM unnest(v_row.recent) AS f WHERE f > v_now - interval '30 days' ORDER BY f)
    || array_fill(v_now, ARRAY[p_weight]);
  v_row.wait_until := next_try(p_limits, v_row.failures, v_recent, v_now);
  UPDATE throttles SET failures = v_row.failures, tries = v_row.tries, recent = v_recent,
    wait_until = CASE WHEN v_row.wait_until > v_now THEN v_row.wait_until END,
    locked_at = CASE WHEN v_row.tries >= (p_limits->>'lock')::int THEN v_now END
  WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  IF p_pending IS NOT NULL THEN
    PERFORM count_attempt(p_tenant, p_user, p_kind, p_pending);
  END IF;
  PERFORM audit(p_tenant, p_user::text, p_kind || '.refused', 'failure', p_kind, p_by, coalesce(p_near, '{}'));
  IF v_row.tries >= (p_limits->>'lock')::int THEN
    PERFORM audit(p_tenant, p_user::text, p_kind || '.locked', 'failure', p_kind, p_by, '{}');
  END IF;
  RETURN jsonb_build_object('outcome', 'refused');
END $$;
