-- Keeps a checkpoint, in place of those of the same day (UTC) with fewer events. One without a link of its own stays: that is where
-- retention has cut the chain, and begins what is left of it.
-- Which chains are due to be signed is read from the checkpoints themselves.
CREATE OR REPLACE FUNCTION put_checkpoint(
  p_tenant text, p_count bigint, p_until timestamptz, p_at timestamptz, p_kept_since timestamptz, p_kid text, p_jws text
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit_checkpoints (tenant, count, until, at, kept_since, kid, jws)
  VALUES (p_tenant, p_count, p_until, p_at, p_kept_since, p_kid, p_jws)
  ON CONFLICT (tenant, count) DO UPDATE SET until = excluded.until, at = excluded.at, kept_since = excluded.kept_since, kid = excluded.kid,
    jws = excluded.jws;
  DELETE FROM audit_checkpoints c WHERE c.tenant = p_tenant AND c.count < p_count
    AND c.at >= date_trunc('day', p_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
    AND EXISTS (SELECT 1 FROM audit_chain l WHERE l.tenant = p_tenant AND l.position = c.count);
  RETURN jsonb_build_object('outcome', 'kept');
END $$;
