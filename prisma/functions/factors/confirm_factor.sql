-- Makes the pending factor active, its counter spent, with the recovery codes ([{slot, hash, tag, pepperId}] or null) if it is the first.
-- p_sealed, under p_key_id, takes the place of the pending factor's secret; null: that stays. p_credential is {id (hexadecimal), rpId,
-- isEligible, aaguid, transports} or null. Without p_is_throttled no throttle is asked.
-- Decides: one confirmation out of any number; no more factors than a user may have and no label twice, by the revision; in a tenant no
-- credential twice, by the unique index: `known`, and the pending factor stays.
-- p_rule says what the first factor needs. `first_administrator`: the tenant has no enrolled administrator yet. Decides: of several first
-- administrators at the same moment one sets up their factor without a code. `probation`: no code was asked though administrators need one.
-- Then this factor, and what is set up by it, administers as late as what comes after a recovery.
CREATE OR REPLACE FUNCTION confirm_factor(
  p_tenant text, p_user uuid, p_kind text, p_is_throttled boolean, p_epoch int, p_revision int, p_factor uuid, p_claim uuid,
  p_sealed bytea, p_key_id text, p_label text, p_counter bigint, p_credential jsonb, p_set uuid, p_codes jsonb, p_rule text,
  p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_throttled jsonb;
  v_user users%ROWTYPE;
  v_pending enrollments%ROWTYPE;
  v_transports text[] := CASE WHEN p_credential IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(p_credential->'transports')) END;
BEGIN
  IF p_rule = 'first_administrator' THEN
    PERFORM pg_advisory_xact_lock(hashtextextended('first administrator of ' || p_tenant, 0));
    IF has_administrator(p_tenant) THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  END IF;
  SELECT * INTO v_user FROM users
  WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND revision = p_revision AND disabled_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  IF p_is_throttled THEN v_throttled := lock_throttle(p_tenant, p_user, p_kind); END IF;
  IF v_throttled IS NOT NULL THEN RETURN v_throttled; END IF;
  v_now := clock_timestamp();
  SELECT * INTO v_pending FROM enrollments
  WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind AND factor_id = p_factor AND claim = p_claim AND expires_at > v_now
  FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'spent'); END IF;
  INSERT INTO factors (tenant, id, user_id, kind, label, sealed, key_id, algorithm, digits, period, counter, created_at, confirmed_at,
    after_recovery_at, credential_id, rp_id, backup_eligible, aaguid, transports)
  VALUES (p_tenant, p_factor, p_user, p_kind, p_label, coalesce(p_sealed, v_pending.sealed), coalesce(p_key_id, v_pending.key_id),
    v_pending.algorithm, v_pending.digits, v_pending.period, p_counter, v_pending.created_at, v_now,
    CASE WHEN p_rule = 'probation' THEN v_now ELSE v_user.recovered_at END, decode(p_credential->>'id', 'hex'), p_credential->>'rpId',
    (p_credential->>'isEligible')::boolean, (p_credential->>'aaguid')::uuid, v_transports)
  ON CONFLICT (tenant, credential_id) DO NOTHING;
  IF NOT FOUND THEN
    UPDATE enrollments SET claim = NULL, claimed_until = NULL WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
    RETURN jsonb_build_object('outcome', 'known');
  END IF;
  DELETE FROM enrollments WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  IF p_codes IS NOT NULL THEN
    PERFORM store_codes(p_tenant, p_user, p_set, p_codes);
  END IF;
  UPDATE users SET revision = revision + 1, code_required_at = NULL,
    recovered_at = CASE WHEN p_rule = 'probation' THEN v_now ELSE recovered_at END
  WHERE tenant = p_tenant AND id = p_user;
  PERFORM update_enrolled_at(p_tenant, p_user);
  UPDATE throttles SET failures = 0, tries = 0, wait_until = NULL
  WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind;
  PERFORM audit(p_tenant, p_user::text, 'factor.confirmed', 'success', p_kind, p_by,
    jsonb_build_object('factorId', p_factor, 'label', p_label));
  RETURN jsonb_build_object('outcome', 'confirmed', 'generation', remember_session(p_tenant, p_user, p_authentication));
END $$;
