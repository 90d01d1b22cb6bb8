-- Records how a user is counted now who was counted as `p_before` says: their row as it was, or null where they are new. For whatever makes
-- or erases a user, disables or enables them, changes what is claimed of them, or gives or takes their first factor; it has locked the row
-- before, so that no two count the same change. Changes are added up later, so none waits for another.
CREATE OR REPLACE FUNCTION tally_user(p_tenant text, p_user uuid, p_before users) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_after users%ROWTYPE;
BEGIN
  SELECT * INTO v_after FROM users WHERE tenant = p_tenant AND id = p_user;
  INSERT INTO user_tally_changes (tenant, cohort, is_enrolled, accounts, groups, change)
  SELECT p_tenant, cohort, is_enrolled, accounts, groups, sum(change) FROM (
    SELECT p_before.cohort, p_before.enrolled_at IS NOT NULL AS is_enrolled, p_before.accounts, p_before.groups, -1 AS change
    WHERE p_before.id IS NOT NULL AND p_before.disabled_at IS NULL
    UNION ALL SELECT v_after.cohort, v_after.enrolled_at IS NOT NULL, v_after.accounts, v_after.groups, 1
    WHERE v_after.id IS NOT NULL AND v_after.disabled_at IS NULL) AS c
  GROUP BY cohort, is_enrolled, accounts, groups HAVING sum(change) <> 0;
END $$;
