--
-- PostgreSQL database cluster dump
--


SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

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
-- Tablespaces
--

-- bkp: CREATE TABLESPACE fast OWNER postgres LOCATION '/srv/fast';



--
-- PostgreSQL database cluster dump complete
--


===== changes =====
17: ALTER ROLE "CREATE ROLE" WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN: NOSUPERUSER, NOREPLICATION, NOBYPASSRLS left out: the default, and only a superuser may say it
18: CREATE ROLE grp: the role exists
19: ALTER ROLE grp WITH NOSUPERUSER INHERIT CREATEROLE NOCREATEDB NOLOGIN NOREPLICATION: the role exists and is left alone
21: ALTER ROLE "odd ""role""; x" WITH NOSUPERUSER INHERIT NOCREATEROLE CREATEDB NOLOGIN: NOSUPERUSER, REPLICATION, NOBYPASSRLS left out: only a superuser may give that
23: ALTER ROLE postgres WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS: SUPERUSER, REPLICATION, BYPASSRLS left out: only a superuser may give that
24: CREATE ROLE reader: the role exists
25: ALTER ROLE reader WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION: the role exists and is left alone
26: COMMENT ON ROLE reader IS: the role exists and is left alone
29: ALTER ROLE shop WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION: NOSUPERUSER, NOREPLICATION, NOBYPASSRLS left out: the default, and only a superuser may say it
32: ALTER ROLE "two?lines" WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION: NOSUPERUSER, NOREPLICATION, BYPASSRLS left out: only a superuser may give that
49: GRANT grp TO shop GRANTED BY postgres: the grantor left out: only a superuser may grant for another role
50: GRANT reader TO "odd ""role""; x" GRANTED BY postgres: the grantor left out: only a superuser may grant for another role
51: GRANT reader TO shop WITH ADMIN OPTION GRANTED BY postgres: the grantor left out: only a superuser may grant for another role
52: GRANT reader TO "two?lines" GRANTED BY shop: the grantor left out: only a superuser may grant for another role
60: CREATE TABLESPACE fast OWNER postgres LOCATION: a tablespace needs a directory on the server: the default one is used
