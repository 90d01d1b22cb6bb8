-- Clears run, wait, lock and budget of every kind. Answers what there was, by kind, for the audit.
CREATE OR REPLACE FUNCTION clear_throttles(p_tenant text, p_user uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_cleared jsonb;
BEGIN
  PERFORM 1 FROM throttles WHERE tenant = p_tenant AND user_id = p_user ORDER BY kind FOR UPDATE;
  SELECT coalesce(jsonb_object_agg(kind, jsonb_build_object('failures', failures, 'waitUntil', wait_until, 'lockedAt', locked_at,
    'budget', cardinality(recent))), '{}') INTO v_cleared
  FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND (failures > 0 OR tries > 0 OR locked_at IS NOT NULL OR recent <> '{}');
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL, locked_at = NULL, recent = '{}'
  WHERE tenant = p_tenant AND user_id = p_user;
  RETURN v_cleared;
END $$;
