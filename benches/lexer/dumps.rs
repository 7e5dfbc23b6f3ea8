//! SQL as pg_dump writes it, made up: the same bytes in every run.

use std::fmt::Write as _;

/// A kind of dump.
#[derive(Clone, Copy, Debug)]
pub enum Dump {
    /// Rows of about 1,200 bytes: JSON and text.
    Wide,
    /// Rows of about 97 bytes, as pgbench has them.
    Narrow,
    /// 10,000 tables with an owner, a comment, a sequence, grants, a key, two indexes and a reference; two rows each.
    Statements,
    /// The same narrow rows as INSERTs.
    Inserts,
}

/// Parameters that a server knows, as far as these dumps set any.
pub const SETTINGS: [&str; 12] = [
    "check_function_bodies",
    "client_encoding",
    "client_min_messages",
    "default_table_access_method",
    "default_tablespace",
    "idle_in_transaction_session_timeout",
    "lock_timeout",
    "row_security",
    "standard_conforming_strings",
    "statement_timeout",
    "transaction_timeout",
    "xmloption",
];

const BEGINS: &str = "--
-- PostgreSQL database dump
--

-- Dumped from database version 17.6
-- Dumped by pg_dump version 17.6

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

SET default_tablespace = '';

SET default_table_access_method = heap;

";

const ENDS: &str = "--
-- PostgreSQL database dump complete
--

";

/// The dump, of 20 to 130 MB.
pub fn text(dump: Dump) -> Vec<u8> {
    let mut sql = BEGINS.to_owned();
    match dump {
        Dump::Wide => wide(&mut sql),
        Dump::Narrow => narrow(&mut sql),
        Dump::Statements => statements(&mut sql).expect("a String takes everything"),
        Dump::Inserts => inserts(&mut sql),
    }
    sql.push_str(ENDS);
    sql.into_bytes()
}

fn wide(sql: &mut String) {
    let body = "The quick brown fox jumps over the lazy dog; \\n and \\t are escapes, 'quotes' are not. ".repeat(8);
    sql.push_str("COPY public.documents (id, made, data, body) FROM stdin;\n");
    for id in 0..100_000 {
        let _ = writeln!(
            sql,
            "{id}\t2026-11-{:02} 03:00:{:02}+00\t{{\"id\": {id}, \"tags\": [\"a\", \"b\"], \"nested\": {{\"name\": \"row {id}\", \"text\": \"{}\"}}}}\t{body}",
            id % 28 + 1,
            id % 60,
            &body[..400]
        );
    }
    sql.push_str("\\.\n\n\n");
}

fn narrow(sql: &mut String) {
    sql.push_str("COPY public.pgbench_accounts (aid, bid, abalance, filler) FROM stdin;\n");
    for id in 1..=1_000_000 {
        let _ = writeln!(sql, "{id}\t{}\t0\t{:84}", id / 100_000 + 1, "");
    }
    sql.push_str("\\.\n\n\n");
}

fn inserts(sql: &mut String) {
    for id in 1..=200_000 {
        let _ =
            writeln!(sql, "INSERT INTO public.pgbench_accounts VALUES ({id}, {}, 0, '{:84}');", id / 100_000 + 1, "");
    }
}

fn statements(sql: &mut String) -> std::fmt::Result {
    for t in 0..10_000 {
        write!(
            sql,
            "--
-- Name: small_{t}; Type: TABLE; Schema: public; Owner: shop
--

CREATE TABLE public.small_{t} (
    id bigint NOT NULL,
    parent bigint,
    name character varying(200) DEFAULT ''::character varying NOT NULL,
    made timestamp with time zone DEFAULT now() NOT NULL,
    price numeric(12,2) DEFAULT 0.00,
    data jsonb DEFAULT '{{}}'::jsonb,
    CONSTRAINT small_{t}_price_check CHECK ((price >= (0)::numeric))
);


ALTER TABLE public.small_{t} OWNER TO shop;

--
-- Name: TABLE small_{t}; Type: COMMENT; Schema: public; Owner: shop
--

COMMENT ON TABLE public.small_{t} IS 'What the {t}th of the small tables is for; it''s only a comment.';


--
-- Name: small_{t}_id_seq; Type: SEQUENCE; Schema: public; Owner: shop
--

CREATE SEQUENCE public.small_{t}_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER SEQUENCE public.small_{t}_id_seq OWNER TO shop;

--
-- Name: small_{t}_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: shop
--

ALTER SEQUENCE public.small_{t}_id_seq OWNED BY public.small_{t}.id;


--
-- Name: small_{t} id; Type: DEFAULT; Schema: public; Owner: shop
--

ALTER TABLE ONLY public.small_{t} ALTER COLUMN id SET DEFAULT nextval('public.small_{t}_id_seq'::regclass);


"
        )?;
    }
    for t in 0..10_000 {
        write!(
            sql,
            "--
-- Data for Name: small_{t}; Type: TABLE DATA; Schema: public; Owner: shop
--

COPY public.small_{t} (id, parent, name, made, price, data) FROM stdin;
1\t\\N\tone\t2026-11-20 03:00:00+00\t1.00\t{{}}
2\t1\ttwo\t2026-11-20 03:00:00+00\t2.00\t{{}}
\\.


--
-- Name: small_{t}_id_seq; Type: SEQUENCE SET; Schema: public; Owner: shop
--

SELECT pg_catalog.setval('public.small_{t}_id_seq', 2, true);


"
        )?;
    }
    for t in 0..10_000 {
        write!(
            sql,
            "--
-- Name: small_{t} small_{t}_pkey; Type: CONSTRAINT; Schema: public; Owner: shop
--

ALTER TABLE ONLY public.small_{t}
    ADD CONSTRAINT small_{t}_pkey PRIMARY KEY (id);


--
-- Name: small_{t}_lower_idx; Type: INDEX; Schema: public; Owner: shop
--

CREATE UNIQUE INDEX small_{t}_lower_idx ON public.small_{t} USING btree (lower((name)::text), parent) WHERE (price > (0)::numeric);


--
-- Name: small_{t}_made_idx; Type: INDEX; Schema: public; Owner: shop
--

CREATE INDEX small_{t}_made_idx ON public.small_{t} USING btree (made);


--
-- Name: small_{t} small_{t}_parent_fkey; Type: FK CONSTRAINT; Schema: public; Owner: shop
--

ALTER TABLE ONLY public.small_{t}
    ADD CONSTRAINT small_{t}_parent_fkey FOREIGN KEY (parent) REFERENCES public.small_{t}(id) ON DELETE CASCADE;


--
-- Name: TABLE small_{t}; Type: ACL; Schema: public; Owner: shop
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.small_{t} TO app;
GRANT SELECT ON TABLE public.small_{t} TO reader;


"
        )?;
    }
    Ok(())
}
