--
-- PostgreSQL database dump
--

\restrict Key17

-- Dumped from database version 17.11
-- Dumped by pg_dump version 17.11

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
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

CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C';


ALTER DATABASE shop OWNER TO shop;

\unrestrict Key17
\connect shop
\restrict Key17

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
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

COMMENT ON DATABASE shop IS 'the shop; \connect evil';


--
-- Name: shop; Type: DATABASE PROPERTIES; Schema: -; Owner: shop
--

ALTER DATABASE shop CONNECTION LIMIT = 20;
ALTER DATABASE shop SET search_path TO 'public', 'Odd';
ALTER ROLE shop IN DATABASE shop SET statement_timeout TO '1min';


\unrestrict Key17
\connect shop
\restrict Key17

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
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

COMMENT ON EXTENSION pg_trgm IS 'text similarity measurement and index searching based on trigrams';


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

SET default_tablespace = fast;

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


SET default_tablespace = fast;

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

REVOKE CONNECT,TEMPORARY ON DATABASE shop FROM PUBLIC;
GRANT TEMPORARY ON DATABASE shop TO PUBLIC;
GRANT CONNECT ON DATABASE shop TO reader;


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

\unrestrict Key17

