-- An event was not delivered: it is tried again after as much time as has passed since the first try, which doubles it, from five seconds
-- to an hour. A day after the first try, or where that is of no use (p_is_final), it is parked. One that was only interrupted is due at
-- once.
CREATE OR REPLACE FUNCTION fail_webhook_event(
  p_tenant text, p_id uuid, p_attempt int, p_failure text, p_is_final boolean, p_is_interrupted boolean
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_row webhook_events%ROWTYPE;
  v_passed interval;
BEGIN
  SELECT * INTO v_row FROM webhook_events WHERE tenant = p_tenant AND id = p_id AND attempts = p_attempt FOR UPDATE;
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
  UPDATE webhook_events SET leased_until = NULL, due_at = v_row.due_at, parked_at = v_row.parked_at, failure = p_failure
  WHERE tenant = p_tenant AND id = p_id;
  IF v_row.parked_at IS NULL THEN RETURN jsonb_build_object('outcome', 'waiting'); END IF;
  RETURN jsonb_build_object('outcome', 'parked', 'next', wake_webhook_event(p_tenant, v_row.subject));
END $$;
