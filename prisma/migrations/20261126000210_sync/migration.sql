-- The schema did not change. What an application says of its people is one source more, under a name that no issuer has:
-- the empty one.

-- The sources after an application's word: its accounts or groups (null: it says nothing of them) replace all that was said
-- before, so nothing that another source says beyond them stays. What it says too stays as it is, so that the next sync
-- finds nothing to change.
CREATE FUNCTION synced_sources_v1(p_sources jsonb, p_accounts jsonb, p_groups jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_said jsonb := coalesce(p_sources->'', '{}');
  v_others jsonb := '{}';
  v_issuer text;
  v_word jsonb;
BEGIN
  IF p_accounts IS NULL AND p_groups IS NULL THEN RETURN p_sources; END IF;
  FOR v_issuer, v_word IN SELECT key, value FROM jsonb_each(p_sources) WHERE key <> '' LOOP
    IF NOT coalesce(p_accounts, '["local", "sso"]') ? 'local' THEN v_word := v_word - 'local'; END IF;
    IF NOT coalesce(p_accounts, '["local", "sso"]') ? 'sso' THEN v_word := v_word - 'sso'; END IF;
    IF p_groups IS NOT NULL THEN
      IF v_word->'groupsUnknown' = 'true' THEN v_word := v_word - 'groupsUnknown'; END IF;
      IF v_word ? 'groups' THEN
        v_word := v_word || jsonb_build_object('groups', ARRAY(
          SELECT g FROM jsonb_array_elements_text(v_word->'groups') WITH ORDINALITY AS e (g, n) WHERE p_groups ? g ORDER BY n));
      END IF;
    END IF;
    v_others := v_others || jsonb_build_object(v_issuer, v_word);
  END LOOP;
  IF p_accounts IS NOT NULL THEN
    v_said := v_said || jsonb_build_object('local', p_accounts ? 'local', 'sso', p_accounts ? 'sso');
  END IF;
  IF p_groups IS NOT NULL THEN
    v_said := v_said || jsonb_build_object('groups', ARRAY(SELECT DISTINCT g COLLATE "C" FROM jsonb_array_elements_text(p_groups) AS g ORDER BY 1));
  END IF;
  RETURN v_others || jsonb_build_object('', v_said);
END $$;

-- Records what an application says of its people, all of them or none. p_users is [{id, namespace, subject, account?,
-- accounts?, groups?, disabled?}], each person once; `id` is for whoever is new, and what is absent stays. Decides: of
-- two that name the same people, and of one beside a first sight or a login, each changes the row as the other left it.
-- Rows are made and locked in one order, so that no two deadlock.
CREATE FUNCTION sync_users_v1(p_tenant text, p_users jsonb, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
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
  GET DIAGNOSTICS v_created = ROW_COUNT;
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
