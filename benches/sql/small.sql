-- What a page builder, or a module for each client, leaves behind: :tables small tables of 20 rows.
SET client_min_messages = warning;
SET synchronous_commit = off;
CREATE SCHEMA small;
SELECT format('CREATE TABLE small.t%s (id integer PRIMARY KEY, name text, value jsonb); INSERT INTO small.t%1$s SELECT n, md5((n * %1$s)::text), '
    'jsonb_build_object(''table'', %1$s, ''row'', n) FROM generate_series(1, 20) n', n) FROM generate_series(1, :tables) n \gexec
