-- Renames an active factor, or the caller's pending one. The unique index decides who has a label; the revision moves, so that a
-- confirmation beside it decides on its label anew.
CREATE OR REPLACE FUNCTION rename_factor(p_tenant text, p_user uuid, p_epoch int, p_factor uuid, p_label text, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_kind text;
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  v_now := clock_timestamp();
  UPDATE factors SET label = p_label WHERE tenant = p_tenant AND user_id = p_user AND id = p_factor RETURNING kind INTO v_kind;
  IF NOT FOUND THEN
    UPDATE enrollments SET label = p_label
    WHERE tenant = p_tenant AND user_id = p_user AND factor_id = p_factor AND expires_at > v_now RETURNING kind INTO v_kind;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  END IF;
  UPDATE users SET revision = revision + 1 WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit(p_tenant, p_user::text, 'factor.renamed', 'success', v_kind, p_by,
    jsonb_build_object('factorId', p_factor, 'label', p_label));
  RETURN jsonb_build_object('outcome', 'renamed');
EXCEPTION WHEN unique_violation THEN
  RETURN jsonb_build_object('outcome', 'taken');
END $$;
