-- Records the first sight of a user, or what an issuer newly claims about them, but not of a user who was erased since the token was
-- issued: `erased`. A user who comes back later is made anew. Decides: of a first sight and an erasure at once, the erasure stands.
CREATE OR REPLACE FUNCTION upsert_user(
  p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_issuer text, p_has_accounts boolean, p_claims jsonb,
  p_issued_at timestamptz, p_hashes jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_tombstone tombstones%ROWTYPE;
  v_after tombstones%ROWTYPE;
BEGIN
  SELECT * INTO v_tombstone FROM tombstones WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_hashes));
  IF p_issued_at <= v_tombstone.erased_at THEN RETURN jsonb_build_object('outcome', 'erased'); END IF;
  IF FOUND THEN PERFORM revive_user(p_tenant, p_id, p_namespace, p_subject, p_account, p_hashes); END IF;
  PERFORM record_claims(p_tenant, p_id, p_namespace, p_subject, p_account, p_issuer, p_has_accounts, p_claims);
  -- An erasure that was waited for is seen by now.
  SELECT * INTO v_after FROM tombstones WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_hashes));
  IF v_after IS DISTINCT FROM v_tombstone
    OR NOT EXISTS (SELECT 1 FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = p_subject) THEN
    RAISE EXCEPTION USING ERRCODE = 'ERASE';
  END IF;
  RETURN jsonb_build_object('outcome', 'seen');
EXCEPTION WHEN SQLSTATE 'ERASE' THEN
  RETURN jsonb_build_object('outcome', 'erased');
END $$;
