-- Replaces the whole set, for who has claimed it. Decides: of parallel replacements the last one committed stands, whole.
CREATE OR REPLACE FUNCTION replace_codes(p_tenant text, p_user uuid, p_epoch int, p_set uuid, p_codes jsonb, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND OR NOT EXISTS (SELECT 1 FROM factors WHERE tenant = p_tenant AND user_id = p_user) THEN
    RETURN jsonb_build_object('outcome', 'stale');
  END IF;
  UPDATE throttles SET wait_until = NULL WHERE tenant = p_tenant AND user_id = p_user AND kind = 'renew';
  PERFORM store_codes(p_tenant, p_user, p_set, p_codes);
  PERFORM audit(p_tenant, p_user::text, 'recovery.regenerated', 'success', 'recovery', p_by, '{}');
  RETURN jsonb_build_object('outcome', 'replaced');
END $$;
