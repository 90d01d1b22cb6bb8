-- Brings a user's authenticators of a kind from another system: p_factors is [{id, label, sealed, algorithm, digits, period}], sealed for
-- the user p_id (hexadecimal). All of them or none. p_counter is spent, and every one before: what was shown there opens
-- nothing here. They get no recovery codes. A user who was erased is made anew first, as by their own login; if an erasure comes between,
-- the outcome is `moved`.
-- Decides: a user who has an authenticator here keeps their own, whatever else is confirmed beside it (the row of `users` is locked, and
-- its revision moves, so that a confirmation decides anew); each comes once, and one that was removed here never comes back.
CREATE OR REPLACE FUNCTION import_user(
  p_tenant text, p_id uuid, p_kind text, p_namespace text, p_subject text, p_account text, p_key_id text, p_factors jsonb,
  p_counter bigint, p_source text, p_hashes jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_user users%ROWTYPE;
  v_ids uuid[] := ARRAY(SELECT (f->>'id')::uuid FROM jsonb_array_elements(p_factors) AS f);
  v_created boolean;
  v_has uuid[];
BEGIN
  PERFORM revive_user(p_tenant, p_id, p_namespace, p_subject, p_account, p_hashes);
  INSERT INTO users (tenant, id, namespace, subject, account) VALUES (p_tenant, p_id, p_namespace, p_subject, p_account)
  ON CONFLICT (tenant, namespace, subject) DO NOTHING;
  v_created := FOUND;
  SELECT * INTO v_user FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = p_subject FOR NO KEY UPDATE;
  -- First seen or erased meanwhile: it was sealed for another.
  IF NOT FOUND OR v_user.id <> p_id THEN RETURN jsonb_build_object('outcome', 'moved'); END IF;
  IF v_created THEN PERFORM tally_user(p_tenant, p_id, NULL); END IF;
  IF v_user.disabled_at IS NOT NULL THEN RETURN jsonb_build_object('outcome', 'disabled'); END IF;
  v_has := ARRAY(SELECT id FROM factors WHERE tenant = p_tenant AND user_id = p_id);
  IF cardinality(v_has) > 0 THEN
    RETURN jsonb_build_object('outcome', CASE WHEN v_ids <@ v_has THEN 'already' ELSE 'enrolled' END);
  ELSIF EXISTS (SELECT 1 FROM audit_events WHERE tenant = p_tenant AND subject = p_id::text AND action = 'factor.confirmed'
      AND (details->>'factorId')::uuid = ANY(v_ids)) THEN
    RETURN jsonb_build_object('outcome', 'removed');
  END IF;
  INSERT INTO factors (tenant, id, user_id, kind, label, sealed, key_id, algorithm, digits, period, counter, created_at, confirmed_at,
    after_recovery_at)
  SELECT p_tenant, (f->>'id')::uuid, p_id, p_kind, f->>'label', decode(f->>'sealed', 'hex'), p_key_id, f->>'algorithm',
    (f->>'digits')::int, (f->>'period')::int, p_counter, clock_timestamp(), clock_timestamp(), v_user.recovered_at
  FROM jsonb_array_elements(p_factors) AS f;
  UPDATE users SET revision = revision + 1 WHERE tenant = p_tenant AND id = p_id;
  PERFORM update_enrolled_at(p_tenant, p_id);
  PERFORM audit(p_tenant, p_id::text, 'factor.confirmed', 'success', p_kind, p_by,
    jsonb_build_object('factorId', f->>'id', 'label', f->>'label', 'importedFrom', p_source))
  FROM jsonb_array_elements(p_factors) AS f;
  RETURN jsonb_build_object('outcome', 'imported');
END $$;
