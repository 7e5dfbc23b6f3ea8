-- What a careless backup forgets: owners, rights, code, large objects, and rows that look like something else.
ALTER TABLE pgbench_accounts OWNER TO shop_owner;
GRANT SELECT, UPDATE (tbalance) ON pgbench_tellers TO clerk;
GRANT SELECT ON pgbench_accounts TO auditors;
CREATE TABLE invoices (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account integer REFERENCES pgbench_accounts,
    issued timestamptz NOT NULL,
    text text
);
ALTER TABLE invoices OWNER TO shop_owner;
INSERT INTO invoices (account, issued, text)
SELECT n, timestamptz '2026-01-01 00:00:00Z' + n * interval '1 hour',
       (ARRAY['plain', E'two\nlines', '\.', '\connect nowhere', '-- PostgreSQL database dump complete', 'CREATE ROLE x;', NULL, ''])[n % 8 + 1]
FROM generate_series(1, 2000) n;
CREATE VIEW open_invoices WITH (security_barrier) AS SELECT id, account FROM invoices WHERE text IS NOT NULL;
CREATE MATERIALIZED VIEW per_branch AS SELECT bid, sum(abalance) AS total FROM pgbench_accounts GROUP BY bid;
CREATE FUNCTION remind(n integer) RETURNS text LANGUAGE plpgsql AS $_$BEGIN RETURN 'invoice; ' || n; END$_$;
REVOKE EXECUTE ON FUNCTION remind FROM PUBLIC;
GRANT EXECUTE ON FUNCTION remind TO clerk;
COMMENT ON TABLE invoices IS 'what customers owe us';
SELECT lo_from_bytea(70001, decode(repeat('5c2e0a00ff', 20000), 'hex')) AS made \gset
ALTER LARGE OBJECT 70001 OWNER TO shop_owner;
GRANT SELECT ON LARGE OBJECT 70001 TO clerk;
ANALYZE;
