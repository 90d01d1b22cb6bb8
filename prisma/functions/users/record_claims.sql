-- Records what an issuer claims about a user, who is made if they are new, and counts them. `p_claims` is {local, sso, groups?}; where the
-- token has no accounts (`p_has_accounts` false) its login type is added to what the issuer had claimed before. A token without a display
-- name (`p_account` null) leaves the one that is known.
-- What is set on Citus must be the same on every node: it is computed before.
CREATE OR REPLACE FUNCTION record_claims(
  p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_issuer text, p_has_accounts boolean, p_claims jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_before users%ROWTYPE;
  v_id uuid;
  v_account text := coalesce(p_account, p_subject);
  v_known jsonb;
  v_sources jsonb := jsonb_build_object(p_issuer, p_claims);
BEGIN
  INSERT INTO users (tenant, id, namespace, subject, account, sources)
  VALUES (p_tenant, p_id, p_namespace, p_subject, v_account, v_sources)
  ON CONFLICT (tenant, namespace, subject) DO NOTHING
  RETURNING id INTO v_id;
  IF v_id IS NULL THEN
    SELECT * INTO v_before FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = p_subject FOR NO KEY UPDATE;
    -- Erased between the two: the caller finds no user, and asks again.
    IF NOT FOUND THEN RETURN; END IF;
    v_id := v_before.id;
    v_account := coalesce(p_account, v_before.account);
    v_known := coalesce(v_before.sources->p_issuer, '{}');
    v_sources := v_before.sources || jsonb_build_object(p_issuer,
      v_known || p_claims || CASE WHEN p_has_accounts THEN '{}'::jsonb ELSE jsonb_build_object(
      'local', (p_claims->>'local')::boolean OR coalesce((v_known->>'local')::boolean, false),
      'sso', (p_claims->>'sso')::boolean OR coalesce((v_known->>'sso')::boolean, false)) END);
    UPDATE users SET account = v_account, sources = v_sources WHERE tenant = p_tenant AND id = v_id;
  END IF;
  PERFORM tally_user(p_tenant, v_id, v_before);
END $$;
