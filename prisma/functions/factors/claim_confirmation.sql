-- Reserves a confirmation while its recovery codes are hashed, for some seconds, so that fifty parallel requests with the right code cost
-- one set of hashes and not fifty. A holder that dies loses nothing: the claim ends by itself.
-- Without p_is_throttled no throttle is asked.
CREATE OR REPLACE FUNCTION claim_confirmation(
  p_tenant text, p_user uuid, p_kind text, p_is_throttled boolean, p_factor uuid, p_claim uuid, p_seconds int
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_throttled jsonb;
  v_now timestamptz;
BEGIN
  IF p_is_throttled THEN v_throttled := lock_throttle(p_tenant, p_user, p_kind); END IF;
  v_now := clock_timestamp();
  IF v_throttled IS NOT NULL THEN RETURN v_throttled; END IF;
  UPDATE enrollments SET claim = p_claim, claimed_until = v_now + make_interval(secs => p_seconds)
  WHERE tenant = p_tenant AND user_id = p_user AND kind = p_kind AND factor_id = p_factor AND expires_at > v_now
    AND (claim IS NULL OR claim = p_claim OR claimed_until < v_now);
  RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'claimed' ELSE 'spent' END);
END $$;
