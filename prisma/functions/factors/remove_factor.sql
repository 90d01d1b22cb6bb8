-- Removes a factor and moves the epoch; with the last one go the recovery codes. Decides, by the revision: no user is left with codes
-- and no factor, or with a factor and no codes, whatever else is confirmed or removed beside it.
CREATE OR REPLACE FUNCTION remove_factor(
  p_tenant text, p_user uuid, p_epoch int, p_revision int, p_factor uuid, p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_epoch int;
  v_gone factors%ROWTYPE;
BEGIN
  UPDATE users SET revision = revision + 1
  WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND revision = p_revision AND disabled_at IS NULL
    AND EXISTS (SELECT 1 FROM factors f WHERE f.tenant = p_tenant AND f.user_id = p_user AND f.id = p_factor);
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  v_epoch := bump_epoch(p_tenant, p_user);
  DELETE FROM factors WHERE tenant = p_tenant AND user_id = p_user AND id = p_factor RETURNING * INTO v_gone;
  IF NOT EXISTS (SELECT 1 FROM factors WHERE tenant = p_tenant AND user_id = p_user) THEN
    DELETE FROM recovery_sets WHERE tenant = p_tenant AND user_id = p_user;
  END IF;
  PERFORM update_enrolled_at(p_tenant, p_user);
  PERFORM audit(p_tenant, p_user::text, 'factor.removed', 'success', v_gone.kind, p_by, jsonb_build_object(
    'factorId', p_factor, 'label', v_gone.label, 'confirmedAt', v_gone.confirmed_at, 'lastUsedAt', v_gone.last_used_at));
  RETURN jsonb_build_object('outcome', 'removed', 'epoch', v_epoch, 'generation', remember_session(p_tenant, p_user, p_authentication));
END $$;
