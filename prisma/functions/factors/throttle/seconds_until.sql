-- `Retry-After`: whole seconds, never 0.
CREATE OR REPLACE FUNCTION seconds_until(p_until timestamptz) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN greatest(1, ceil(extract(epoch FROM p_until - clock_timestamp())));
END $$;
