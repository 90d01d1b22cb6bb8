-- Records what an application says of its users, all of them or none. p_users is [{id, namespace, subject, account?, accounts?, groups?,
-- disabled?, hashes}], each user once; `id` is for a user who is new, and what is absent stays. Decides: of two that name the same users,
-- and of one beside a first sight or a login, each changes the row as the other left it. Rows are made and locked in one order, so that no
-- two deadlock; users that do not change are neither locked nor written.
-- A user who was erased is made anew, as by their own login: with an epoch that no token of theirs has, and disabled if they were, unless
-- the sync says otherwise. `hashes` is what their tombstone would be under each pepper.
-- The users who were made are counted by their rows: how many rows an INSERT says that it made, where some were there, is not the same on
-- Citus.
CREATE OR REPLACE FUNCTION sync_users(p_tenant text, p_users jsonb, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_before users[];
  v_created int;
  v_known int;
  v_counts jsonb;
  v_id uuid;
  v_is_disabled boolean;
  v_epoch int;
BEGIN
  -- Without a lock, as the rows of those who are named are locked in another order.
  IF p_by->>'epoch' IS NOT NULL THEN
    PERFORM 1 FROM users WHERE tenant = p_tenant AND id = (p_by->>'actor')::uuid AND epoch = (p_by->>'epoch')::int AND disabled_at IS NULL;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  END IF;
  INSERT INTO users (tenant, id, namespace, subject, account, sources, disabled_at, epoch, tokens_since)
  SELECT p_tenant, g.id, namespace, subject, coalesce(account, subject), synced_sources('{}', accounts, groups),
    CASE WHEN coalesce(disabled, t.disabled_at IS NOT NULL) THEN coalesce(t.disabled_at, v_now) END, coalesce(t.epoch, 0) + 1, t.erased_at
  FROM jsonb_to_recordset(p_users) AS g (id uuid, namespace text, subject text, account text, accounts jsonb, groups jsonb,
    disabled boolean, hashes jsonb)
  LEFT JOIN LATERAL (SELECT o.* FROM jsonb_array_elements_text(g.hashes) AS h
    JOIN tombstones o ON o.tenant = p_tenant AND o.hash = h LIMIT 1) AS t ON true
  ORDER BY namespace, subject
  ON CONFLICT (tenant, namespace, subject) DO NOTHING;
  SELECT count(*) INTO v_created FROM jsonb_to_recordset(p_users) AS g (id uuid) JOIN users u ON u.tenant = p_tenant AND u.id = g.id;

  -- Who was there before and is told of otherwise, as they were.
  SELECT coalesce(array_agg(b), '{}') INTO v_before FROM (
    SELECT u.* FROM jsonb_to_recordset(p_users) AS g (id uuid, namespace text, subject text, account text, accounts jsonb, groups jsonb,
      disabled boolean)
    JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject AND u.id <> g.id
    WHERE u.account <> coalesce(g.account, u.account) OR u.sources <> synced_sources(u.sources, g.accounts, g.groups)
      OR (u.disabled_at IS NOT NULL) <> coalesce(g.disabled, u.disabled_at IS NOT NULL)
    ORDER BY u.namespace, u.subject FOR NO KEY UPDATE OF u) AS b;
  SELECT count(*) INTO v_known FROM jsonb_to_recordset(p_users) AS g (namespace text, subject text)
  JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject;
  IF v_known <> jsonb_array_length(p_users) THEN
    RAISE EXCEPTION 'a user was erased meanwhile';
  END IF;
  UPDATE users u SET account = n.account, sources = n.sources, disabled_at = n.disabled_at
  FROM (
    SELECT b.id, coalesce(g.account, b.account) AS account, synced_sources(b.sources, g.accounts, g.groups) AS sources,
      CASE WHEN coalesce(g.disabled, b.disabled_at IS NOT NULL) THEN coalesce(b.disabled_at, v_now) END AS disabled_at
    FROM jsonb_to_recordset(p_users) AS g (namespace text, subject text, account text, accounts jsonb, groups jsonb, disabled boolean)
    JOIN unnest(v_before) AS b ON b.namespace = g.namespace AND b.subject = g.subject) AS n
  WHERE u.tenant = p_tenant AND u.id = n.id;

  INSERT INTO user_tally_changes (tenant, cohort, is_enrolled, accounts, groups, change)
  SELECT p_tenant, cohort, is_enrolled, accounts, groups, sum(change) FROM (
    SELECT cohort, enrolled_at IS NOT NULL AS is_enrolled, accounts, groups, -1 AS change FROM unnest(v_before) WHERE disabled_at IS NULL
    UNION ALL
    SELECT u.cohort, u.enrolled_at IS NOT NULL, u.accounts, u.groups, 1
    FROM jsonb_to_recordset(p_users) AS g (id uuid, namespace text, subject text)
    JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject
    LEFT JOIN unnest(v_before) AS b ON b.id = u.id WHERE u.disabled_at IS NULL AND (u.id = g.id OR b.id IS NOT NULL)) AS c
  GROUP BY cohort, is_enrolled, accounts, groups HAVING sum(change) <> 0;

  FOR v_id, v_is_disabled IN
    SELECT u.id, u.disabled_at IS NOT NULL FROM jsonb_to_recordset(p_users) AS g (id uuid, namespace text, subject text)
    JOIN users u ON u.tenant = p_tenant AND u.namespace = g.namespace AND u.subject = g.subject
    LEFT JOIN unnest(v_before) AS b ON b.id = u.id
    WHERE (u.id = g.id OR b.id IS NOT NULL) AND (u.disabled_at IS NULL) <> (b.disabled_at IS NULL) ORDER BY u.namespace, u.subject
  LOOP
    IF v_is_disabled THEN
      v_epoch := bump_epoch(p_tenant, v_id);
      DELETE FROM mfa_sessions WHERE tenant = p_tenant AND user_id = v_id;
    END IF;
    PERFORM audit(p_tenant, v_id::text, CASE WHEN v_is_disabled THEN 'user.disabled' ELSE 'user.enabled' END, 'success', NULL, p_by, '{}');
  END LOOP;
  v_counts := jsonb_build_object('created', v_created, 'updated', cardinality(v_before),
    'unchanged', v_known - v_created - cardinality(v_before));
  PERFORM audit(p_tenant, NULL, 'users.synced', 'success', NULL, p_by, v_counts);
  RETURN v_counts || jsonb_build_object('outcome', 'synced');
END $$;
