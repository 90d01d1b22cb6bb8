-- Trusts a device of a user: p_mac is over its secret. Decides, by the epoch: none is trusted by what a sign-out, a reset or a removed
-- factor has ended, and none of a user who was seen with a role. Of any number at once the newest p_most stay.
CREATE OR REPLACE FUNCTION trust_device(
  p_tenant text, p_user uuid, p_epoch int, p_device uuid, p_mac bytea, p_name text, p_factor uuid, p_earned_at timestamptz, p_most int,
  p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_older uuid[];
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL AND administrator_at IS NULL
  FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  -- What has ended with its epoch lifts nothing, and takes no one's place.
  DELETE FROM devices WHERE tenant = p_tenant AND user_id = p_user AND epoch <> p_epoch;
  INSERT INTO devices (tenant, user_id, id, mac, name, factor_id, earned_at, epoch, created_at)
  VALUES (p_tenant, p_user, p_device, p_mac, p_name, p_factor, p_earned_at, p_epoch, clock_timestamp());
  PERFORM audit(p_tenant, p_user::text, 'device.trusted', 'success', 'device', p_by,
    jsonb_build_object('deviceId', p_device, 'name', p_name, 'factorId', p_factor));
  SELECT array_agg(id) INTO v_older FROM (
    SELECT id FROM devices WHERE tenant = p_tenant AND user_id = p_user ORDER BY created_at DESC OFFSET p_most) AS older;
  IF v_older IS NOT NULL THEN PERFORM remove_devices(p_tenant, p_user, v_older, '{"cause": "newer"}', p_by); END IF;
  RETURN jsonb_build_object('outcome', 'trusted');
END $$;
