-- May a user's recovery codes be hashed anew now? `claimed`, and then no other call of theirs for p_seconds or until it is done;
-- `waiting` for that, and once there were p_per_hour in an hour. Decides, over all replicas: slow hashing that a user asks for goes one at
-- a time, and so often and no more.
CREATE OR REPLACE FUNCTION claim_renewal(p_tenant text, p_user uuid, p_epoch int, p_per_hour int, p_seconds int)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_until timestamptz;
  v_recent timestamptz[];
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  INSERT INTO throttles (tenant, user_id, kind) VALUES (p_tenant, p_user, 'renew') ON CONFLICT DO NOTHING;
  SELECT wait_until, ARRAY(SELECT r FROM unnest(recent) AS r WHERE r > clock_timestamp() - interval '1 hour' ORDER BY r)
  INTO v_until, v_recent
  FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = 'renew' FOR UPDATE;
  v_now := clock_timestamp();
  IF cardinality(v_recent) >= p_per_hour THEN v_until := greatest(v_until, v_recent[1] + interval '1 hour'); END IF;
  IF v_until > v_now THEN RETURN jsonb_build_object('outcome', 'waiting', 'seconds', seconds_until(v_until)); END IF;
  UPDATE throttles SET recent = v_recent || v_now, wait_until = v_now + make_interval(secs => p_seconds)
  WHERE tenant = p_tenant AND user_id = p_user AND kind = 'renew';
  RETURN jsonb_build_object('outcome', 'claimed');
END $$;
