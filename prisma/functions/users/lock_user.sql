-- Locks a user for an administrator: null, or the outcome that forbids it. `gone` if there is no such user; `forbidden` where support would
-- touch a user who was ever seen with an `mfa:` role; `actor_gone` where the administrator is one no more.
-- Whatever an administrator does to one user calls it first, and is audited with the reason. Throttles are locked after it, in the order of
-- their kinds.
CREATE OR REPLACE FUNCTION lock_user(p_tenant text, p_user uuid, p_is_support boolean, p_by jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_is_administrator boolean;
BEGIN
  IF is_actor_gone(p_tenant, p_user, p_by) THEN RETURN jsonb_build_object('outcome', 'actor_gone'); END IF;
  SELECT administrator_at IS NOT NULL INTO v_is_administrator FROM users WHERE tenant = p_tenant AND id = p_user FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'gone'); END IF;
  IF p_is_support AND v_is_administrator THEN RETURN jsonb_build_object('outcome', 'forbidden'); END IF;
  RETURN NULL;
END $$;
