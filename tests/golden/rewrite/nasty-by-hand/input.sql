-- By hand: forms that clients 13 to 18 write rarely, and what people add.
SET default_transaction_read_only = off;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = off;
CREATE ROLE "semi;colon";
ALTER ROLE "semi;colon" WITH SUPERUSER NOLOGIN PASSWORD 'md5\'; DROP ROLE x; --';
ALTER ROLE shop IN DATABASE shop SET search_path TO 'a', 'b';
SECURITY LABEL FOR selinux ON ROLE "semi;colon" IS 'x';
SECURITY LABEL ON DATABASE shop IS 'x';
GRANT "semi;colon" TO shop WITH ADMIN OPTION, INHERIT TRUE, SET FALSE GRANTED BY nobody;
GRANT reader, grp TO "semi;colon" GRANTED BY admin;
DROP DATABASE IF EXISTS shop; DROP ROLE IF EXISTS "two
lines"; SELECT 'same line';
CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = icu LOCALE = 'C' ICU_LOCALE = 'de' ICU_RULES = '&a<b' TABLESPACE = fast;
ALTER DATABASE shop SET transaction_timeout TO '1s';
ALTER DATABASE shop SET TABLESPACE fast;
\connect shop
SET standard_conforming_strings = on;
SET transaction_timeout = 0;
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
DROP TRIGGER tr ON public.t;
DROP ROLE "aDROP TABLE x;";
SET SESSION AUTHORIZATION 'reader';
GRANT SELECT ON TABLE t TO shop GRANTED BY reader;
RESET SESSION AUTHORIZATION;
\encoding SQL_ASCII
\connect -reuse-previous=on "dbname='odd ""db"" name; it\'s'"
SELECT E'raw ÿþ bytes';
