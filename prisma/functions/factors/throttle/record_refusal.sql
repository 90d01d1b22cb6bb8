-- Counts a refused code that costs no attempt: of recovery and bypass codes each, of TOTP one whose step is spent. Decides, over all
-- replicas: of such codes of one user there is at most one event a minute, with how many there were since the last; else an attacker with a
-- password could fill the audit. p_call is how the event's name begins; p_cause is null for a code that was simply not there.
CREATE OR REPLACE FUNCTION record_refusal(p_tenant text, p_user uuid, p_call text, p_kind text, p_cause text, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_row refusals%ROWTYPE;
BEGIN
  INSERT INTO refusals (tenant, user_id, call, kind, reported_at) VALUES (p_tenant, p_user, p_call, p_kind, '-infinity')
  ON CONFLICT DO NOTHING;
  SELECT * INTO v_row FROM refusals WHERE tenant = p_tenant AND user_id = p_user AND call = p_call FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'lost'); END IF;
  UPDATE refusals SET kind = p_kind, made_by = p_by, unreported = unreported + 1,
    cause = CASE WHEN v_row.unreported = 0 OR v_row.cause = p_cause THEN p_cause END
  WHERE tenant = p_tenant AND user_id = p_user AND call = p_call;
  IF v_row.reported_at <= v_now - interval '1 minute' THEN PERFORM report_refusals(p_tenant, p_user, p_call); END IF;
  RETURN jsonb_build_object('outcome', 'refused');
END $$;
