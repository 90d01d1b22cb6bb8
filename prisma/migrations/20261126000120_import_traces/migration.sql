-- The schema did not change.

-- Brings somebody's authenticators as import_user_v1 does; whoever was erased is made anew first, as by his own login. Of whom an
-- erasure comes between is nobody: `moved`.
CREATE FUNCTION import_user_v2(
  p_tenant text, p_id uuid, p_namespace text, p_subject text, p_account text, p_key_id text, p_factors jsonb, p_step bigint, p_source text,
  p_hashes jsonb, p_by jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM revive_user_v1(p_tenant, p_id, p_namespace, p_subject, p_account, p_hashes);
  RETURN import_user_v1(p_tenant, p_id, p_namespace, p_subject, p_account, p_key_id, p_factors, p_step, p_source, p_by);
END $$;
