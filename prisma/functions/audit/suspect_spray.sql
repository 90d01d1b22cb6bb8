-- Are codes being tried on many users? From one source (`p_source`), or, null, from anywhere: then only if more users of the tenant
-- failed than passed in that hour. Reported once an hour. p_accepted are the actions of an accepted code, of every kind.
CREATE OR REPLACE FUNCTION suspect_spray(p_tenant text, p_source text, p_users int, p_accepted text[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_details jsonb := jsonb_build_object('users', p_users, 'hours', 1);
  v_passed int;
BEGIN
  IF p_source IS NOT NULL THEN
    RETURN suspect(p_tenant, 'spray.suspected', p_source, 3600, NULL, 'failure', NULL, '{}',
      v_details || jsonb_build_object('source', p_source));
  END IF;
  -- The log of an hour is read only where the answer is not known yet.
  IF EXISTS (SELECT 1 FROM suspicions WHERE tenant = p_tenant AND action = 'spray.suspected' AND key = '*'
    AND at > clock_timestamp() - interval '1 hour') THEN
    RETURN jsonb_build_object('outcome', 'known');
  END IF;
  SELECT count(DISTINCT subject) INTO v_passed FROM audit_events
  WHERE tenant = p_tenant AND at > clock_timestamp() - interval '1 hour'
    AND action = ANY (p_accepted);
  IF v_passed >= p_users THEN RETURN jsonb_build_object('outcome', 'few'); END IF;
  RETURN suspect(p_tenant, 'spray.suspected', '*', 3600, NULL, 'failure', NULL, '{}', v_details || jsonb_build_object('passed', v_passed));
END $$;
