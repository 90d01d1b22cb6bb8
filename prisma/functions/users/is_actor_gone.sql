-- Was the actor signed out, reset, disabled or erased since their token was read? p_by names a user with the epoch that was read with
-- it; a machine and an operator have none. What an administrator does calls it first: the body of a call may come long after its head.
-- Decides: what ends the actor's tokens comes before the change, which then does nothing, or after it, whole. The rows of the actor and
-- of the user they act on, if any, are locked in one order: two users who act on each other do not deadlock.
CREATE OR REPLACE FUNCTION is_actor_gone(p_tenant text, p_user uuid, p_by jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_actor uuid;
BEGIN
  IF p_by->>'epoch' IS NULL THEN RETURN false; END IF;
  v_actor := (p_by->>'actor')::uuid;
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id IN (v_actor, p_user) ORDER BY id FOR NO KEY UPDATE;
  PERFORM 1 FROM users WHERE tenant = p_tenant AND id = v_actor AND epoch = (p_by->>'epoch')::int AND disabled_at IS NULL;
  RETURN NOT FOUND;
END $$;
