-- Gives a user a code for one login. Decides: of parallel ones the last one committed stands.
CREATE OR REPLACE FUNCTION issue_bypass(p_tenant text, p_user uuid, p_reason text, p_bypass jsonb, p_is_support boolean, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_refused jsonb := lock_user(p_tenant, p_user, p_is_support, p_by);
  v_until timestamptz;
BEGIN
  IF v_refused IS NOT NULL THEN RETURN v_refused; END IF;
  v_until := store_bypass(p_tenant, p_user, p_bypass);
  PERFORM audit(p_tenant, p_user::text, 'bypass.issued', 'success', NULL, p_by,
    jsonb_build_object('reason', p_reason, 'expiresAt', v_until));
  RETURN jsonb_build_object('outcome', 'issued', 'expiresAt', v_until);
END $$;
