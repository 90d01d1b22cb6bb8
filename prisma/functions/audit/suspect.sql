-- Records a suspicion, unless it was known in the last `p_seconds`. Decides: of any number that have it at once, one is reported.
CREATE OR REPLACE FUNCTION suspect(
  p_tenant text, p_action text, p_key text, p_seconds int, p_subject text, p_outcome text, p_kind text, p_by jsonb, p_details jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_since timestamptz := v_now - make_interval(secs => p_seconds);
BEGIN
  INSERT INTO suspicions AS s (tenant, action, key, at) VALUES (p_tenant, p_action, p_key, v_now)
  ON CONFLICT (tenant, action, key) DO UPDATE SET at = excluded.at WHERE s.at <= v_since;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'known'); END IF;
  PERFORM audit(p_tenant, p_subject, p_action, p_outcome, p_kind, p_by, p_details);
  RETURN jsonb_build_object('outcome', 'suspected');
END $$;
