-- AlterTable
ALTER TABLE "users"
ADD COLUMN     "policy_met_at" TIMESTAMPTZ(6),
ADD COLUMN     "grace_until" TIMESTAMPTZ(6),
ADD COLUMN     "exempt_since" TIMESTAMPTZ(6),
ADD COLUMN     "exempt_until" TIMESTAMPTZ(6),
ADD COLUMN     "exempt_reason" TEXT,
ADD COLUMN     "exempt_by" TEXT,
ADD COLUMN     "reported_version" INTEGER,
ADD COLUMN     "administrator_at" TIMESTAMPTZ(6);

-- By hand, beyond what schema.prisma can say. A day is 24 hours, whatever time zone the server has: as the decision
-- function counts it.

ALTER TABLE "users"
  ADD CONSTRAINT "users_grace" CHECK ((policy_met_at IS NULL) = (grace_until IS NULL)),
  ADD CONSTRAINT "users_exemption" CHECK ((exempt_since IS NULL) = (exempt_reason IS NULL) AND (exempt_since IS NULL) = (exempt_by IS NULL)
    AND (exempt_until IS NULL OR exempt_since IS NOT NULL));

-- Records what a decision saw in somebody for the first time, each part once; null is nothing to record. Decides: of any
-- number of first calls, one gives the deadline (p_grace_days from the database's now) and one writes the report. A
-- policy of another version than the decision's gives no deadline: the next call decides on that one.
CREATE FUNCTION note_person_v1(
  p_tenant text, p_user uuid, p_version int, p_grace_days int, p_would_be jsonb, p_is_administrator boolean, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  IF p_grace_days IS NOT NULL THEN
    UPDATE users SET policy_met_at = v_now, grace_until = v_now + p_grace_days * interval '24 hours'
    WHERE tenant = p_tenant AND id = p_user AND grace_until IS NULL
      AND p_version = coalesce((SELECT version FROM policies WHERE tenant = p_tenant), 0);
  END IF;
  IF p_would_be IS NOT NULL THEN
    UPDATE users SET reported_version = p_version
    WHERE tenant = p_tenant AND id = p_user AND reported_version IS DISTINCT FROM p_version;
    IF FOUND THEN
      PERFORM audit_v1(p_tenant, p_user::text, 'policy.would_enroll', 'success', NULL, p_by, p_would_be);
    END IF;
  END IF;
  IF p_is_administrator THEN
    UPDATE users SET administrator_at = v_now WHERE tenant = p_tenant AND id = p_user AND administrator_at IS NULL;
  END IF;
  RETURN jsonb_build_object('outcome', 'noted');
END $$;

-- Sets somebody's deadline. Decides: what the floor allows from the first meeting (p_max_days; null: any) is asked of the
-- row as it is when it is written. What comes after leaves it alone: only an administrator moves a deadline.
CREATE FUNCTION set_grace_v1(p_tenant text, p_user uuid, p_until timestamptz, p_reason text, p_max_days int, p_by jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
  v_user users%ROWTYPE;
BEGIN
  IF p_until <= clock_timestamp() THEN RETURN jsonb_build_object('outcome', 'past'); END IF;
  SELECT * INTO v_user FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  v_now := clock_timestamp();
  IF p_until > coalesce(v_user.policy_met_at, v_now) + p_max_days * interval '24 hours' THEN RETURN jsonb_build_object('outcome', 'below'); END IF;
  UPDATE users SET grace_until = p_until, policy_met_at = coalesce(policy_met_at, v_now) WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit_v1(p_tenant, p_user::text, 'user.grace_set', 'success', NULL, p_by,
    jsonb_build_object('reason', p_reason, 'before', v_user.grace_until, 'after', p_until));
  RETURN jsonb_build_object('outcome', 'set');
END $$;

-- Exempts somebody until a time (null: without an end), or ends that. p_max_days is the floor's; null: any.
CREATE FUNCTION exempt_user_v1(
  p_tenant text, p_user uuid, p_exempt boolean, p_until timestamptz, p_reason text, p_max_days int, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz;
BEGIN
  IF p_until <= clock_timestamp() THEN RETURN jsonb_build_object('outcome', 'past'); END IF;
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  v_now := clock_timestamp();
  IF p_exempt AND coalesce(p_until, 'infinity') > v_now + p_max_days * interval '24 hours' THEN RETURN jsonb_build_object('outcome', 'below'); END IF;
  UPDATE users SET exempt_since = CASE WHEN p_exempt THEN v_now END, exempt_until = p_until,
    exempt_reason = CASE WHEN p_exempt THEN p_reason END, exempt_by = CASE WHEN p_exempt THEN p_by->>'actor' END
  WHERE tenant = p_tenant AND id = p_user;
  PERFORM audit_v1(p_tenant, p_user::text, 'user.exempted', 'success', NULL, p_by,
    jsonb_build_object('exempt', p_exempt, 'reason', p_reason, 'until', p_until));
  RETURN jsonb_build_object('outcome', 'set');
END $$;

-- A policy as the service reads it; no group at all stands for all users.
CREATE FUNCTION policy_json_v1(p_row policies) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN jsonb_build_object('enforcement', p_row.enforcement,
    'groups', CASE WHEN cardinality(p_row.groups) > 0 THEN to_jsonb(p_row.groups) END,
    'gracePeriodDays', p_row.grace_period_days, 'enforceFrom', p_row.enforce_from, 'ssoRule', p_row.sso_rule,
    'version', p_row.version, 'updatedAt', p_row.updated_at, 'updatedBy', p_row.updated_by);
END $$;

-- Changes a policy; `p_patch` holds the fields to set. Decides: of two changes of one version, one (p_expected null: any).
-- Answers the policy that it made.
CREATE FUNCTION put_policy_v2(p_tenant text, p_expected int, p_patch jsonb, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_old policies%ROWTYPE;
  v_new policies%ROWTYPE;
BEGIN
  INSERT INTO policies (tenant) VALUES (p_tenant) ON CONFLICT DO NOTHING;
  SELECT * INTO v_old FROM policies WHERE tenant = p_tenant FOR UPDATE;
  IF v_old.version <> p_expected THEN RETURN jsonb_build_object('outcome', 'stale'); END IF;
  v_new := v_old;
  v_new.enforcement := coalesce(p_patch->>'enforcement', v_old.enforcement);
  v_new.sso_rule := coalesce(p_patch->>'ssoRule', v_old.sso_rule);
  v_new.grace_period_days := coalesce((p_patch->>'gracePeriodDays')::int, v_old.grace_period_days);
  IF p_patch ? 'groups' THEN
    v_new.groups := ARRAY(SELECT jsonb_array_elements_text(CASE WHEN jsonb_typeof(p_patch->'groups') = 'array' THEN p_patch->'groups' ELSE '[]' END));
  END IF;
  IF p_patch ? 'enforceFrom' THEN
    v_new.enforce_from := (p_patch->>'enforceFrom')::timestamptz;
  END IF;
  IF v_new IS DISTINCT FROM v_old THEN
    v_new.version := v_old.version + 1;
    v_new.updated_at := clock_timestamp();
    v_new.updated_by := p_by->>'actor';
    UPDATE policies SET enforcement = v_new.enforcement, groups = v_new.groups, grace_period_days = v_new.grace_period_days,
      enforce_from = v_new.enforce_from, sso_rule = v_new.sso_rule,
      version = v_new.version, updated_at = v_new.updated_at, updated_by = v_new.updated_by
    WHERE tenant = p_tenant;
    PERFORM audit_v1(p_tenant, NULL, 'policy.changed', 'success', NULL, p_by, jsonb_build_object(
      'before', policy_json_v1(v_old) - '{version,updatedAt,updatedBy}'::text[],
      'after', policy_json_v1(v_new) - '{version,updatedAt,updatedBy}'::text[]));
  END IF;
  RETURN jsonb_build_object('outcome', 'changed', 'policy', policy_json_v1(v_new));
END $$;

-- Everything that a decision about one person needs, as one row: read by its tenant and id, or tenant and subject. With
-- the time of the reading, by which deadlines and exemptions end.
CREATE VIEW person_v2 AS
SELECT u.tenant, u.id, u.namespace, u.subject, u.account, u.epoch, u.revision, u.sources,
  u.disabled_at IS NOT NULL AS is_disabled,
  u.administrator_at IS NOT NULL AS is_administrator,
  u.created_at, clock_timestamp() AS read_at, u.policy_met_at, u.grace_until, u.reported_version,
  u.exempt_since, u.exempt_until, u.exempt_reason, u.exempt_by,
  (SELECT jsonb_agg(jsonb_build_object('id', f.id, 'label', f.label, 'sealed', encode(f.sealed, 'hex'), 'keyId', f.key_id,
      'algorithm', f.algorithm, 'digits', f.digits, 'period', f.period, 'lastStep', f.last_step, 'createdAt', f.created_at,
      'confirmedAt', f.confirmed_at, 'lastUsedAt', f.last_used_at, 'afterRecoveryAt', f.after_recovery_at)
      ORDER BY f.confirmed_at, f.id)
    FROM factors f WHERE f.tenant = u.tenant AND f.user_id = u.id) AS factors,
  (SELECT jsonb_build_object('factorId', e.factor_id, 'label', e.label, 'session', e.session,
      'sealed', encode(e.sealed, 'hex'), 'keyId', e.key_id, 'createdAt', e.created_at)
    FROM enrollments e WHERE e.tenant = u.tenant AND e.user_id = u.id AND e.expires_at > clock_timestamp()) AS pending,
  (SELECT jsonb_build_object('id', s.id, 'generatedAt', s.generated_at, 'acknowledgedAt', s.acknowledged_at,
      'total', (SELECT count(*) FROM recovery_codes c WHERE c.tenant = u.tenant AND c.user_id = u.id),
      'remaining', (SELECT count(*) FROM recovery_codes c WHERE c.tenant = u.tenant AND c.user_id = u.id AND c.used_at IS NULL))
    FROM recovery_sets s WHERE s.tenant = u.tenant AND s.user_id = u.id) AS recovery,
  (SELECT jsonb_object_agg(t.kind, jsonb_build_object(
      'failures', t.failures,
      'waitSeconds', CASE WHEN t.wait_until > clock_timestamp() THEN seconds_until_v1(t.wait_until) END,
      'waitUntil', CASE WHEN t.wait_until > clock_timestamp() THEN t.wait_until END,
      'lockedAt', t.locked_at))
    FROM throttles t WHERE t.tenant = u.tenant AND t.user_id = u.id) AS throttles,
  (SELECT jsonb_build_object('enforcement', p.enforcement,
      'groups', CASE WHEN cardinality(p.groups) > 0 THEN to_jsonb(p.groups) END,
      'gracePeriodDays', p.grace_period_days, 'enforceFrom', p.enforce_from, 'ssoRule', p.sso_rule,
      'version', p.version, 'updatedAt', p.updated_at, 'updatedBy', p.updated_by)
    FROM policies p WHERE p.tenant = u.tenant) AS policy
FROM users u;

DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headless_mfa') THEN
    GRANT SELECT ON person_v2 TO headless_mfa;
  END IF;
END $$;
