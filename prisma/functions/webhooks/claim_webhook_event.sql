-- Takes an event, for `p_seconds`, to deliver it. Decides: of any number of workers one has it at a time, without waiting for each other;
-- and no event is delivered while an older one of the same user waits: it is due again when that one is.
CREATE OR REPLACE FUNCTION claim_webhook_event(p_tenant text, p_id uuid, p_seconds int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_row webhook_events%ROWTYPE;
  v_older webhook_events%ROWTYPE;
  v_event audit_events%ROWTYPE;
  v_user users%ROWTYPE;
BEGIN
  SELECT * INTO v_row FROM webhook_events
  WHERE tenant = p_tenant AND id = p_id AND parked_at IS NULL AND due_at <= v_now AND (leased_until IS NULL OR leased_until <= v_now)
  FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'taken'); END IF;
  SELECT * INTO v_older FROM webhook_events
  WHERE tenant = p_tenant AND subject = v_row.subject AND parked_at IS NULL AND (at, id) < (v_row.at, v_row.id)
  ORDER BY at, id LIMIT 1;
  IF FOUND THEN
    UPDATE webhook_events SET due_at = greatest(v_older.due_at, v_older.leased_until, v_now + interval '1 second')
    WHERE tenant = p_tenant AND id = p_id;
    RETURN jsonb_build_object('outcome', 'behind');
  END IF;
  SELECT * INTO v_event FROM audit_events WHERE tenant = p_tenant AND at = v_row.at AND id = p_id;
  IF NOT FOUND THEN
    DELETE FROM webhook_events WHERE tenant = p_tenant AND id = p_id;
    RETURN jsonb_build_object('outcome', 'gone');
  END IF;
  UPDATE webhook_events SET leased_until = v_now + make_interval(secs => p_seconds), attempts = attempts + 1,
    tried_since = coalesce(tried_since, v_now), tried_at = v_now
  WHERE tenant = p_tenant AND id = p_id;
  -- The user's present name. Of an erased user nothing is left to send.
  IF v_row.subject ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
    SELECT * INTO v_user FROM users WHERE tenant = p_tenant AND id = v_row.subject::uuid;
  END IF;
  RETURN jsonb_build_object('outcome', 'claimed', 'attempt', v_row.attempts + 1, 'event', jsonb_build_object(
    'type', v_event.action, 'timestamp', to_char(v_event.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'tenant', p_tenant,
    'userId', v_event.subject, 'namespace', v_user.namespace, 'subject', v_user.subject, 'account', v_user.account,
    'outcome', v_event.outcome, 'actorId', v_event.actor, 'factorKind', v_event.factor_kind, 'address', v_event.address,
    'requestId', v_event.request_id, 'details', v_event.details));
END $$;
