-- The schema did not change. As before, but in forms that an engine which distributes by tenant takes, too: there what is
-- set must be the same on every node, so it is computed before.

CREATE OR REPLACE FUNCTION record_ending_v1(p_tenant text, p_user uuid, p_issuer text, p_session text, p_epoch int, p_generation int)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO endings (tenant, user_id, issuer, session, epoch, generation, at)
  VALUES (p_tenant, p_user, p_issuer, p_session, p_epoch, p_generation, clock_timestamp())
  ON CONFLICT (tenant, user_id, issuer, session) DO UPDATE SET
    epoch = excluded.epoch, generation = excluded.generation, at = excluded.at;
END $$;

CREATE OR REPLACE FUNCTION see_user_v1(
  p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_issuer text, p_claimed boolean, p_word jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_before users%ROWTYPE;
  v_id uuid;
  v_account text := coalesce(p_account, p_subject);
  v_known jsonb;
  v_sources jsonb := jsonb_build_object(p_issuer, p_word);
BEGIN
  INSERT INTO users (tenant, id, namespace, subject, account, sources)
  VALUES (p_tenant, p_id, p_namespace, p_subject, v_account, v_sources)
  ON CONFLICT (tenant, namespace, subject) DO NOTHING
  RETURNING id INTO v_id;
  IF v_id IS NULL THEN
    SELECT * INTO v_before FROM users WHERE tenant = p_tenant AND namespace = p_namespace AND subject = p_subject FOR NO KEY UPDATE;
    -- Erased between the two: whoever asks finds nobody, and asks again.
    IF NOT FOUND THEN RETURN; END IF;
    v_id := v_before.id;
    v_account := coalesce(p_account, v_before.account);
    v_known := coalesce(v_before.sources->p_issuer, '{}');
    v_sources := v_before.sources || jsonb_build_object(p_issuer, v_known || p_word || CASE WHEN p_claimed THEN '{}'::jsonb ELSE jsonb_build_object(
      'local', (p_word->>'local')::boolean OR coalesce((v_known->>'local')::boolean, false),
      'sso', (p_word->>'sso')::boolean OR coalesce((v_known->>'sso')::boolean, false)) END);
    UPDATE users SET account = v_account, sources = v_sources WHERE tenant = p_tenant AND id = v_id;
  END IF;
  INSERT INTO throttles (tenant, user_id, kind)
  VALUES (p_tenant, v_id, 'enroll'), (p_tenant, v_id, 'recovery'), (p_tenant, v_id, 'totp')
  ON CONFLICT DO NOTHING;
  PERFORM tally_user_v1(p_tenant, v_id, v_before);
END $$;

-- It counts whom it made by their rows: how many a statement wrote is not the same everywhere where some were there.
CREATE OR REPLACE FUNCTION sync_users_v1(p_tenant text, p_users jsonb, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_before users[];
  v_created int;
  v_updated int;
  v_counts jsonb;
  v_id uuid;
  v_is_disabled boolean;
  v_epoch int;
BEGIN
  INSERT INTO users (tenant, id, namespace, subject, account, sources, disabled_at)
  SELECT p_tenant, id, namespace, subject, coalesce(account, subject), synced_sources_v1('{}', accounts, groups), CASE WHEN disabled THEN v_now END
  FROM jsonb_to_recordset(p_users) AS g (id uuid, namespace text, subject text, account text, accounts jsonb, groups jsonb, disabled boolean)
  ORDER BY namespace, subject
  ON CONFLICT (tenant, namespace, subject) DO NOTHING;
  SELECT count(*) INTO v_created FROM jsonb_to_recordset(p_users) AS g (id uuid) JOIN users u ON u.tenant = p_tenant AND u.id = g.id;
  INSERT INTO throttles (tenant, user_id, kind)
  SELECT p_tenant, u.id, k FROM jsonb_to_recordset(p_users) AS g (id uuid) JOIN users u ON u.tenant = p_tenant AND u.id = g.id
  CROSS JOIN unnest(ARRAY['enroll', 'recovery', 'totp']) AS k;

  SELECT coalesce(array_agg(b), '{}') INTO v_before FROM (
    SELECT u.* FROM jsonb_to_recordset(p_users) AS g (id uuid, namespace text, subject text)
    JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject AND u.id <> g.id
    ORDER BY u.namespace, u.subject FOR NO KEY UPDATE OF u) AS b;
  IF v_created + cardinality(v_before) <> jsonb_array_length(p_users) THEN
    RAISE EXCEPTION 'somebody was erased meanwhile';
  END IF;
  UPDATE users u SET account = n.account, sources = n.sources, disabled_at = n.disabled_at
  FROM (
    SELECT b.id, coalesce(g.account, b.account) AS account, synced_sources_v1(b.sources, g.accounts, g.groups) AS sources,
      CASE WHEN coalesce(g.disabled, b.disabled_at IS NOT NULL) THEN coalesce(b.disabled_at, v_now) END AS disabled_at
    FROM jsonb_to_recordset(p_users) AS g (namespace text, subject text, account text, accounts jsonb, groups jsonb, disabled boolean)
    JOIN unnest(v_before) AS b ON b.namespace = g.namespace AND b.subject = g.subject) AS n
  WHERE u.tenant = p_tenant AND u.id = n.id AND (u.account, u.sources, u.disabled_at) IS DISTINCT FROM (n.account, n.sources, n.disabled_at);
  GET DIAGNOSTICS v_updated = ROW_COUNT;

  INSERT INTO user_tally_changes (tenant, kind, is_enrolled, accounts, groups, change)
  SELECT p_tenant, kind, is_enrolled, accounts, groups, sum(change) FROM (
    SELECT kind, enrolled_at IS NOT NULL AS is_enrolled, accounts, groups, -1 AS change FROM unnest(v_before) WHERE disabled_at IS NULL
    UNION ALL
    SELECT u.kind, u.enrolled_at IS NOT NULL, u.accounts, u.groups, 1 FROM jsonb_to_recordset(p_users) AS g (namespace text, subject text)
    JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject WHERE u.disabled_at IS NULL) AS c
  GROUP BY kind, is_enrolled, accounts, groups HAVING sum(change) <> 0;

  FOR v_id, v_is_disabled IN
    SELECT u.id, u.disabled_at IS NOT NULL FROM jsonb_to_recordset(p_users) AS g (namespace text, subject text)
    JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject
    LEFT JOIN unnest(v_before) AS b ON b.id = u.id
    WHERE (u.disabled_at IS NULL) <> (b.disabled_at IS NULL) ORDER BY u.namespace, u.subject
  LOOP
    IF v_is_disabled THEN
      v_epoch := move_epoch_v1(p_tenant, v_id);
      DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = v_id;
    END IF;
    PERFORM audit_v1(p_tenant, v_id::text, CASE WHEN v_is_disabled THEN 'user.disabled' ELSE 'user.enabled' END, 'success', NULL, p_by, '{}');
  END LOOP;
  v_counts := jsonb_build_object('created', v_created, 'updated', v_updated, 'unchanged', cardinality(v_before) - v_updated);
  PERFORM audit_v1(p_tenant, NULL, 'users.synced', 'success', NULL, p_by, v_counts);
  RETURN v_counts || jsonb_build_object('outcome', 'synced');
END $$;
