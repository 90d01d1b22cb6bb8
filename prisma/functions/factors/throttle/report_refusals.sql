-- Writes the event of what record_refusal has counted of a user since the last one; where that is nothing, the count has ended. The caller
-- says when: once a minute has passed. Decides: each refusal is reported once, however many replicas look.
CREATE OR REPLACE FUNCTION report_refusals(p_tenant text, p_user uuid, p_call text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_row refusals%ROWTYPE;
BEGIN
  SELECT * INTO v_row FROM refusals
  WHERE tenant = p_tenant AND user_id = p_user AND call = p_call AND reported_at <= v_now - interval '1 minute' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'reported'); END IF;
  IF v_row.unreported = 0 THEN
    DELETE FROM refusals WHERE tenant = p_tenant AND user_id = p_user AND call = p_call;
  ELSE
    UPDATE refusals SET reported_at = v_now, unreported = 0, cause = NULL WHERE tenant = p_tenant AND user_id = p_user AND call = p_call;
    PERFORM audit(p_tenant, p_user::text, p_call || '.refused', 'failure', v_row.kind, v_row.made_by,
      jsonb_strip_nulls(jsonb_build_object('count', v_row.unreported, 'cause', v_row.cause)));
  END IF;
  RETURN jsonb_build_object('outcome', 'reported');
END $$;
