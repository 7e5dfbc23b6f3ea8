-- What a database holds, as text to compare: rows and a sum of their hashes for each table, and what hangs on the tables.
-- A sum does not depend on the rows' order.
SET max_parallel_workers_per_gather = 2;
SELECT format('SELECT %L, count(*), sum(hash_record_extended(t, 0)::numeric) FROM %I.%I t', schemaname || '.' || tablename, schemaname, tablename)
FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY schemaname, tablename \gexec
SELECT 'index', count(*), string_agg(DISTINCT indisvalid::text, ',') FROM pg_index WHERE indrelid >= 16384;
SELECT 'constraint', contype, count(*), string_agg(DISTINCT convalidated::text, ',') FROM pg_constraint WHERE oid >= 16384 GROUP BY contype ORDER BY contype;
SELECT 'sequence', schemaname, sequencename, last_value FROM pg_sequences ORDER BY 2, 3;
