-- Every fact of a schema, as rows (kind, schema, relation, name, facts): `relation` is the table that the object
-- belongs to, if any; `name` tells it apart within its kind; `facts` is everything else about it. To be run with an
-- empty search path: only then is every name written in full, and equal schemas read the same.
WITH
brought AS ( -- what an extension brought counts as the extension alone
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
),
own_schema AS (
    SELECT oid, nspname, quote_ident(nspname) AS full_name FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
      AND ('pg_namespace'::regclass::oid, oid) NOT IN (SELECT classid, objid FROM brought)
),
own_relation AS (
    SELECT c.*, c.oid::regclass::text AS full_name, n.full_name AS schema_name
    FROM pg_class c JOIN own_schema n ON n.oid = c.relnamespace
    WHERE ('pg_class'::regclass::oid, c.oid) NOT IN (SELECT classid, objid FROM brought)
),
shaped AS ( -- relations that have columns of their own
    SELECT * FROM own_relation WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
)

SELECT 'schema' AS kind, NULL AS schema, NULL AS relation, full_name AS name, '' AS facts
FROM own_schema

UNION ALL
SELECT 'extension', NULL, NULL, quote_ident(e.extname), concat_ws(' ', e.extversion, 'in', quote_ident(n.nspname))
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace

UNION ALL
SELECT 'type', n.full_name, NULL, t.oid::regtype::text,
    CASE t.typtype
        WHEN 'e' THEN 'enum ' || (
            SELECT string_agg(quote_literal(v.enumlabel), ', ' ORDER BY v.enumsortorder)
            FROM pg_enum v WHERE v.enumtypid = t.oid)
        WHEN 'd' THEN concat_ws(' ', 'domain', format_type(t.typbasetype, t.typtypmod),
            CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault)
        ELSE 'range of ' || (SELECT r.rngsubtype::regtype::text FROM pg_range r WHERE r.rngtypid = t.oid)
    END
FROM pg_type t JOIN own_schema n ON n.oid = t.typnamespace
WHERE t.typtype IN ('e', 'd', 'r')
  AND ('pg_type'::regclass::oid, t.oid) NOT IN (SELECT classid, objid FROM brought)

UNION ALL
SELECT 'relation', c.schema_name, c.full_name, c.full_name, concat_ws(' ',
    CASE c.relkind
        WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
        WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'composite type'
    END,
    CASE WHEN c.relpersistence = 'u' THEN 'unlogged' END,
    'partition by ' || CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
    pg_get_expr(c.relpartbound, c.oid),
    'inherits ' || (
        SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)
        FROM pg_inherits i WHERE i.inhrelid = c.oid),
    'with ' || array_to_string(c.reloptions, ', '),
    CASE WHEN c.relrowsecurity THEN 'row security' END,
    CASE WHEN c.relforcerowsecurity THEN 'forced' END,
    CASE WHEN c.relkind IN ('r', 'p') AND c.relreplident <> 'd' THEN 'replica identity ' || c.relreplident::text END,
    CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END)
FROM shaped c

UNION ALL
SELECT 'column', c.schema_name, c.full_name, c.full_name || '.' || quote_ident(a.attname), concat_ws(' ',
    -- the place among the living columns: attnum keeps the holes of dropped ones
    '#' || row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum),
    format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attnotnull THEN 'NOT NULL' END,
    CASE WHEN a.attgenerated = '' THEN 'DEFAULT ' ELSE 'GENERATED ' END || pg_get_expr(f.adbin, f.adrelid),
    CASE a.attidentity WHEN 'a' THEN 'IDENTITY ALWAYS' WHEN 'd' THEN 'IDENTITY BY DEFAULT' END,
    'collate ' || (
        SELECT o.oid::regcollation::text FROM pg_collation o JOIN pg_type t ON t.oid = a.atttypid
        WHERE o.oid = a.attcollation AND o.oid <> t.typcollation),
    'with ' || array_to_string(a.attoptions, ', '),
    'statistics ' || nullif(a.attstattarget, -1),
    'storage ' || CASE WHEN a.attstorage <> (SELECT typstorage FROM pg_type t WHERE t.oid = a.atttypid) THEN a.attstorage::text END,
    'compression ' || nullif(a.attcompression::text, ''))
FROM shaped c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum

UNION ALL
SELECT 'constraint', n.full_name, c.full_name,
    coalesce(c.full_name, k.contypid::regtype::text) || '.' || quote_ident(k.conname),
    pg_get_constraintdef(k.oid)
FROM pg_constraint k
JOIN own_schema n ON n.oid = k.connamespace
LEFT JOIN own_relation c ON c.oid = k.conrelid
WHERE k.contype <> 't' -- triggers are told elsewhere
  -- and so is NOT NULL (a constraint from version 18 on), unless it is not valid yet
  AND NOT (k.contype = 'n' AND k.convalidated)
  AND ('pg_class'::regclass::oid, k.conrelid) NOT IN (SELECT classid, objid FROM brought)

UNION ALL
SELECT 'index', c.schema_name, c.full_name, i.indexrelid::regclass::text, concat_ws(' ',
    pg_get_indexdef(i.indexrelid),
    CASE WHEN NOT i.indisvalid THEN 'invalid' END,
    CASE WHEN i.indisclustered THEN 'clustered' END,
    CASE WHEN i.indisreplident THEN 'replica identity' END)
FROM pg_index i JOIN own_relation c ON c.oid = i.indrelid

UNION ALL
SELECT 'statistics', n.full_name, c.full_name, concat_ws('.', n.full_name, quote_ident(x.stxname)),
    concat_ws(' ', pg_get_statisticsobjdef(x.oid), 'target ' || nullif(x.stxstattarget, -1))
FROM pg_statistic_ext x
JOIN own_schema n ON n.oid = x.stxnamespace
JOIN own_relation c ON c.oid = x.stxrelid

UNION ALL
SELECT 'sequence', c.schema_name, o.refobjid::regclass::text, c.full_name, concat_ws(' ',
    s.seqtypid::regtype::text, 'start', s.seqstart, 'by', s.seqincrement, 'from', s.seqmin, 'to', s.seqmax,
    'cache', s.seqcache, CASE WHEN s.seqcycle THEN 'cycle' END,
    -- by name: the column's number counts the holes of dropped ones
    'owned by ' || o.refobjid::regclass::text || '.' || quote_ident(u.attname))
FROM pg_sequence s
JOIN own_relation c ON c.oid = s.seqrelid
LEFT JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid
    AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i')
LEFT JOIN pg_attribute u ON u.attrelid = o.refobjid AND u.attnum = o.refobjsubid

UNION ALL
SELECT 'function', n.full_name, NULL, p.oid::regprocedure::text,
    CASE WHEN p.prokind = 'a'
        THEN 'aggregate by ' || (SELECT g.aggtransfn::text FROM pg_aggregate g WHERE g.aggfnoid = p.oid)
        ELSE pg_get_functiondef(p.oid)
    END
FROM pg_proc p JOIN own_schema n ON n.oid = p.pronamespace
WHERE ('pg_proc'::regclass::oid, p.oid) NOT IN (SELECT classid, objid FROM brought)

UNION ALL
SELECT 'trigger', c.schema_name, c.full_name, c.full_name || '.' || quote_ident(g.tgname),
    concat_ws(' ', pg_get_triggerdef(g.oid), CASE WHEN g.tgenabled <> 'O' THEN 'enabled ' || g.tgenabled::text END)
FROM pg_trigger g JOIN own_relation c ON c.oid = g.tgrelid
WHERE NOT g.tgisinternal

UNION ALL
SELECT 'rule', c.schema_name, c.full_name, c.full_name || '.' || quote_ident(r.rulename), pg_get_ruledef(r.oid)
FROM pg_rewrite r JOIN own_relation c ON c.oid = r.ev_class
WHERE r.rulename <> '_RETURN' -- that one is the view's own text

UNION ALL
SELECT 'policy', c.schema_name, c.full_name, c.full_name || '.' || quote_ident(p.policyname),
    concat_ws(' ', p.permissive, 'for', p.cmd, 'to', p.roles::text, 'using ' || p.qual, 'check ' || p.with_check)
FROM pg_policies p JOIN own_relation c ON c.relname = p.tablename AND c.schema_name = quote_ident(p.schemaname)

UNION ALL
SELECT 'comment', coalesce(i.schema, c.schema_name), c.full_name, concat_ws(' ', i.type, i.identity), x.description
FROM pg_description x
CROSS JOIN LATERAL pg_identify_object(x.classoid, x.objoid, x.objsubid) i
LEFT JOIN own_schema n ON n.full_name = i.schema
    OR x.classoid = 'pg_namespace'::regclass AND x.objoid = n.oid
LEFT JOIN own_relation c ON c.oid = CASE x.classoid
    WHEN 'pg_class'::regclass THEN coalesce((SELECT indrelid FROM pg_index WHERE indexrelid = x.objoid), x.objoid)
    WHEN 'pg_constraint'::regclass THEN (SELECT conrelid FROM pg_constraint WHERE oid = x.objoid)
    WHEN 'pg_trigger'::regclass THEN (SELECT tgrelid FROM pg_trigger WHERE oid = x.objoid)
    WHEN 'pg_rewrite'::regclass THEN (SELECT ev_class FROM pg_rewrite WHERE oid = x.objoid)
    WHEN 'pg_policy'::regclass THEN (SELECT polrelid FROM pg_policy WHERE oid = x.objoid)
END
WHERE (n.oid IS NOT NULL OR c.oid IS NOT NULL OR x.classoid = 'pg_extension'::regclass)
  AND (x.classoid, x.objoid) NOT IN (SELECT classid, objid FROM brought)
