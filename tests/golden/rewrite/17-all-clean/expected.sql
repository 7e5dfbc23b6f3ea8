--
-- PostgreSQL database cluster dump
--


SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

--
-- Drop databases (except postgres and template1)
--

-- bkp: DROP DATABASE "CamelCase";
-- bkp: DROP DATABASE "odd ""db"" name; it's";
-- bkp: DROP DATABASE shop;


--
-- Drop tablespaces
--

-- bkp: DROP TABLESPACE fast;


--
-- Drop roles
--

-- bkp: DROP ROLE "CREATE ROLE";
-- bkp: DROP ROLE grp;
-- bkp: DROP ROLE "odd ""role""; x";
-- bkp: DROP ROLE postgres;
-- bkp: DROP ROLE reader;
-- bkp: DROP ROLE shop;
-- bkp: DROP ROLE "two
-- bkp: lines";


--
-- Roles
--

CREATE ROLE "CREATE ROLE";
ALTER ROLE "CREATE ROLE" WITH INHERIT NOCREATEROLE NOCREATEDB NOLOGIN;
-- bkp: CREATE ROLE grp;
-- bkp: ALTER ROLE grp WITH NOSUPERUSER INHERIT CREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;
CREATE ROLE "odd ""role""; x";
ALTER ROLE "odd ""role""; x" WITH INHERIT NOCREATEROLE CREATEDB NOLOGIN;
CREATE ROLE postgres;
ALTER ROLE postgres WITH INHERIT CREATEROLE CREATEDB LOGIN;
-- bkp: CREATE ROLE reader;
-- bkp: ALTER ROLE reader WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;
-- bkp: COMMENT ON ROLE reader IS 'reads
-- bkp: DROP ROLE shop;';
CREATE ROLE shop;
ALTER ROLE shop WITH INHERIT NOCREATEROLE NOCREATEDB LOGIN PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$aGFzaA==:aGFzaA==';
CREATE ROLE "two
lines";
ALTER ROLE "two
lines" WITH INHERIT NOCREATEROLE NOCREATEDB NOLOGIN;

--
-- User Configurations
--

--
-- User Config "shop"
--

ALTER ROLE shop SET work_mem TO '8MB';


--
-- Role memberships
--

GRANT grp TO shop;
GRANT reader TO "odd ""role""; x";
GRANT reader TO shop WITH ADMIN OPTION;
GRANT reader TO "two
lines";


--
-- Role privileges on configuration parameters
--

-- bkp: GRANT SET ON PARAMETER log_statement TO shop;


--
-- Tablespaces
--

-- bkp: CREATE TABLESPACE fast OWNER postgres LOCATION '/srv/fast';



--
-- Databases
--

--
-- Database "template1" dump
--

--
-- PostgreSQL database dump
--


-- Dumped from database version 17.11
-- Dumped by pg_dump version 17.11

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
-- bkp: SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

-- bkp: UPDATE pg_catalog.pg_database SET datistemplate = false WHERE datname = 'template1';
-- bkp: DROP DATABASE template1;
--
-- Name: template1; Type: DATABASE; Schema: -; Owner: postgres
--

-- bkp: CREATE DATABASE template1 WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C';


ALTER DATABASE template1 OWNER TO postgres;

\connect "template1"

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
-- bkp: SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: DATABASE template1; Type: COMMENT; Schema: -; Owner: postgres
--

COMMENT ON DATABASE template1 IS 'default template for new databases';


--
-- Name: template1; Type: DATABASE PROPERTIES; Schema: -; Owner: postgres
--

ALTER DATABASE template1 IS_TEMPLATE = true;



SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
-- bkp: SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: DATABASE template1; Type: ACL; Schema: -; Owner: postgres
--

REVOKE CONNECT,TEMPORARY ON DATABASE template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE template1 TO PUBLIC;


--
-- PostgreSQL database dump complete
--


--
-- Database "CamelCase" dump
--

--
-- PostgreSQL database dump
--


-- Dumped from database version 17.11
-- Dumped by pg_dump version 17.11

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
-- bkp: SET transaction_timeout = 0;
SET client_encoding = 'LATIN1';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: CamelCase; Type: DATABASE; Schema: -; Owner: postgres
--

CREATE DATABASE "Camel ""side""" WITH TEMPLATE = template0 ENCODING = 'LATIN1' LOCALE = 'C';


ALTER DATABASE "Camel ""side""" OWNER TO postgres;

\connect -reuse-previous=on "dbname='Camel ""side""'"

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
-- bkp: SET transaction_timeout = 0;
SET client_encoding = 'LATIN1';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: l; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.l (
    a text
);


ALTER TABLE public.l OWNER TO postgres;

--
-- Data for Name: l; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.l (a) FROM stdin;
\\
\.


--
-- PostgreSQL database dump complete
--


--
-- Database "odd "db" name; it's" dump
--

--
-- PostgreSQL database dump
--


-- Dumped from database version 17.11
-- Dumped by pg_dump version 17.11

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
-- bkp: SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: odd "db" name; it's; Type: DATABASE; Schema: -; Owner: odd "role"; x
--

CREATE DATABASE "odd ""db"" name; it's" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C';


ALTER DATABASE "odd ""db"" name; it's" OWNER TO "odd ""role""; x";

SET client_encoding = 'SQL_ASCII';
\connect -reuse-previous=on "dbname='odd ""db"" name; it\'s'"

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
-- bkp: SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- PostgreSQL database dump complete
--


--
-- Database "postgres" dump
--

--
-- PostgreSQL database dump
--


-- Dumped from database version 17.11
-- Dumped by pg_dump version 17.11

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
-- bkp: SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

-- bkp: DROP DATABASE postgres;
--
-- Name: postgres; Type: DATABASE; Schema: -; Owner: postgres
--

-- bkp: CREATE DATABASE postgres WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C';


ALTER DATABASE postgres OWNER TO postgres;

\connect "postgres"

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
-- bkp: SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: DATABASE postgres; Type: COMMENT; Schema: -; Owner: postgres
--

COMMENT ON DATABASE postgres IS 'default administrative connection database';


--
-- PostgreSQL database dump complete
--


--
-- Database "shop" dump
--

--
-- PostgreSQL database dump
--


-- Dumped from database version 17.11
-- Dumped by pg_dump version 17.11

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
-- bkp: SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: shop; Type: DATABASE; Schema: -; Owner: shop
--

CREATE DATABASE "shop__bkp_run" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C';


ALTER DATABASE "shop__bkp_run" OWNER TO shop;

\connect "shop__bkp_run"

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
-- bkp: SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: DATABASE shop; Type: COMMENT; Schema: -; Owner: shop
--

COMMENT ON DATABASE "shop__bkp_run" IS 'the shop; \connect evil';


--
-- Name: shop; Type: DATABASE PROPERTIES; Schema: -; Owner: shop
--

ALTER DATABASE "shop__bkp_run" CONNECTION LIMIT = 20;
ALTER DATABASE "shop__bkp_run" SET search_path TO 'public', 'Odd';
ALTER ROLE shop IN DATABASE "shop__bkp_run" SET statement_timeout TO '1min';



SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
-- bkp: SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: s; Type: SCHEMA; Schema: -; Owner: reader
--

CREATE SCHEMA s;


ALTER SCHEMA s OWNER TO reader;

--
-- Name: pg_trgm; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;


--
-- Name: EXTENSION pg_trgm; Type: COMMENT; Schema: -; Owner: 
--

-- bkp: COMMENT ON EXTENSION pg_trgm IS 'text similarity measurement and index searching based on trigrams';


--
-- Name: f1(); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.f1() RETURNS text
    LANGUAGE sql
    AS $_$ SELECT 'x;'; SELECT $$CREATE ROLE a;$$ $_$;


ALTER FUNCTION public.f1() OWNER TO postgres;

--
-- Name: f2(integer); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.f2(a integer) RETURNS integer
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT
         CASE
             WHEN (a > 0) THEN 1
             ELSE 2
         END AS "case";
 SELECT 2;
END;


ALTER FUNCTION public.f2(a integer) OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: t; Type: TABLE; Schema: public; Owner: shop
--

CREATE TABLE public.t (
    id integer NOT NULL,
    v text,
    "weird
col" text
);


ALTER TABLE public.t OWNER TO shop;

--
-- Name: TABLE t; Type: COMMENT; Schema: public; Owner: shop
--

COMMENT ON TABLE public.t IS 'line
\connect template1
GRANT x TO y;';


--
-- Name: p1(); Type: PROCEDURE; Schema: public; Owner: postgres
--

CREATE PROCEDURE public.p1()
    LANGUAGE sql
    BEGIN ATOMIC
 DELETE FROM public.t;
 INSERT INTO public.t (id, v, "weird
col")
   VALUES (9, 'x;'::text, ''::text);
END;


ALTER PROCEDURE public.p1() OWNER TO postgres;

--
-- Name: fdw; Type: FOREIGN DATA WRAPPER; Schema: -; Owner: postgres
--

CREATE FOREIGN DATA WRAPPER fdw;


ALTER FOREIGN DATA WRAPPER fdw OWNER TO postgres;

--
-- Name: srv; Type: SERVER; Schema: -; Owner: postgres
--

CREATE SERVER srv FOREIGN DATA WRAPPER fdw;


ALTER SERVER srv OWNER TO postgres;

--
-- Name: USER MAPPING shop SERVER srv; Type: USER MAPPING; Schema: -; Owner: postgres
--

CREATE USER MAPPING FOR shop SERVER srv OPTIONS (
    password 'hush'
);


--
-- Name: CREATE ROLE dbuser;; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public."CREATE ROLE dbuser;" (
    a integer
);


ALTER TABLE public."CREATE ROLE dbuser;" OWNER TO postgres;

SET default_tablespace = '';

--
-- Name: fastt; Type: TABLE; Schema: public; Owner: postgres; Tablespace: fast
--

CREATE TABLE public.fastt (
    a integer
);


ALTER TABLE public.fastt OWNER TO postgres;

SET default_tablespace = '';

--
-- Name: mv; Type: MATERIALIZED VIEW; Schema: public; Owner: postgres
--

CREATE MATERIALIZED VIEW public.mv AS
 SELECT 1 AS x
  WITH NO DATA;


ALTER MATERIALIZED VIEW public.mv OWNER TO postgres;

--
-- Name: nocols; Type: TABLE; Schema: public; Owner: two lines
--

CREATE TABLE public.nocols (
);


ALTER TABLE public.nocols OWNER TO "two
lines";

--
-- Name: sq; Type: SEQUENCE; Schema: public; Owner: postgres
--

CREATE SEQUENCE public.sq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER SEQUENCE public.sq OWNER TO postgres;

--
-- Name: v; Type: VIEW; Schema: public; Owner: postgres
--

CREATE VIEW public.v AS
 SELECT 'CREATE ROLE z;'::text AS a,
    'back\slash'::text AS b;


ALTER VIEW public.v OWNER TO postgres;

--
-- Data for Name: CREATE ROLE dbuser;; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public."CREATE ROLE dbuser;" (a) FROM stdin;
1
\.


--
-- Data for Name: fastt; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.fastt (a) FROM stdin;
\.


--
-- Data for Name: nocols; Type: TABLE DATA; Schema: public; Owner: two lines
--

COPY public.nocols  FROM stdin;


\.


--
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: shop
--

COPY public.t (id, v, "weird
col") FROM stdin;
1	\\connect x	a\nb\\c
2	-- PostgreSQL database dump complete	\\.
3	it's; $$	\N
4	\r\n	\r
\.


--
-- Name: sq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.sq', 1, true);


--
-- Name: 16511; Type: BLOB METADATA; Schema: -; Owner: postgres
--

SELECT pg_catalog.lo_create('16511');

ALTER LARGE OBJECT 16511 OWNER TO postgres;

--
-- Data for Name: 16511; Type: BLOBS; Schema: -; Owner: postgres
--

BEGIN;

SELECT pg_catalog.lo_open('16511', 131072);
SELECT pg_catalog.lowrite(0, '\x6c617267652000206f626a656374');
SELECT pg_catalog.lo_close(0);

COMMIT;

--
-- Name: t t_pkey; Type: CONSTRAINT; Schema: public; Owner: shop
--

ALTER TABLE ONLY public.t
    ADD CONSTRAINT t_pkey PRIMARY KEY (id);


SET default_tablespace = '';

--
-- Name: fi; Type: INDEX; Schema: public; Owner: postgres; Tablespace: fast
--

CREATE INDEX fi ON public.fastt USING btree (a);


--
-- Name: t r1; Type: RULE; Schema: public; Owner: shop
--

CREATE RULE r1 AS
    ON UPDATE TO public.t DO ( DELETE FROM public.nocols;
 SELECT 1 AS "?column?";
 SELECT ';'::text AS "?column?";
);


--
-- Name: t pol; Type: POLICY; Schema: public; Owner: shop
--

CREATE POLICY pol ON public.t TO shop, "odd ""role""; x" USING (true);


--
-- Name: t; Type: ROW SECURITY; Schema: public; Owner: shop
--

ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;

--
-- Name: pub; Type: PUBLICATION; Schema: -; Owner: postgres
--

CREATE PUBLICATION pub WITH (publish = 'insert, update, delete, truncate');


ALTER PUBLICATION pub OWNER TO postgres;

--
-- Name: pub t; Type: PUBLICATION TABLE; Schema: public; Owner: postgres
--

ALTER PUBLICATION pub ADD TABLE ONLY public.t;


--
-- Name: DATABASE shop; Type: ACL; Schema: -; Owner: shop
--

REVOKE CONNECT,TEMPORARY ON DATABASE "shop__bkp_run" FROM PUBLIC;
GRANT TEMPORARY ON DATABASE "shop__bkp_run" TO PUBLIC;
GRANT CONNECT ON DATABASE "shop__bkp_run" TO reader;


--
-- Name: TABLE t; Type: ACL; Schema: public; Owner: shop
--

GRANT SELECT ON TABLE public.t TO reader WITH GRANT OPTION;
SET SESSION AUTHORIZATION reader;
GRANT SELECT ON TABLE public.t TO "odd ""role""; x";
RESET SESSION AUTHORIZATION;


--
-- Name: DEFAULT PRIVILEGES FOR TABLES; Type: DEFAULT ACL; Schema: public; Owner: shop
--

ALTER DEFAULT PRIVILEGES FOR ROLE shop IN SCHEMA public GRANT SELECT ON TABLES TO reader;


--
-- Name: mv; Type: MATERIALIZED VIEW DATA; Schema: public; Owner: postgres
--

REFRESH MATERIALIZED VIEW public.mv;


--
-- PostgreSQL database dump complete
--


--
-- PostgreSQL database cluster dump complete
--


===== changes =====
16: DROP DATABASE "CamelCase": no database is dropped
17: DROP DATABASE "odd ""db"" name; it's": no database is dropped
18: DROP DATABASE shop: no database is dropped
25: DROP TABLESPACE fast: no tablespace is dropped
32: DROP ROLE "CREATE ROLE": no role is dropped
33: DROP ROLE grp: no role is dropped
34: DROP ROLE "odd ""role""; x": no role is dropped
35: DROP ROLE postgres: no role is dropped
36: DROP ROLE reader: no role is dropped
37: DROP ROLE shop: no role is dropped
38: DROP ROLE "two?lines": no role is dropped
47: ALTER ROLE "CREATE ROLE" WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN: NOSUPERUSER, NOREPLICATION, NOBYPASSRLS left out: the default, and only a superuser may say it
48: CREATE ROLE grp: the role exists
49: ALTER ROLE grp WITH NOSUPERUSER INHERIT CREATEROLE NOCREATEDB NOLOGIN NOREPLICATION: the role exists and is left alone
51: ALTER ROLE "odd ""role""; x" WITH NOSUPERUSER INHERIT NOCREATEROLE CREATEDB NOLOGIN: NOSUPERUSER, REPLICATION, NOBYPASSRLS left out: only a superuser may give that
53: ALTER ROLE postgres WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS: SUPERUSER, REPLICATION, BYPASSRLS left out: only a superuser may give that
54: CREATE ROLE reader: the role exists
55: ALTER ROLE reader WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION: the role exists and is left alone
56: COMMENT ON ROLE reader IS: the role exists and is left alone
59: ALTER ROLE shop WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION: NOSUPERUSER, NOREPLICATION, NOBYPASSRLS left out: the default, and only a superuser may say it
62: ALTER ROLE "two?lines" WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION: NOSUPERUSER, NOREPLICATION, BYPASSRLS left out: only a superuser may give that
80: GRANT grp TO shop WITH INHERIT TRUE GRANTED BY postgres: INHERIT TRUE left out: the server does not know it
80: GRANT grp TO shop WITH INHERIT TRUE GRANTED BY postgres: the grantor left out: only a superuser may grant for another role
81: GRANT reader TO "odd ""role""; x" WITH INHERIT TRUE GRANTED BY postgres: INHERIT TRUE left out: the server does not know it
81: GRANT reader TO "odd ""role""; x" WITH INHERIT TRUE GRANTED BY postgres: the grantor left out: only a superuser may grant for another role
82: GRANT reader TO shop WITH ADMIN OPTION: INHERIT TRUE left out: the server does not know it
82: GRANT reader TO shop WITH ADMIN OPTION: the grantor left out: only a superuser may grant for another role
83: GRANT reader TO "two?lines" WITH INHERIT TRUE GRANTED BY shop: INHERIT TRUE left out: the server does not know it
83: GRANT reader TO "two?lines" WITH INHERIT TRUE GRANTED BY shop: the grantor left out: only a superuser may grant for another role
91: GRANT SET ON PARAMETER log_statement: the server has no rights on parameters
98: CREATE TABLESPACE fast OWNER postgres LOCATION: a tablespace needs a directory on the server: the default one is used
123: SET transaction_timeout: the server does not know the parameter transaction_timeout
132: UPDATE pg_catalog.pg_database SET datistemplate: the server's own list of databases is not ours to change
133: DROP DATABASE template1: no database is dropped
138: CREATE DATABASE template1 WITH TEMPLATE: every server has this database
150: SET transaction_timeout: the server does not know the parameter transaction_timeout
180: SET transaction_timeout: the server does not know the parameter transaction_timeout
219: SET transaction_timeout: the server does not know the parameter transaction_timeout
232: CREATE DATABASE "CamelCase" WITH TEMPLATE: goes to the side database Camel "side"
232: CREATE DATABASE "CamelCase" WITH TEMPLATE: LOCALE_PROVIDER left out: the server does not know it
235: ALTER DATABASE "CamelCase" OWNER TO postgres: goes to the side database Camel "side"
244: SET transaction_timeout: the server does not know the parameter transaction_timeout
299: SET transaction_timeout: the server does not know the parameter transaction_timeout
312: CREATE DATABASE "odd ""db"" name; it's" WITH TEMPLATE: LOCALE_PROVIDER left out: the server does not know it
325: SET transaction_timeout: the server does not know the parameter transaction_timeout
356: SET transaction_timeout: the server does not know the parameter transaction_timeout
365: DROP DATABASE postgres: no database is dropped
370: CREATE DATABASE postgres WITH TEMPLATE: every server has this database
382: SET transaction_timeout: the server does not know the parameter transaction_timeout
420: SET transaction_timeout: the server does not know the parameter transaction_timeout
433: CREATE DATABASE shop WITH TEMPLATE: goes to the side database shop__bkp_run
433: CREATE DATABASE shop WITH TEMPLATE: LOCALE_PROVIDER left out: the server does not know it
436: ALTER DATABASE shop OWNER TO shop: goes to the side database shop__bkp_run
445: SET transaction_timeout: the server does not know the parameter transaction_timeout
458: COMMENT ON DATABASE shop IS: goes to the side database shop__bkp_run
465: ALTER DATABASE shop CONNECTION LIMIT: goes to the side database shop__bkp_run
466: ALTER DATABASE shop SET search_path: goes to the side database shop__bkp_run
467: ALTER ROLE shop IN DATABASE shop SET statement_timeout: goes to the side database shop__bkp_run
477: SET transaction_timeout: the server does not know the parameter transaction_timeout
506: COMMENT ON EXTENSION pg_trgm IS: the extension belongs to the server's provider
619: SET default_tablespace: the server has no tablespace fast: the default one is used
756: SET default_tablespace: the server has no tablespace fast: the default one is used
809: REVOKE CONNECT: goes to the side database shop__bkp_run
810: GRANT TEMPORARY ON DATABASE shop TO PUBLIC: goes to the side database shop__bkp_run
811: GRANT CONNECT ON DATABASE shop TO reader: goes to the side database shop__bkp_run
