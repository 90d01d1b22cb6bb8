-- When a user who has failed so often, and at these moments, may try again: a wait for each failure in a row, and no more failures in a
-- day and in a month than the budget has. The budget opens again when so many have aged that fewer are left.
CREATE OR REPLACE FUNCTION next_try(
  p_limits jsonb, p_failures int, p_recent timestamptz[], p_now timestamptz
) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_waits int := jsonb_array_length(p_limits->'waits');
  v_wait double precision := least((p_limits->>'maxWait')::double precision,
    (p_limits->'waits'->>(least(p_failures, v_waits) - 1))::double precision
      * power(2::double precision, least(greatest(p_failures - v_waits, 0), 30)));
BEGIN
  RETURN greatest(
    p_now + make_interval(secs => v_wait),
    p_recent[cardinality(p_recent) - (p_limits->>'day')::int + 1] + interval '24 hours',
    p_recent[cardinality(p_recent) - (p_limits->>'month')::int + 1] + interval '30 days');
END $$;
