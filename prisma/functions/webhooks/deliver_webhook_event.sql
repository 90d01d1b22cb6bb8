-- An event was delivered, by the attempt of this number: it is gone. Decides: an attempt that took longer than its lease leaves the event
-- to the one that has it now.
CREATE OR REPLACE FUNCTION deliver_webhook_event(p_tenant text, p_id uuid, p_attempt int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_subject text;
BEGIN
  DELETE FROM webhook_events WHERE tenant = p_tenant AND id = p_id AND attempts = p_attempt RETURNING subject INTO v_subject;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  RETURN jsonb_build_object('outcome', 'delivered', 'next', wake_webhook_event(p_tenant, v_subject));
END $$;
