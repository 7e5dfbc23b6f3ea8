-- By hand: forms that clients 13 to 18 write rarely, and what people add.
SET default_transaction_read_only = off;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = off;
CREATE ROLE "semi;colon";
ALTER ROLE "semi;colon" WITH NOLOGIN PASSWORD  E'md5\'; DROP ROLE x; --';
ALTER ROLE shop IN DATABASE "shop__bkp_run" SET search_path TO 'a', 'b';
SECURITY LABEL FOR selinux ON ROLE "semi;colon" IS 'x';
SECURITY LABEL ON DATABASE "shop__bkp_run" IS 'x';
GRANT "semi;colon" TO shop WITH ADMIN OPTION;
GRANT reader, grp TO "semi;colon" GRANTED BY admin;
-- bkp: DROP DATABASE IF EXISTS shop;
 -- bkp: DROP ROLE IF EXISTS "two
-- bkp: lines";
 SELECT 'same line';
CREATE DATABASE "shop__bkp_run" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C';
-- bkp: ALTER DATABASE shop SET transaction_timeout TO '1s';
-- bkp: ALTER DATABASE shop SET TABLESPACE fast;
\connect "shop__bkp_run"
SET standard_conforming_strings = on;
-- bkp: SET transaction_timeout = 0;
SET app.tenant = 'x';
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_X$ SELECT $$;$$ || '\'; $_X$;
COPY public."weird
name" ("weird
col") FROM stdin;
\\connect x
\.x
CREATE ROLE reader;

\.
COPY public.nocols  FROM stdin;


\.
COMMENT ON TABLE t IS 'line
\connect template1
-- PostgreSQL database dump complete
';
/* a block /* nested */ with
\connect template1
*/
CREATE RULE r AS ON UPDATE TO t DO ALSO (DELETE FROM a; SELECT E'\';');
DROP TRIGGER IF EXISTS tr ON public.t;
-- bkp: DROP ROLE "a-- bkp: DROP TABLE x;";
SET SESSION AUTHORIZATION 'reader';
GRANT SELECT ON TABLE t TO shop GRANTED BY reader;
RESET SESSION AUTHORIZATION;
SET client_encoding = 'SQL_ASCII';
\connect -reuse-previous=on "dbname='odd ""db"" name; it\'s'"
SELECT E'raw ÿþ bytes';

===== changes =====
6: ALTER ROLE "semi;colon" WITH SUPERUSER NOLOGIN PASSWORD: SUPERUSER left out: only a superuser may give that
6: ALTER ROLE "semi;colon" WITH NOLOGIN PASSWORD: strings with escapes say so (E'â€¦'): they are read alike wherever it runs
7: ALTER ROLE shop IN DATABASE shop SET search_path: goes to the side database shop__bkp_run
9: SECURITY LABEL ON DATABASE shop IS: goes to the side database shop__bkp_run
10: GRANT "semi;colon" TO shop WITH ADMIN OPTION: INHERIT TRUE, SET FALSE left out: the server does not know it
10: GRANT "semi;colon" TO shop WITH ADMIN OPTION: the grantor left out: there is no such role
12: DROP DATABASE IF EXISTS shop: no database is dropped
12: DROP ROLE IF EXISTS "two?lines": no role is dropped
14: CREATE DATABASE shop WITH TEMPLATE: goes to the side database shop__bkp_run
14: CREATE DATABASE shop WITH TEMPLATE: LOCALE_PROVIDER left out: the server does not know it
14: CREATE DATABASE shop WITH TEMPLATE: ICU_LOCALE left out: the server does not know it
14: CREATE DATABASE shop WITH TEMPLATE: ICU_RULES left out: the server does not know it
14: CREATE DATABASE shop WITH TEMPLATE: the server has no tablespace fast: the default one is used
15: ALTER DATABASE shop SET transaction_timeout: the server does not know the parameter transaction_timeout
16: ALTER DATABASE shop SET TABLESPACE fast: the server has no tablespace fast
19: SET transaction_timeout: the server does not know the parameter transaction_timeout
42: DROP TRIGGER tr ON public.t: what a new database lacks cannot be dropped: IF EXISTS
43: DROP ROLE "a?DROP TABLE x;": no role is dropped
