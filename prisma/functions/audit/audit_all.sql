-- Several events of one action, one for each subject. For actions that leave no webhook event: `audit` has the list of those that do.
CREATE OR REPLACE FUNCTION audit_all(
  p_tenant text, p_subjects uuid[], p_action text, p_outcome text, p_kind text, p_bys jsonb[], p_details jsonb[]
) RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_at timestamptz := clock_timestamp();
  v_ids uuid[] := ARRAY(SELECT gen_random_uuid() FROM unnest(p_subjects));
BEGIN
  IF cardinality(p_subjects) = 0 THEN RETURN; END IF;
  INSERT INTO audit_events (tenant, at, id, actor, subject, action, outcome, factor_kind, address, request_id, details)
  SELECT p_tenant, v_at, e.id, e.by->>'actor', e.subject::text, p_action, p_outcome, p_kind, e.by->>'address', e.by->>'requestId', e.details
  FROM unnest(v_ids, p_subjects, p_bys, p_details) AS e (id, subject, by, details);
  INSERT INTO audit_pending (tenant, at, id) SELECT p_tenant, v_at, id FROM unnest(v_ids) AS id;
END $$;
