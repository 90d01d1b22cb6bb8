-- The groups that the sources claim a user is in, each as a text that an index can find: "<source>\n<group>". The source alone stands for
-- groups that it left out. No source's name and no group's has a line break.
CREATE OR REPLACE FUNCTION groups_of(p_sources jsonb) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN ARRAY(
    SELECT DISTINCT key || E'\n' || g COLLATE "C" FROM jsonb_each(p_sources)
    CROSS JOIN jsonb_array_elements_text(CASE WHEN jsonb_typeof(value->'groups') = 'array' THEN value->'groups' ELSE '[]' END) AS g
    UNION ALL SELECT key FROM jsonb_each(p_sources) WHERE value->'groupsUnknown' = 'true'
    ORDER BY 1);
END $$;
