-- Adds some of a tenant's changes to its tallies. Decides: each is added once, however many replicas do this at a time.
CREATE OR REPLACE FUNCTION fold_tallies(p_tenant text, p_limit int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_folded int;
  v_cohorts uuid[];
BEGIN
  WITH taken AS (
    DELETE FROM user_tally_changes
    WHERE tenant = p_tenant AND id = ANY(ARRAY(SELECT id FROM user_tally_changes WHERE tenant = p_tenant ORDER BY id LIMIT p_limit))
    RETURNING cohort, is_enrolled, accounts, groups, change
  ), added AS (
    INSERT INTO user_tallies AS t (tenant, cohort, is_enrolled, accounts, groups, users)
    SELECT p_tenant, cohort, is_enrolled, accounts, groups, sum(change) FROM taken GROUP BY 1, 2, 3, 4, 5 HAVING sum(change) <> 0
    ORDER BY cohort, is_enrolled
    ON CONFLICT (tenant, cohort, is_enrolled) DO UPDATE SET users = t.users + excluded.users
    RETURNING cohort
  )
  SELECT (SELECT count(*) FROM taken), (SELECT array_agg(cohort) FROM added) INTO v_folded, v_cohorts;
  DELETE FROM user_tallies WHERE tenant = p_tenant AND cohort = ANY(v_cohorts) AND users = 0;
  RETURN jsonb_build_object('outcome', 'folded', 'changes', v_folded);
END $$;
