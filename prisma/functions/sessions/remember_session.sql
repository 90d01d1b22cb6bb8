-- Remembers the authentication for the login session that it was done in, in the statement that accepts the code: null for a session that
-- is not remembered. p_authentication is {issuer, session, acr, methods, factorId, authTime, epoch, endsAt, mac}. Answers the generation.
-- The row outlives every token that is issued for the session, and what an earlier log-out needs: a generation that began anew would let
-- tokens live which that log-out ended.
-- Tokens that a device gave the session end with it: what was proved now does not end with that device.
-- What an upsert sets on Citus must be the same on every node: it is computed before.
CREATE OR REPLACE FUNCTION remember_session(p_tenant text, p_user uuid, p_authentication jsonb) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_at timestamptz := to_timestamp((p_authentication->>'authTime')::double precision);
  v_ends timestamptz := to_timestamp((p_authentication->>'endsAt')::double precision);
  v_expires timestamptz := greatest(v_ends + interval '2 minutes', v_at + interval '22 minutes');
  v_generation int;
  v_device uuid;
  v_methods text[] := ARRAY(SELECT jsonb_array_elements_text(p_authentication->'methods'));
BEGIN
  IF p_authentication IS NULL THEN RETURN NULL; END IF;
  INSERT INTO mfa_sessions AS s (tenant, user_id, issuer, session, acr, methods, factor_id, auth_time, epoch, ends_at, mac, expires_at)
  VALUES (p_tenant, p_user, p_authentication->>'issuer', p_authentication->>'session', p_authentication->>'acr', v_methods,
    (p_authentication->>'factorId')::uuid, v_at, (p_authentication->>'epoch')::int, v_ends,
    decode(p_authentication->>'mac', 'hex'), v_expires)
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET acr = excluded.acr, methods = excluded.methods,
    factor_id = excluded.factor_id, auth_time = excluded.auth_time, epoch = excluded.epoch, ends_at = excluded.ends_at, mac = excluded.mac,
    expires_at = greatest(s.expires_at, excluded.expires_at)
  RETURNING s.generation, s.device_id INTO v_generation, v_device;
  IF v_device IS NOT NULL THEN
    UPDATE mfa_sessions SET generation = generation + 1, device_id = NULL
    WHERE tenant = p_tenant AND user_id = p_user AND issuer = p_authentication->>'issuer' AND session = p_authentication->>'session'
    RETURNING generation INTO v_generation;
    PERFORM record_revocation(p_tenant, p_user, p_authentication->>'issuer', p_authentication->>'session',
      (p_authentication->>'epoch')::int, v_generation);
  END IF;
  RETURN v_generation;
END $$;
