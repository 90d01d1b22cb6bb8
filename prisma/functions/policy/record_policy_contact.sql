-- Records what a decision saw in a user for the first time, each part once; null is nothing to record. Decides: of any number of first
-- calls, one gives the deadline (p_grace_days from the database's now) and one writes the report. A policy of another version than the
-- decision's gives no deadline: the next call decides on that one.
-- Who is seen with a role has no trusted devices any more, and what these lifted ends.
-- A day is 24 hours, whatever time zone the server has: as the decision counts it.
CREATE OR REPLACE FUNCTION record_policy_contact(
  p_tenant text, p_user uuid, p_version int, p_grace_days int, p_would_be jsonb, p_is_administrator boolean, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  IF p_grace_days IS NOT NULL THEN
    UPDATE users SET policy_met_at = v_now, grace_until = v_now + p_grace_days * interval '24 hours'
    WHERE tenant = p_tenant AND id = p_user AND grace_until IS NULL
      AND p_version = coalesce((SELECT version FROM policies WHERE tenant = p_tenant), 0);
  END IF;
  IF p_would_be IS NOT NULL THEN
    UPDATE users SET reported_version = p_version
    WHERE tenant = p_tenant AND id = p_user AND reported_version IS DISTINCT FROM p_version;
    IF FOUND THEN
      PERFORM audit(p_tenant, p_user::text, 'policy.would_enroll', 'success', NULL, p_by, p_would_be);
    END IF;
  END IF;
  IF p_is_administrator THEN
    UPDATE users SET administrator_at = v_now WHERE tenant = p_tenant AND id = p_user AND administrator_at IS NULL;
    IF FOUND THEN PERFORM remove_devices(p_tenant, p_user, NULL, '{"cause": "administrator"}', p_by); END IF;
  END IF;
  RETURN jsonb_build_object('outcome', 'recorded');
END $$;
