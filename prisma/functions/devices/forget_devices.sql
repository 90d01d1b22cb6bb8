-- Removes a device for its user, or all of them. That takes no second factor, and no epoch: to forget can never need more. The user's row
-- is locked first: of a removal and a new device at once, one comes after the other.
CREATE OR REPLACE FUNCTION forget_devices(p_tenant text, p_user uuid, p_device uuid, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_removed int;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  v_removed := remove_devices(p_tenant, p_user, CASE WHEN p_device IS NOT NULL THEN ARRAY[p_device] END, '{}', p_by);
  RETURN CASE WHEN v_removed = 0 THEN jsonb_build_object('outcome', 'nothing') ELSE jsonb_build_object('outcome', 'removed') END;
END $$;
