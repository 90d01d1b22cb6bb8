-- The attempt of this number still delivers an event: it is its own for `p_seconds` more. Decides: what another worker has claimed
-- meanwhile stays with that one.
CREATE OR REPLACE FUNCTION renew_webhook_event(p_tenant text, p_id uuid, p_attempt int, p_seconds int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_until timestamptz := clock_timestamp() + make_interval(secs => p_seconds);
BEGIN
  UPDATE webhook_events SET leased_until = v_until WHERE tenant = p_tenant AND id = p_id AND attempts = p_attempt AND parked_at IS NULL;
  RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'renewed' ELSE 'stale' END);
END $$;
