-- Accepts the signed answer of a passkey, by its challenge: p_challenge has the milliseconds of its issue above 20 random bits. Decides: a
-- challenge counts once for a passkey, over every call and replica, for as long as it may be answered; the counter of a passkey that lives
-- on one device never goes back, and what lives on several is never again said to live on one. Two tries of one challenge lock one row, and
-- the second finds it among those that are spent.
-- Only p_most that are spent are kept: where there are so many, none counts that is older than all of them.
-- The user's row is locked before the factor's, as the session that is remembered refers to it: an erasure then waits for this, or this for
-- it. What was refused is recorded by a call of its own: rows of refusals are locked before those of factors.
CREATE OR REPLACE FUNCTION accept_passkey(
  p_tenant text, p_user uuid, p_epoch int, p_factor uuid, p_challenge bigint, p_ttl_seconds int, p_most int, p_counter bigint,
  p_is_eligible boolean, p_authentication jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_row factors%ROWTYPE;
  v_now timestamptz;
  v_oldest bigint;
  v_spent bigint[];
  v_cause text;
  v_generation int;
  v_details jsonb := jsonb_build_object('factorId', p_factor);
BEGIN
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user AND epoch = p_epoch AND disabled_at IS NULL FOR KEY SHARE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'refused', 'cause', 'stale'); END IF;
  SELECT * INTO v_row FROM factors WHERE tenant = p_tenant AND id = p_factor AND user_id = p_user AND kind = 'passkey' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'refused', 'cause', 'stale'); END IF;
  v_now := clock_timestamp();
  v_oldest := (floor(extract(epoch FROM v_now) * 1000)::bigint - p_ttl_seconds * 1000::bigint) << 20;
  v_spent := ARRAY(SELECT each FROM unnest(v_row.spent) AS each WHERE each >= v_oldest ORDER BY each);
  v_cause := CASE
    WHEN p_challenge < v_oldest THEN 'expired'
    WHEN p_challenge = ANY (v_spent) OR (cardinality(v_spent) >= p_most AND p_challenge < v_spent[1]) THEN 'spent'
    WHEN v_row.backup_eligible AND NOT p_is_eligible THEN 'flags'
    WHEN NOT p_is_eligible AND p_counter <= v_row.counter AND v_row.counter > 0 THEN 'counter'
  END;
  IF v_cause = 'counter' THEN
    PERFORM suspect(p_tenant, 'passkey.suspected', p_factor::text, 86400, p_user::text, 'failure', 'passkey', p_by, v_details);
  END IF;
  IF v_cause IS NOT NULL THEN RETURN jsonb_build_object('outcome', 'refused', 'cause', v_cause); END IF;
  v_spent := v_spent[greatest(1, cardinality(v_spent) - p_most + 2):] || p_challenge;
  p_counter := greatest(v_row.counter, p_counter);
  UPDATE factors SET spent = v_spent, last_used_at = v_now, counter = p_counter, backup_eligible = p_is_eligible
  WHERE tenant = p_tenant AND id = p_factor;
  -- From now on its counter is not looked at.
  IF p_is_eligible AND NOT v_row.backup_eligible THEN v_details := v_details || '{"synced": true}'; END IF;
  PERFORM audit(p_tenant, p_user::text, 'passkey.accepted', 'success', 'passkey', p_by, v_details);
  IF p_authentication IS NOT NULL THEN v_generation := remember_session(p_tenant, p_user, p_authentication); END IF;
  RETURN jsonb_build_object('outcome', 'accepted', 'generation', v_generation);
END $$;
