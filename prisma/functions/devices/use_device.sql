-- Lifts a login session by a device that is not older than p_days. p_authentication is as remember_session has it. Decides, beside the
-- device's removal: what was removed before lifts nothing, and what it has lifted is ended by a removal that comes after, since that one
-- waits for the device's row. The user's row is locked first, as the session refers to it: an erasure then waits for this, or this for it.
-- A session in which something was proved that counts is left alone (`kept`): a device's never takes the place of a code's.
-- What an upsert sets on Citus must be the same on every node: it is computed before.
CREATE OR REPLACE FUNCTION use_device(
  p_tenant text, p_user uuid, p_epoch int, p_device uuid, p_mac bytea, p_days int, p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_oldest timestamptz;
  v_ends timestamptz := to_timestamp((p_authentication->>'endsAt')::double precision);
  v_expires timestamptz := v_ends + interval '2 minutes';
  v_earned timestamptz;
  v_factor uuid;
  v_generation int;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR KEY SHARE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  v_now := clock_timestamp();
  v_oldest := v_now - p_days * interval '24 hours';
  UPDATE devices SET last_used_at = v_now
  WHERE tenant = p_tenant AND user_id = p_user AND id = p_device AND mac = p_mac AND epoch = p_epoch AND earned_at > v_oldest
  RETURNING earned_at, factor_id INTO v_earned, v_factor;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  INSERT INTO mfa_sessions AS s (tenant, user_id, issuer, session, acr, factor_id, auth_time, epoch, ends_at, mac, device_id, expires_at)
  VALUES (p_tenant, p_user, p_authentication->>'issuer', p_authentication->>'session', p_authentication->>'acr', v_factor, v_earned,
    p_epoch, v_ends, decode(p_authentication->>'mac', 'hex'), p_device, v_expires)
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET acr = excluded.acr, methods = excluded.methods,
    factor_id = excluded.factor_id, auth_time = excluded.auth_time, epoch = excluded.epoch, ends_at = excluded.ends_at, mac = excluded.mac,
    device_id = excluded.device_id, expires_at = greatest(s.expires_at, excluded.expires_at)
  WHERE (s.epoch = p_epoch AND s.ends_at > v_now AND (s.device_id IS NULL OR s.auth_time > v_oldest)) IS NOT TRUE
  RETURNING s.generation INTO v_generation;
  IF v_generation IS NULL THEN RETURN jsonb_build_object('outcome', 'kept'); END IF;
  PERFORM audit(p_tenant, p_user::text, 'device.used', 'success', 'device', p_by, jsonb_build_object('deviceId', p_device));
  RETURN jsonb_build_object('outcome', 'accepted', 'generation', v_generation);
END $$;
