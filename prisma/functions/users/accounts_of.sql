-- The kinds of account that the sources claim a user has, each as a text that an index can find: "<source>\n<kind>". No source's name has a
-- line break.
CREATE OR REPLACE FUNCTION accounts_of(p_sources jsonb) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN ARRAY(
    SELECT key || E'\n' || a COLLATE "C" FROM jsonb_each(p_sources) CROSS JOIN unnest(ARRAY['local', 'sso']) AS a
    WHERE value->a = 'true' ORDER BY 1);
END $$;
