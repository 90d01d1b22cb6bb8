-- A hash of the sources: users with the same claims are one cohort, and are counted together.
CREATE OR REPLACE FUNCTION cohort_of(p_sources jsonb) RETURNS uuid LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN left(encode(sha256(convert_to(p_sources::text, 'UTF8')), 'hex'), 32)::uuid;
END $$;
