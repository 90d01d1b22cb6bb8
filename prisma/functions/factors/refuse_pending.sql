-- Records a refused answer to a pending factor of a kind without a throttle, for the reason p_cause.
CREATE OR REPLACE FUNCTION refuse_pending(p_tenant text, p_user uuid, p_kind text, p_factor uuid, p_cause text, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_result jsonb := record_refusal(p_tenant, p_user, p_kind, p_kind, p_cause, p_by);
BEGIN
  PERFORM count_attempt(p_tenant, p_user, p_kind, p_factor);
  RETURN v_result;
END $$;
