//! The dumps: what each holds, and what is to come of it.

/// What bkp does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The restore fails before anything is made, and names the line.
    Refused,
    /// The restore goes on, without it.
    Harmless,
    /// It runs, with the rights of the account that restores.
    Trusted,
}

impl Verdict {
    /// Its word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Harmless => "harmless",
            Self::Trusted => "**runs**",
        }
    }
}

/// Where in a dump it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Among the statements of the database.
    Database,
    /// Among the statements of a database in a dump of the whole server.
    Section,
    /// Before the first database of a dump of the whole server.
    Globals,
}

/// One row of the table.
pub struct Case {
    /// Its first column.
    pub name: &'static str,
    pub verdict: Verdict,
    pub place: Place,
    /// Each in a dump of its own; `MARK` is a file that must not come to be, `PAD` a comment of more than a mebibyte.
    pub evils: &'static [&'static str],
}

const fn case(name: &'static str, verdict: Verdict, evils: &'static [&'static str]) -> Case {
    Case { name, verdict, place: Place::Database, evils }
}

const fn section(name: &'static str, verdict: Verdict, evils: &'static [&'static str]) -> Case {
    Case { name, verdict, place: Place::Section, evils }
}

const fn global(name: &'static str, verdict: Verdict, evils: &'static [&'static str]) -> Case {
    Case { name, verdict, place: Place::Globals, evils }
}

use Verdict::{Harmless, Refused, Trusted};

/// All of them. What is `Trusted` makes the role `pwned`, the file `MARK` (of the server) or shows a file of the server.
pub const CASES: &[Case] = &[
    case(
        r"psql's commands, wherever they stand: `\!`, `\copy`, `\i`, `\o`, `\g`, `\gexec`, `\set`, `\if`, `\connect` to another server",
        Refused,
        &[
            r"\! touch MARK",
            r"SELECT 1; \! touch MARK",
            r"/* x */ \! touch MARK",
            "-- x\r\\! touch MARK",
            r"SELECT 1 \g |touch MARK",
            r"SELECT 'touch MARK' \gexec",
            r"\copy orders from program 'touch MARK'",
            r"\o |touch MARK",
            r"\set x `touch MARK`",
            r"\if true",
            r"\i /etc/passwd",
            r"\connect `touch MARK`",
            r#"\connect "host=/nowhere dbname=shop""#,
            r"\restrict `touch MARK`",
            "\\unrestrict guessed\n\\! touch MARK",
            "COPY public.orders FROM stdin;\n\\.\n\\! touch MARK\n\\.",
            "SELECT $a$ $b$ $a$; \\! touch MARK -- $b$;",
        ],
    ),
    case(
        "psql's variables: `:DBNAME`, `:\"USER\"`, `:LAST_ERROR_MESSAGE`",
        Harmless,
        // With a variable in its place none of these would be read: there is no such column, or no such SQL.
        &[
            "SELECT (ARRAY[1])[1:DBNAME] FROM (SELECT 1 AS dbname) AS d;",
            "SELECT (ARRAY[1])[1:\"USER\"] FROM (SELECT 1 AS \"USER\") AS u;",
            "SELECT (ARRAY[1])[1:'1'], (ARRAY[1])[1:SQLSTATE] FROM (SELECT 1 AS sqlstate) AS s;",
            "CREATE TABLE public.sliced (\"HOST\" int, CHECK ((ARRAY[1])[1:\"HOST\"] IS NOT NULL));\nDROP TABLE public.sliced;",
            "SELECT (ARRAY[1])[1:LAST_ERROR_MESSAGE] FROM (SELECT 1 AS last_error_message) AS e;",
        ],
    ),
    case(
        "`COPY … PROGRAM`, `COPY` from and to files of the server, `COPY … TO`",
        Refused,
        &[
            "COPY public.orders FROM PROGRAM 'touch MARK';",
            "COPY (SELECT 1) TO PROGRAM 'touch MARK';",
            "COPY public.orders TO 'MARK';",
            "/* x */ copy/**/public.orders FROM/**/\nPROGRAM E'touch MARK';",
            "COPY public.orders FROM '/etc/passwd';",
        ],
    ),
    case(
        "several statements that psql sends as one, behind a function called `begin`",
        Refused,
        &[
            "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1'; COPY orders FROM PROGRAM 'touch MARK'; SELECT 1 AS end;",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1 AS case; END; COPY orders FROM PROGRAM 'touch MARK'; SELECT 1 AS end;",
        ],
    ),
    case(
        "strings that begin to have escapes in the middle of a line",
        Refused,
        &["SET standard_conforming_strings = off; SELECT '\\'; \\! touch MARK; --';"],
    ),
    case(
        "encodings that hide quotes and backslashes, set openly",
        Refused,
        &[
            "SET client_encoding = 'SJIS';",
            "SET NAMES 'BIG5';",
            "\\encoding GBK",
            "SELECT pg_catalog.set_config('client_encoding', 'SJIS', false);",
        ],
    ),
    case(
        "encodings and strings with escapes, set behind our back by a function",
        Harmless,
        &[
            "DO $$BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END$$;\nSELECT '\\' AS a, '; \\! touch MARK\n';",
            "CREATE TABLE public.sly (t text DEFAULT set_config('standard_conforming_strings', 'off', false));\nINSERT INTO public.sly (t) VALUES (DEFAULT);\nINSERT INTO public.sly (t) VALUES ('\\'), ('; \\! touch MARK\n');\nDROP TABLE public.sly;",
            "UPDATE pg_settings SET setting = 'SJIS' WHERE name = 'client_encoding';\nSELECT 'あ' AS a, '; \\! touch MARK\n';",
            "DO $$BEGIN PERFORM set_config('client_encoding', 'SJIS', false); END$$;\n/* あ*/ SELECT 1; /*; \\! touch MARK\n*/",
            "DO $$BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END$$;\nBEGIN;\nROLLBACK;\nSELECT '\\' AS a, '; \\! touch MARK\n';",
        ],
    ),
    case(
        "what psqls of several versions cut differently: `1a$x$`, strings with escapes over lines",
        Refused,
        &["SELECT $1a$x$; \\! touch MARK\n$x$;", "SELECT E'a'\n'\\'; \\! touch MARK\n';"],
    ),
    case(
        "NUL bytes, among rows and elsewhere",
        Refused,
        &["SELECT 1;\0\\! touch MARK", "COPY public.orders FROM stdin;\n1\n\0\n\\.\n"],
    ),
    case("names in Unicode escapes", Refused, &["DROP DATABASE U&\"victi\\006d\";", "SELECT 1 AS u&\"x\";"]),
    case(
        "`ALTER SYSTEM`",
        Refused,
        &["ALTER SYSTEM SET archive_command = 'touch MARK';", "ALTER SYSTEM SET PAD archive_command = 'touch MARK';"],
    ),
    case(
        "prepared transactions",
        Refused,
        &["BEGIN;\nPREPARE TRANSACTION 'stays';", "BEGIN;\nPREPARE PAD TRANSACTION 'stays' PAD;"],
    ),
    case("`LOAD`", Refused, &["LOAD 'MARK';"]),
    case(
        "`DROP OWNED`, `REASSIGN OWNED`",
        Refused,
        &["REASSIGN OWNED BY shop TO postgres;", "DROP OWNED BY shop;", "REASSIGN OWNED BY PAD shop TO postgres;"],
    ),
    case(
        "a subscription that connects",
        Refused,
        &[
            "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p;",
            "CREATE SUBSCRIPTION s PAD CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p;",
            "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = 'x');\nALTER SUBSCRIPTION s ENABLE;",
        ],
    ),
    global(
        "roles made with their members: `CREATE ROLE … ROLE …`",
        Refused,
        &["CREATE ROLE pwned ROLE shop;\nALTER ROLE pwned SUPERUSER;", "CREATE ROLE pwned IN ROLE postgres;"],
    ),
    global(
        "statements before the first database of a dump of a whole server, other than of roles and tablespaces",
        Refused,
        &[
            "DO $$BEGIN EXECUTE 'CREATE ROLE pwned'; END$$;",
            "CREATE TABLE pwned (i int);",
            "SELECT pg_catalog.set_config('a.b', 'c', false) INTO TABLE pwned;",
            "SELECT set_config('a.b', 'c', false), lo_create(4711);",
            "SELECT pg_catalog.set_config('a.b', 'c', false), pg_catalog.\"set_config\"('standard_conforming_strings', 'off', false);",
        ],
    ),
    section(
        "strings with escapes in what is run apart from the dump's own session: of roles, a database's settings and comment",
        Harmless,
        &[
            "DO $$BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END$$;\nALTER DATABASE shop SET search_path TO '\\', '; \\! touch MARK\n';\nALTER DATABASE shop RESET search_path;",
            "DO $$BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END$$;\nCOMMENT ON DATABASE shop IS '\\; \\! touch MARK\n';",
            "SET standard_conforming_strings = off;\nALTER DATABASE shop SET a.b TO '\\'; \\! touch MARK\n';\nALTER DATABASE shop RESET a.b;\nCOMMENT ON DATABASE shop IS '\\'; \\! touch MARK\n';\nSET standard_conforming_strings = on;",
            "SET standard_conforming_strings = off;\nALTER DATABASE shop SET a.b TO '\\'; ALTER DATABASE victim RENAME TO pwned; --';\nALTER DATABASE shop RESET a.b;\nSET standard_conforming_strings = on;",
        ],
    ),
    global(
        "other databases: `DROP`, `CREATE`, `ALTER DATABASE`, `\\connect`",
        Harmless,
        &[
            "DROP DATABASE victim;",
            "ALTER DATABASE victim RENAME TO pwned;",
            "ALTER DATABASE victim SET search_path TO evil;",
            "CREATE DATABASE pwned;",
            "\\connect victim\nDROP TABLE kept;\n\\connect postgres\nCREATE TABLE pwned (i int);",
        ],
    ),
    global(
        "roles that exist: `ALTER`, `DROP`, `GRANT`, also as `CURRENT_USER`",
        Harmless,
        &[
            "ALTER ROLE shop SUPERUSER;",
            "ALTER ROLE CURRENT_USER PASSWORD 'pwned';",
            "DROP ROLE IF EXISTS bystander;",
            "GRANT postgres TO shop;",
            "GRANT postgres TO shop, CURRENT_USER;",
            "CREATE ROLE companion;\nGRANT postgres TO companion, shop;",
            "ALTER ROLE shop SET search_path TO evil;",
        ],
    ),
    global(
        "strings with escapes among the roles",
        Harmless,
        &[
            "CREATE ROLE companion;\nSET standard_conforming_strings = off;\nALTER ROLE companion SET a.b TO '\\'; \\! touch MARK\n';\nALTER ROLE companion SET a.b TO '\\'; CREATE ROLE pwned; --';\nSET standard_conforming_strings = on;",
        ],
    ),
    global("`CREATE TABLESPACE`", Harmless, &["CREATE TABLESPACE pwned LOCATION '/tmp';"]),
    case(
        "transactions: `BEGIN`, `COMMIT`, `ROLLBACK`",
        Harmless,
        &["BEGIN;\nCREATE TABLE public.lost (i int);\nROLLBACK;\nCOMMIT;"],
    ),
    case(
        "code: `DO`, functions in indexes, triggers, defaults and `SELECT`",
        Trusted,
        &[
            "DO $$BEGIN CREATE ROLE pwned; END$$;",
            "CREATE FUNCTION public.sly() RETURNS int LANGUAGE plpgsql AS $$BEGIN CREATE ROLE pwned; RETURN 1; END$$;\nSELECT public.sly();\nDROP FUNCTION public.sly();",
            "CREATE TABLE public.sly (i int);\nCREATE FUNCTION public.sly() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN CREATE ROLE pwned; RETURN new; END$$;\nCREATE TRIGGER sly BEFORE INSERT ON public.sly FOR EACH ROW EXECUTE FUNCTION public.sly();\nINSERT INTO public.sly VALUES (1);\nDROP TABLE public.sly;\nDROP FUNCTION public.sly();",
            "SELECT lo_from_bytea(77777, 'x');\nCREATE TABLE public.sly (i int);\nINSERT INTO public.sly VALUES (1);\nCREATE FUNCTION public.sly(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM lo_export(77777, 'SERVER'); RETURN i; END$$;\nCREATE INDEX by_sly ON public.sly (public.sly(i));\nDROP TABLE public.sly;\nDROP FUNCTION public.sly(int);\nDO $$BEGIN PERFORM lo_unlink(77777); END$$;",
        ],
    ),
    case(
        "programs and files of the server, from within such code",
        Trusted,
        &[
            "DO $$BEGIN EXECUTE 'COPY public.orders TO PROGRAM ''cat > /dev/null; touch SERVER'''; END$$;",
            "SELECT lo_from_bytea(77778, 'x');\nSELECT lo_export(77778, 'SERVER');\nDO $$BEGIN PERFORM lo_unlink(77778); END$$;",
        ],
    ),
    case(
        "other accounts, from the account that restores: `SET ROLE`, `SET SESSION AUTHORIZATION`",
        Trusted,
        &["SET SESSION AUTHORIZATION postgres;\nDO $$BEGIN CREATE ROLE pwned; END$$;\nRESET SESSION AUTHORIZATION;"],
    ),
    global(
        "new roles, with all that the dump says of them",
        Trusted,
        &["CREATE ROLE pwned;\nALTER ROLE pwned SUPERUSER LOGIN;"],
    ),
];
