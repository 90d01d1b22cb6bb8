-- Writes one audit event, in the transaction of what it records, and enters it for the chain. Nothing is chained here: events of one
-- tenant would wait for each other.
-- What concerns a user, the policy or an attack also leaves a webhook event if there is an endpoint. That is one insert: no settlement
-- waits for a delivery. Logins leave none, and the endpoint is looked for only where there is an event for it.
-- p_by is {actor, address, requestId}.
CREATE OR REPLACE FUNCTION audit(
  p_tenant text, p_subject text, p_action text, p_outcome text, p_kind text, p_by jsonb, p_details jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_at timestamptz := clock_timestamp();
  v_id uuid := gen_random_uuid();
BEGIN
  INSERT INTO audit_events (tenant, at, id, actor, subject, action, outcome, factor_kind, address, request_id, details)
  VALUES (p_tenant, v_at, v_id, p_by->>'actor', p_subject, p_action, p_outcome, p_kind, p_by->>'address', p_by->>'requestId', p_details);
  INSERT INTO audit_pending (tenant, at, id) VALUES (p_tenant, v_at, v_id);
  IF (p_action = ANY ('{factor.confirmed,factor.removed,device.trusted,recovery.accepted,recovery.low,recovery.regenerated,
    bypass.issued,bypass.used,user.unlocked,user.reset,user.signed_out,user.exempted,user.grace_set,
    user.disabled,user.enabled,user.erased,policy.changed,spray.suspected,guessing.suspected}')
    OR p_action IN (p_kind || '.locked', p_kind || '.suspected'))
    -- What was never confirmed was no factor.
    AND NOT p_details ? 'pending'
  THEN
    IF EXISTS (SELECT 1 FROM webhook_endpoints WHERE wanted_until > v_at) THEN
      INSERT INTO webhook_events (tenant, id, at, subject, due_at) VALUES (p_tenant, v_id, v_at, coalesce(p_subject, ''), v_at);
    END IF;
  END IF;
END $$;
