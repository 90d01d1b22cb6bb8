-- Enters whose codes were refused, from where, and when; of two times of one the later.
-- Attacks are looked for behind the log, by the replica that chains it: no login pays for it, and no function that counts a failure has
-- to know.
CREATE OR REPLACE FUNCTION record_failures(
  p_tenant text, p_users text[], p_sources text[], p_ats timestamptz[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO failures AS f (tenant, user_id, source, at)
  SELECT p_tenant, e.user_id, e.source, max(e.at) FROM unnest(p_users, p_sources, p_ats) AS e (user_id, source, at)
  GROUP BY e.user_id, e.source ORDER BY e.user_id, e.source
  ON CONFLICT (tenant, user_id, source) DO UPDATE SET at = greatest(f.at, excluded.at);
  RETURN jsonb_build_object('outcome', 'recorded');
END $$;
