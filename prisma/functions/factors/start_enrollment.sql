-- Starts an enrollment in place of an earlier one of the kind, for the user that the decision was about: not after a reset that came
-- between.
-- Decides: at most one pending factor of a kind per user, and `p_per_hour` starts an hour.
CREATE OR REPLACE FUNCTION start_enrollment(
  p_tenant text, p_user uuid, p_kind text, p_epoch int, p_factor uuid, p_label text, p_session text, p_sealed bytea, p_key_id text,
  p_algorithm text, p_digits int, p_period int,  p_ttl_seconds int, p_per_hour int, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_recent timestamptz[];
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  INSERT INTO throttles (tenant, user_id, kind) VALUES (p_tenant, p_user, 'enroll') ON CONFLICT DO NOTHING;
  SELECT ARRAY(SELECT s FROM unnest(recent) AS s WHERE s > clock_timestamp() - interval '1 hour' ORDER BY s) INTO v_recent
  FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = 'enroll' FOR UPDATE;
  v_now := clock_timestamp();
  IF cardinality(v_recent) >= p_per_hour THEN
    RETURN jsonb_build_object('outcome', 'waiting',
      'seconds', seconds_until(v_recent[cardinality(v_recent) - p_per_hour + 1] + interval '1 hour'));
  END IF;
  UPDATE throttles SET recent = v_recent || v_now WHERE tenant = p_tenant AND user_id = p_user AND kind = 'enroll';
  DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  INSERT INTO enrollments (tenant, user_id, kind, factor_id, label, session, sealed, key_id, algorithm, digits, period, created_at,
    expires_at)
  VALUES (p_tenant, p_user, p_kind, p_factor, p_label, p_session, p_sealed, p_key_id, p_algorithm, p_digits, p_period, v_now,
    v_now + make_interval(secs => p_ttl_seconds));
  PERFORM audit(p_tenant, p_user::text, 'factor.started', 'success', p_kind, p_by, jsonb_build_object('factorId', p_factor));
  RETURN jsonb_build_object('outcome', 'started', 'expiresAt', v_now + make_interval(secs => p_ttl_seconds));
END $$;
