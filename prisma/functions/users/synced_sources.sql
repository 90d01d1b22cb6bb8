-- The sources after a sync by an application, which is one source more, under a name that no issuer has: the empty one. Its accounts or
-- groups (null: it claims none) replace all that was claimed before, so nothing that another source claims beyond them stays. What both
-- claim stays as it is, so that the next sync finds nothing to change.
CREATE OR REPLACE FUNCTION synced_sources(p_sources jsonb, p_accounts jsonb, p_groups jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_synced jsonb := coalesce(p_sources->'', '{}');
  v_others jsonb := '{}';
  v_issuer text;
  v_claims jsonb;
BEGIN
  IF p_accounts IS NULL AND p_groups IS NULL THEN RETURN p_sources; END IF;
  FOR v_issuer, v_claims IN SELECT key, value FROM jsonb_each(p_sources) WHERE key <> '' LOOP
    IF NOT coalesce(p_accounts, '["local", "sso"]') ? 'local' THEN v_claims := v_claims - 'local'; END IF;
    IF NOT coalesce(p_accounts, '["local", "sso"]') ? 'sso' THEN v_claims := v_claims - 'sso'; END IF;
    IF p_groups IS NOT NULL THEN
      IF v_claims->'groupsUnknown' = 'true' THEN v_claims := v_claims - 'groupsUnknown'; END IF;
      IF v_claims ? 'groups' THEN
        v_claims := v_claims || jsonb_build_object('groups', ARRAY(
          SELECT g FROM jsonb_array_elements_text(v_claims->'groups') WITH ORDINALITY AS e (g, n) WHERE p_groups ? g ORDER BY n));
      END IF;
    END IF;
    v_others := v_others || jsonb_build_object(v_issuer, v_claims);
  END LOOP;
  IF p_accounts IS NOT NULL THEN
    v_synced := v_synced || jsonb_build_object('local', p_accounts ? 'local', 'sso', p_accounts ? 'sso');
  END IF;
  IF p_groups IS NOT NULL THEN
    v_synced := v_synced || jsonb_build_object('groups',
      ARRAY(SELECT DISTINCT g COLLATE "C" FROM jsonb_array_elements_text(p_groups) AS g ORDER BY 1));
  END IF;
  RETURN v_others || jsonb_build_object('', v_synced);
END $$;
