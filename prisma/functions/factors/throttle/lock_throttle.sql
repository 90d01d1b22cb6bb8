-- Locks the user's throttle of a kind, which is made when it is first asked for, and says whether a code may be looked at: null, or the
-- outcome that forbids it. Decides: of two that make it at the same moment, the later one finds what the first has counted.
CREATE OR REPLACE FUNCTION lock_throttle(p_tenant text, p_user uuid, p_kind text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_row throttles%ROWTYPE;
BEGIN
  SELECT * INTO v_row FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind FOR UPDATE;
  IF NOT FOUND THEN
    PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'lost'); END IF;
    INSERT INTO throttles (tenant, user_id, kind) VALUES (p_tenant, p_user, p_kind) ON CONFLICT DO NOTHING;
    SELECT * INTO v_row FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind FOR UPDATE;
  END IF;
  IF v_row.locked_at IS NOT NULL THEN
    RETURN jsonb_build_object('outcome', 'locked');
  ELSIF v_row.wait_until > clock_timestamp() THEN
    RETURN jsonb_build_object('outcome', 'waiting', 'seconds', seconds_until(v_row.wait_until));
  END IF;
  RETURN NULL;
END $$;
