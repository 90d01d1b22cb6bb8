-- CreateTable
CREATE TABLE "keys" (
    "purpose" TEXT NOT NULL,
    "id" TEXT NOT NULL,
    "fingerprint" TEXT NOT NULL,
    "added_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),
    "absent_at" TIMESTAMPTZ(6),
    "first_at" TIMESTAMPTZ(6),

    CONSTRAINT "keys_pkey" PRIMARY KEY ("purpose","id")
);

-- CreateIndex
CREATE INDEX "factors_key_id_tenant_idx" ON "factors"("key_id", "tenant");

-- By hand, beyond what schema.prisma can say. A set is hashed with one pepper: its first code speaks for all ten.
CREATE INDEX "recovery_codes_pepper_id" ON "recovery_codes"("pepper_id") WHERE slot = 0;

-- The keys that rows need: {sealing: ids[], pepper: ids[]}. By steps through the indexes: it takes as long as there are ids, not rows.
CREATE FUNCTION keys_in_use_v1() RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_sealing text[] := ARRAY(SELECT DISTINCT key_id FROM enrollments WHERE expires_at > clock_timestamp());
  v_peppers text[] := '{}';
  v_id text;
BEGIN
  SELECT min(key_id) INTO v_id FROM factors;
  WHILE v_id IS NOT NULL LOOP
    v_sealing := v_sealing || v_id;
    SELECT min(key_id) INTO v_id FROM factors WHERE key_id > v_id;
  END LOOP;
  SELECT min(pepper_id) INTO v_id FROM recovery_codes WHERE slot = 0;
  WHILE v_id IS NOT NULL LOOP
    v_peppers := v_peppers || v_id;
    SELECT min(pepper_id) INTO v_id FROM recovery_codes WHERE slot = 0 AND pepper_id > v_id;
  END LOOP;
  RETURN jsonb_build_object('sealing', to_jsonb(v_sealing), 'pepper', to_jsonb(v_peppers));
END $$;

-- A replica says which keys it has ([{purpose, id, fingerprint, isFirst}]), every few seconds: each is known from then on
-- under its fingerprint, those that it lacks are marked, and those that it seals, hashes or signs with. Answers the keys
-- that were never anybody's first before (`begun`), or, with no effect, one that has another fingerprint.
CREATE FUNCTION report_keys_v1(p_keys jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
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

-- The first use of a key, recorded in the audit of every tenant where another one was in use before. Decides: of any number
-- of replicas that begin with it, one records it.
CREATE FUNCTION begin_key_v1(p_purpose text, p_id text, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_from text;
  v_tenant text;
BEGIN
  UPDATE keys SET first_at = clock_timestamp() WHERE purpose = p_purpose AND id = p_id AND first_at IS NULL;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'known'); END IF;
  SELECT id INTO v_from FROM keys WHERE purpose = p_purpose AND id <> p_id AND first_at IS NOT NULL ORDER BY first_at DESC LIMIT 1;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'begun'); END IF;
  FOR v_tenant IN SELECT tenant FROM audit_heads ORDER BY tenant LOOP
    PERFORM audit_v1(v_tenant, NULL, 'key.rotated', 'success', NULL, p_by, jsonb_build_object('purpose', p_purpose, 'from', v_from, 'to', p_id));
  END LOOP;
  RETURN jsonb_build_object('outcome', 'begun');
END $$;

DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    GRANT SELECT, INSERT, UPDATE ON keys TO headless_mfa;
  END IF;
END $$;
