-- Removes devices of a user, for the settlement that calls it and has locked their row: those named, or all. What they lifted ends: MFA
-- tokens that they gave are of an older generation of their session. Answers how many there were; p_details is what the events say besides.
-- A session's row outlives the recorded revocation, as in end_session.
CREATE OR REPLACE FUNCTION remove_devices(p_tenant text, p_user uuid, p_devices uuid[], p_details jsonb, p_by jsonb)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_row record;
  v_removed uuid[] := '{}';
  v_epoch int;
  v_until timestamptz;
BEGIN
  FOR v_row IN
    DELETE FROM devices WHERE tenant = p_tenant AND user_id = p_user AND (p_devices IS NULL OR id = ANY (p_devices)) RETURNING id, name
  LOOP
    v_removed := v_removed || v_row.id;
    PERFORM audit(p_tenant, p_user::text, 'device.removed', 'success', 'device', p_by,
      p_details || jsonb_build_object('deviceId', v_row.id, 'name', v_row.name));
  END LOOP;
  IF cardinality(v_removed) = 0 THEN RETURN 0; END IF;
  v_until := clock_timestamp() + interval '22 minutes';
  SELECT epoch INTO v_epoch FROM users WHERE tenant = p_tenant AND id = p_user;
  FOR v_row IN
    UPDATE mfa_sessions SET generation = generation + 1, acr = NULL, methods = '{}', factor_id = NULL, auth_time = NULL, epoch = NULL,
      ends_at = NULL, mac = NULL, device_id = NULL, expires_at = greatest(expires_at, v_until)
    WHERE tenant = p_tenant AND user_id = p_user AND device_id = ANY (v_removed) RETURNING issuer, session, generation
  LOOP
    PERFORM record_revocation(p_tenant, p_user, v_row.issuer, v_row.session, v_epoch, v_row.generation);
  END LOOP;
  RETURN cardinality(v_removed);
END $$;
