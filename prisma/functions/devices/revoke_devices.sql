-- The same for an administrator, with a reason.
CREATE OR REPLACE FUNCTION revoke_devices(
  p_tenant text, p_user uuid, p_device uuid, p_reason text, p_is_support boolean, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := lock_user(p_tenant, p_user, p_is_support, p_by);
  v_removed int;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  v_removed := remove_devices(p_tenant, p_user, CASE WHEN p_device IS NOT NULL THEN ARRAY[p_device] END,
    jsonb_build_object('reason', p_reason), p_by);
  RETURN CASE WHEN v_removed = 0 THEN jsonb_build_object('outcome', 'nothing') ELSE jsonb_build_object('outcome', 'removed') END;
END $$;
