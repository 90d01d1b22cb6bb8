-- Logs a session out: its authentication is forgotten, and MFA tokens that were issued for it so far are of an older generation. A later
-- code counts again.
-- The revocation is recorded with the epoch as it is once the session's row is locked, so that no token that was issued for the session
-- so far is of a newer one. The row stays until the last of the tokens has ended, and outlives the recorded revocation (20 minutes): a
-- generation that began anew while an older revocation is known would be dead.
CREATE OR REPLACE FUNCTION end_session(p_tenant text, p_user uuid, p_issuer text, p_session text, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_generation int;
  v_epoch int;
BEGIN
  INSERT INTO mfa_sessions AS s (tenant, user_id, issuer, session, generation, expires_at)
  VALUES (p_tenant, p_user, p_issuer, p_session, 1, clock_timestamp() + interval '22 minutes')
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET generation = s.generation + 1, acr = NULL, methods = '{}',
    factor_id = NULL, auth_time = NULL, epoch = NULL, ends_at = NULL, mac = NULL, device_id = NULL,
    expires_at = greatest(s.expires_at, excluded.expires_at)
  RETURNING s.generation INTO v_generation;
  SELECT epoch INTO v_epoch FROM users WHERE tenant = p_tenant AND id = p_user;
  PERFORM record_revocation(p_tenant, p_user, p_issuer, p_session, v_epoch, v_generation);
  PERFORM audit(p_tenant, p_user::text, 'session.ended', 'success', NULL, p_by, '{}');
  RETURN jsonb_build_object('outcome', 'ended');
END $$;
