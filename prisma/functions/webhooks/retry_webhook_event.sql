-- An administrator has an event tried again, now and for another day: in its place, which is before whatever came later and still waits.
-- `gone` for one that is not there: delivered, or never there.
CREATE OR REPLACE FUNCTION retry_webhook_event(p_tenant text, p_id uuid, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_row webhook_events%ROWTYPE;
  v_action text;
BEGIN
  IF is_actor_gone(p_tenant, NULL, p_by) THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  UPDATE webhook_events SET due_at = v_now, tried_since = NULL, parked_at = NULL WHERE tenant = p_tenant AND id = p_id
  RETURNING * INTO v_row;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  SELECT action INTO v_action FROM audit_events WHERE tenant = p_tenant AND at = v_row.at AND id = p_id;
  PERFORM audit(p_tenant, nullif(v_row.subject, ''), 'notice.retried', 'success', NULL, p_by,
    jsonb_build_object('noticeId', p_id, 'type', v_action, 'attempts', v_row.attempts, 'failure', v_row.failure));
  RETURN jsonb_build_object('outcome', 'retried');
END $$;
