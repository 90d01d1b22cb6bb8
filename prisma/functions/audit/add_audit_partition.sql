-- Makes the partition of a month (UTC), and moves into it what came before it was there. For the owner of the tables alone.
-- Inserts go on, but for those that would go to the default partition: they wait.
CREATE OR REPLACE FUNCTION add_audit_partition(p_at timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_month timestamp := date_trunc('month', p_at AT TIME ZONE 'UTC');
  v_from timestamptz := v_month AT TIME ZONE 'UTC';
  v_to timestamptz := (v_month + interval '1 month') AT TIME ZONE 'UTC';
  v_name text := to_char(v_month, '"audit_events_"YYYY_MM');
BEGIN
  IF to_regclass(v_name) IS NOT NULL THEN RETURN false; END IF;
  LOCK TABLE audit_events_default IN ACCESS EXCLUSIVE MODE;
  EXECUTE format('CREATE TABLE %I (LIKE audit_events INCLUDING DEFAULTS)', v_name);
  EXECUTE format('WITH moved AS (DELETE FROM audit_events_default WHERE at >= %L AND at < %L RETURNING *)
    INSERT INTO %I SELECT * FROM moved',
    v_from, v_to, v_name);
  EXECUTE format('ALTER TABLE audit_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', v_name, v_from, v_to);
  RETURN true;
END $$;
