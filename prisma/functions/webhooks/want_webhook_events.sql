-- There is an endpoint: changes leave webhook events for a day from now. A replica that has one says so every hour.
CREATE OR REPLACE FUNCTION want_webhook_events() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO webhook_endpoints AS r (name, wanted_until) VALUES ('webhook', clock_timestamp() + interval '24 hours')
  ON CONFLICT (name) DO UPDATE SET wanted_until = excluded.wanted_until;
  RETURN jsonb_build_object('outcome', 'wanted');
END $$;
