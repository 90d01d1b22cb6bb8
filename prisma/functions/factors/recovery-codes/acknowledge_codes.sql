-- Records that a set of codes is saved; the first time counts. A set that was replaced meanwhile does not exist any more: `nothing`.
CREATE OR REPLACE FUNCTION acknowledge_codes(p_tenant text, p_user uuid, p_set uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE recovery_sets SET acknowledged_at = now() WHERE tenant = p_tenant AND user_id = p_user AND id = p_set AND acknowledged_at IS NULL;
  RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'acknowledged' ELSE 'nothing' END);
END $$;
