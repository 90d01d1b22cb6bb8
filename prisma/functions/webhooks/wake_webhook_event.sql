-- The next event of the same user is due at once. Answers its id, or null.
CREATE OR REPLACE FUNCTION wake_webhook_event(p_tenant text, p_subject text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_id uuid;
BEGIN
  SELECT id INTO v_id FROM webhook_events WHERE tenant = p_tenant AND subject = p_subject AND parked_at IS NULL ORDER BY at, id LIMIT 1;
  UPDATE webhook_events SET due_at = least(due_at, v_now) WHERE tenant = p_tenant AND id = v_id;
  RETURN v_id;
END $$;
