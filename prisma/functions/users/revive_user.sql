-- Makes a user anew who was erased, if they were and are not there again: with an epoch that no token of theirs has, and disabled if they
-- were. p_hashes are what their tombstone would be under each pepper.
-- The INSERT that returns something has VALUES and no SELECT: Citus takes no other.
CREATE OR REPLACE FUNCTION revive_user(
  p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_hashes jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_tombstone tombstones%ROWTYPE;
  v_id uuid;
BEGIN
  SELECT * INTO v_tombstone FROM tombstones WHERE tenant = p_tenant AND hash IN (SELECT jsonb_array_elements_text(p_hashes)) LIMIT 1;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO users (tenant, id, namespace, subject, account, epoch, tokens_since, disabled_at)
  VALUES (p_tenant, p_id, p_namespace, p_subject, coalesce(p_account, p_subject),
    v_tombstone.epoch + 1, v_tombstone.erased_at, v_tombstone.disabled_at)
  ON CONFLICT (tenant, namespace, subject) DO NOTHING
  RETURNING id INTO v_id;
  IF v_id IS NOT NULL THEN PERFORM tally_user(p_tenant, p_id, NULL); END IF;
END $$;
