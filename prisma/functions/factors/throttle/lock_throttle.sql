-- Locks the user's throttle of a kind and says whether a code may be looked at: null, or the outcome that forbids it.
CREATE OR REPLACE FUNCTION lock_throttle(p_tenant text, p_user uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_row throttles%ROWTYPE;
BEGIN
  SELECT * INTO v_row FROM throttles WHERE tenant = p_tenant AND user_id = p_user AND kind = 'totp' FOR UPDATE;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('outcome', 'lost');
  ELSIF v_row.locked_at IS NOT NULL THEN
    RETURN jsonb_build_object('outcome', 'locked');
  ELSIF v_row.wait_until > clock_timestamp() THEN
    RETURN jsonb_build_object('outcome', 'waiting', 'seconds', seconds_until(v_row.wait_until));
  END IF;
  RETURN NULL;
END $$;
