-- A replica says which keys it has ([{purpose, id, fingerprint, isFirst}]), every few seconds: each is known from then on under its
-- fingerprint, those that it lacks are marked, and those that it seals, hashes or signs with. Answers the keys that were never a replica's
-- first before (`begun`), or, with no effect, one that has another fingerprint.
CREATE OR REPLACE FUNCTION report_keys(p_keys jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_other keys%ROWTYPE;
  v_begun jsonb;
BEGIN
  SELECT k.* INTO v_other FROM keys k JOIN jsonb_array_elements(p_keys) AS e ON k.purpose = e->>'purpose' AND k.id = e->>'id'
  WHERE k.fingerprint <> e->>'fingerprint' LIMIT 1;
  IF FOUND THEN RETURN jsonb_build_object('outcome', 'other', 'purpose', v_other.purpose, 'id', v_other.id); END IF;
  INSERT INTO keys AS k (purpose, id, fingerprint, added_at)
  SELECT e->>'purpose', e->>'id', e->>'fingerprint', v_now FROM jsonb_array_elements(p_keys) AS e ORDER BY 1, 2
  ON CONFLICT DO NOTHING;
  -- Of two that bring different keys of one id at the same moment, the later one finds it here.
  PERFORM 1 FROM keys k JOIN jsonb_array_elements(p_keys) AS e ON k.purpose = e->>'purpose' AND k.id = e->>'id'
  WHERE k.fingerprint <> e->>'fingerprint';
  IF FOUND THEN RAISE EXCEPTION 'another key of that id was made known just now'; END IF;
  UPDATE keys k SET absent_at = v_now
  WHERE (k.absent_at IS NULL OR k.absent_at < v_now - interval '3 seconds')
    AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements(p_keys) AS e WHERE k.purpose = e->>'purpose' AND k.id = e->>'id');
  UPDATE keys k SET first_at = v_now
  FROM jsonb_array_elements(p_keys) AS e
  WHERE k.purpose = e->>'purpose' AND k.id = e->>'id' AND (e->>'isFirst')::boolean AND k.first_at < v_now - interval '3 seconds';
  SELECT coalesce(jsonb_agg(jsonb_build_object('purpose', k.purpose, 'id', k.id)), '[]') INTO v_begun
  FROM keys k JOIN jsonb_array_elements(p_keys) AS e ON k.purpose = e->>'purpose' AND k.id = e->>'id'
  WHERE (e->>'isFirst')::boolean AND k.first_at IS NULL;
  RETURN jsonb_build_object('outcome', 'reported', 'begun', v_begun);
END $$;
