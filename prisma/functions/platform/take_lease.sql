-- Takes or renews what one replica alone should do. Decides: of any number of replicas one holds it at a time.
CREATE OR REPLACE FUNCTION take_lease(p_name text, p_holder uuid, p_seconds int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  INSERT INTO leases AS l (name, holder, until) VALUES (p_name, p_holder, v_now + make_interval(secs => p_seconds))
  ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE l.holder = excluded.holder OR l.until < v_now;
  RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'held' ELSE 'taken' END);
END $$;
