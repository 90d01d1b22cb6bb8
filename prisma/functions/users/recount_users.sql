-- Counts a tenant's users anew and records what the tallies are wrong by; answers how many users that concerns. Both are read in one
-- statement, and so are of one moment: it may run beside whatever else counts.
-- `enrolled_at` is mended one user after the other: on Citus, a statement that runs where the rows are may not call what asks for rows.
CREATE OR REPLACE FUNCTION recount_users(p_tenant text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_mended int;
  v_user uuid;
BEGIN
  FOR v_user IN SELECT u.id FROM users u
    WHERE u.tenant = p_tenant AND (u.enrolled_at IS NULL) = EXISTS (SELECT 1 FROM factors f WHERE f.tenant = p_tenant AND f.user_id = u.id)
  LOOP
    PERFORM update_enrolled_at(p_tenant, v_user);
  END LOOP;
  INSERT INTO user_tally_changes (tenant, cohort, is_enrolled, accounts, groups, change)
  SELECT p_tenant, cohort, is_enrolled, accounts, groups, sum(users) FROM (
    SELECT cohort, enrolled_at IS NOT NULL AS is_enrolled, accounts, groups, count(*) AS users FROM users
    WHERE tenant = p_tenant AND disabled_at IS NULL GROUP BY 1, 2, 3, 4
    UNION ALL SELECT cohort, is_enrolled, accounts, groups, -users FROM current_tallies WHERE tenant = p_tenant) AS c
  GROUP BY cohort, is_enrolled, accounts, groups HAVING sum(users) <> 0;
  GET DIAGNOSTICS v_mended = ROW_COUNT;
  RETURN jsonb_build_object('outcome', 'counted', 'mended', v_mended);
END $$;
