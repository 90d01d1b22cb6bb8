-- Appends events to a tenant's chain after `p_count` of them, of which the last had `p_hash` (hexadecimal, as all digests here). Decides:
-- of two that append to one head, one does. The chain never forks, whichever replica holds the lease.
CREATE OR REPLACE FUNCTION append_audit(
  p_tenant text, p_count bigint, p_hash text, p_ats timestamptz[], p_ids uuid[], p_events text[], p_hashes text[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_new int := cardinality(p_ids);
  v_entered int;
BEGIN
  IF p_count = 0 THEN
    INSERT INTO audit_heads (tenant, count, hash) VALUES (p_tenant, 0, decode(p_hash, 'hex')) ON CONFLICT DO NOTHING;
  END IF;
  UPDATE audit_heads SET count = p_count + v_new, hash = decode(p_hashes[v_new], 'hex')
  WHERE tenant = p_tenant AND count = p_count AND hash = decode(p_hash, 'hex');
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  DELETE FROM audit_pending p USING unnest(p_ats, p_ids) AS e (at, id) WHERE p.tenant = p_tenant AND p.at = e.at AND p.id = e.id;
  GET DIAGNOSTICS v_entered = ROW_COUNT;
  IF v_entered <> v_new THEN RAISE EXCEPTION 'an event to be chained is not entered'; END IF;
  INSERT INTO audit_chain (tenant, position, at, id, event, hash)
  SELECT p_tenant, p_count + e.n, e.at, e.id, decode(e.event, 'hex'), decode(e.hash, 'hex')
  FROM unnest(p_ats, p_ids, p_events, p_hashes) WITH ORDINALITY AS e (at, id, event, hash, n);
  RETURN jsonb_build_object('outcome', 'appended');
END $$;
