-- Takes all factors and codes from a user and ends their MFA tokens. With a bypass code they set up a factor anew only with that code, or
-- with a later one. Decides: of parallel resets one; a confirmation, new codes or a code that come later find another epoch. The audit
-- keeps what there was. A grace that was given once is not given again.
CREATE OR REPLACE FUNCTION reset_user(p_tenant text, p_user uuid, p_reason text, p_bypass jsonb, p_is_support boolean, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := lock_user(p_tenant, p_user, p_is_support, p_by);
  v_cleared jsonb;
  v_factors jsonb;
  v_until timestamptz;
  v_epoch int;
  v_now timestamptz;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  IF NOT EXISTS (SELECT 1 FROM factors WHERE tenant = p_tenant AND user_id = p_user)
    AND NOT EXISTS (SELECT 1 FROM enrollments WHERE tenant = p_tenant AND user_id = p_user AND expires_at > clock_timestamp()) THEN
    RETURN jsonb_build_object('outcome', 'nothing');
  END IF;
  v_cleared := clear_throttles(p_tenant, p_user);
  SELECT coalesce(jsonb_agg(jsonb_build_object('factorId', id, 'kind', kind, 'label', label, 'confirmedAt', confirmed_at,
    'lastUsedAt', last_used_at) ORDER BY confirmed_at, id), '[]') INTO v_factors FROM factors WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM factors WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM recovery_sets WHERE tenant = p_tenant AND user_id = p_user;
  PERFORM update_enrolled_at(p_tenant, p_user);
  DELETE FROM bypasses WHERE tenant = p_tenant AND user_id = p_user;
  DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = p_user;
  v_now := clock_timestamp();
  UPDATE users SET revision = revision + 1, code_required_at = CASE WHEN p_bypass IS NOT NULL THEN v_now END
  WHERE tenant = p_tenant AND id = p_user;
  v_epoch := bump_epoch(p_tenant, p_user);
  PERFORM audit(p_tenant, p_user::text, 'user.reset', 'success', NULL, p_by, jsonb_build_object(
    'reason', p_reason, 'requireCode', p_bypass IS NOT NULL, 'factors', v_factors, 'cleared', v_cleared));
  IF p_bypass IS NOT NULL THEN
    v_until := store_bypass(p_tenant, p_user, p_bypass);
    PERFORM audit(p_tenant, p_user::text, 'bypass.issued', 'success', NULL, p_by,
      jsonb_build_object('reason', p_reason, 'expiresAt', v_until));
  END IF;
  RETURN jsonb_build_object('outcome', 'reset', 'factors', jsonb_array_length(v_factors), 'expiresAt', v_until);
END $$;
