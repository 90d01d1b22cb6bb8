-- Takes a user out of the database; the tombstone stays: p_tombstone is {hash, pepperId, hashes: those of every pepper, at}. `at` is what a
-- replica's clock says, since it is by replicas' clocks that tokens were issued: the later one counts. Decides: what waits for the user
-- finds none, and what would record them anew finds the tombstone. Rows are locked in the usual order before their own goes, which those
-- who add a row to them hold.
CREATE OR REPLACE FUNCTION erase_user(
  p_tenant text, p_user uuid, p_reason text, p_tombstone jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := lock_user(p_tenant, p_user, false, p_by);
  v_before users%ROWTYPE;
  v_epoch int;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  PERFORM 1 FROM throttles WHERE tenant = p_tenant AND user_id = p_user ORDER BY kind FOR UPDATE;
  v_epoch := bump_epoch(p_tenant, p_user);
  SELECT * INTO v_before FROM users WHERE tenant = p_tenant AND id = p_user;
  DELETE FROM tombstones WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_tombstone->'hashes'));
  INSERT INTO tombstones (tenant, hash, pepper_id, epoch, disabled_at, erased_at)
  VALUES (p_tenant, p_tombstone->>'hash', p_tombstone->>'pepperId', v_epoch, v_before.disabled_at,
    greatest(clock_timestamp(), (p_tombstone->>'at')::timestamptz));
  PERFORM audit(p_tenant, p_user::text, 'user.erased', 'success', NULL, p_by, jsonb_build_object('reason', p_reason));
  DELETE FROM refusals WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM users WHERE tenant = p_tenant AND id = p_user;
  PERFORM tally_user(p_tenant, p_user, v_before);
  RETURN jsonb_build_object('outcome', 'erased');
END $$;
