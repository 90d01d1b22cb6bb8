-- Are this user's codes being guessed? `p_at` is when one was refused (p_outcome `failure`), or accepted after others had been
-- (`success`): with five refused in the 24 hours before, it is reported, each once in 24 hours. What cost no attempt is none.
-- p_refused are the actions of a refused code, of every kind.
CREATE OR REPLACE FUNCTION suspect_guessing(
  p_tenant text, p_user text, p_at timestamptz, p_outcome text, p_kind text, p_refused text[], p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_failures int;
BEGIN
  SELECT count(*) INTO v_failures FROM audit_events
  WHERE tenant = p_tenant AND subject = p_user AND at > p_at - interval '24 hours' AND at <= p_at
    AND action = ANY (p_refused) AND NOT details ? 'cause';
  IF v_failures < 5 THEN RETURN jsonb_build_object('outcome', 'few'); END IF;
  RETURN suspect(p_tenant, 'guessing.suspected', p_user || ' ' || p_outcome, 86400, p_user, p_outcome, p_kind, p_by,
    jsonb_build_object('failures', v_failures, 'hours', 24));
END $$;
