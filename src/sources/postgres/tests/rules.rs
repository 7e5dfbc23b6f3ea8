//! Each rule by itself.

use super::golden::strict;
use super::*;
use crate::sources::postgres::name::Name;
use crate::sources::postgres::rewrite::{Purpose, RoleMode, RolePolicy};

fn rewritten(policy: Policy, input: &str) -> String {
    let keep = if policy.purpose == Purpose::Store { Keep::Meta } else { Keep::Nothing };
    let (out, _) = filter(policy, keep, input.as_bytes(), 11).expect("a dump");
    String::from_utf8_lossy(&out).into_owned()
}

fn replay(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = strict();
    change(&mut policy);
    policy
}

#[test]
fn memberships_lose_what_the_server_does_not_know() {
    let superuser = || replay(|p| p.roles.superuser = true);
    for (input, expected) in [
        (
            "GRANT reader TO new WITH ADMIN OPTION, INHERIT TRUE, SET FALSE GRANTED BY admin;",
            "GRANT reader TO new WITH ADMIN OPTION GRANTED BY admin;",
        ),
        ("GRANT reader TO new WITH INHERIT TRUE GRANTED BY nobody;", "GRANT reader TO new;"),
        ("GRANT reader TO new WITH INHERIT FALSE, ADMIN TRUE;", "GRANT reader TO new WITH ADMIN OPTION;"),
        (
            "GRANT reader TO new WITH ADMIN OPTION GRANTED BY grp;",
            "GRANT reader TO new WITH ADMIN OPTION GRANTED BY grp;",
        ),
        ("GRANT reader TO grp;", "-- bkp: GRANT reader TO grp;\n"),
        ("GRANT pg_monitor TO grp;", "-- bkp: GRANT pg_monitor TO grp;\n"),
        ("GRANT pg_monitor TO \"with\";", "GRANT pg_monitor TO \"with\";"),
        ("REVOKE ADMIN OPTION FOR a FROM b GRANTED BY nobody;", "REVOKE ADMIN OPTION FOR a FROM b;"),
    ] {
        assert_eq!(rewritten(superuser(), input), expected);
    }
    let modern = replay(|p| (p.server_major, p.roles.superuser) = (Some(17), true));
    let new = "GRANT reader TO new WITH ADMIN OPTION, INHERIT TRUE, SET FALSE GRANTED BY grp;";
    assert_eq!(rewritten(modern.clone(), new), new);
    assert_eq!(rewritten(modern, "GRANT reader TO new GRANTED BY grp;"), "GRANT reader TO new;");
}

#[test]
fn what_is_the_providers_stays_and_all_else_passes() {
    let provided = || {
        replay(|p| {
            p.provided_schemas = ["public", "the Provider's"].map(Name::from).into();
            p.provided_extensions = [Name::from("plpgsql")].into();
        })
    };
    for gone in [
        "COMMENT ON SCHEMA public IS 'x';",
        "COMMENT ON EXTENSION plpgsql IS 'x';",
        "SECURITY LABEL FOR p ON SCHEMA public IS 'x';",
        "SECURITY LABEL ON EXTENSION plpgsql IS 'x';",
        "GRANT ALL ON SCHEMA public TO reader;",
        "REVOKE USAGE ON SCHEMA \"the Provider's\" FROM PUBLIC;",
        "ALTER SCHEMA \"the Provider's\" OWNER TO reader;",
        "CREATE SCHEMA \"the Provider's\";",
        "DROP SCHEMA IF EXISTS \"the Provider's\";",
    ] {
        assert_eq!(rewritten(provided(), gone), format!("-- bkp: {gone}\n"));
    }
    for kept in [
        "COMMENT ON SCHEMA ours IS 'on schema public';",
        "COMMENT ON TABLE public.schema IS 'x';",
        "GRANT SELECT ON TABLE public.t TO reader;",
        "GRANT ALL ON SCHEMA ours TO reader;",
        "CREATE SCHEMA \"Public\";",
        "CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog;",
        "SECURITY LABEL ON TABLE public.t IS 'x';",
    ] {
        assert_eq!(rewritten(provided(), kept), kept);
    }
}

#[test]
fn attributes_beyond_our_rights_are_left_out() {
    let input = "CREATE ROLE new;\nALTER ROLE new WITH SUPERUSER INHERIT NOCREATEROLE LOGIN NOREPLICATION BYPASSRLS PASSWORD 'SUPERUSER' VALID UNTIL 'x';\n";
    let expected =
        "CREATE ROLE new;\nALTER ROLE new WITH INHERIT NOCREATEROLE LOGIN PASSWORD 'SUPERUSER' VALID UNTIL 'x';\n";
    assert_eq!(rewritten(strict(), input), expected);
    assert_eq!(rewritten(replay(|p| p.roles.superuser = true), input), input);
    let all = "ALTER ROLE \"superuser\" WITH NOSUPERUSER;\n";
    assert_eq!(rewritten(strict(), all), "ALTER ROLE \"superuser\" WITH;\n");
}

#[test]
fn existing_roles_change_only_when_all_are_asked_for_and_the_connecting_one_never() {
    let input = "CREATE ROLE reader;\nALTER ROLE reader WITH LOGIN;\nALTER ROLE admin WITH LOGIN;\nCOMMENT ON ROLE reader IS 'x';\nALTER ROLE ALL SET work_mem TO '1MB';\n";
    let missing = rewritten(strict(), input);
    assert!(missing.lines().all(|line| line.starts_with("-- bkp: ")), "{missing}");
    let all = rewritten(replay(|p| p.roles.mode = RoleMode::All), input);
    let runs: Vec<_> = all.lines().filter(|line| !line.starts_with("-- bkp: ")).collect();
    assert_eq!(
        runs,
        ["ALTER ROLE reader WITH LOGIN;", "COMMENT ON ROLE reader IS 'x';", "ALTER ROLE ALL SET work_mem TO '1MB';"]
    );
    let none = "CREATE ROLE new;\nGRANT new TO reader;\nALTER ROLE new SET work_mem TO '1MB';\n";
    let none = rewritten(replay(|p| p.roles.mode = RoleMode::None), none);
    assert!(none.lines().all(|line| line.starts_with("-- bkp: ")), "{none}");
}

#[test]
fn at_backup_time_other_roles_leave_no_trace() {
    let policy = Policy {
        roles: RolePolicy { only: Some(names(&["shop", "reader"])), ..RolePolicy::default() },
        ..Policy::default()
    };
    let input = "\\restrict K\nCREATE ROLE shop;\nCREATE ROLE other;\nALTER ROLE other WITH LOGIN PASSWORD 'hash';\nALTER ROLE other SET a TO 'b';\n\
        GRANT reader TO shop GRANTED BY other;\nGRANT other TO shop;\nALTER ROLE other IN DATABASE x SET a TO b;\nDROP ROLE other;\n\\unrestrict K\n";
    let expected = "\\restrict K\nCREATE ROLE shop;\nGRANT reader TO shop;\n\\unrestrict K\n";
    assert_eq!(rewritten(policy, input), expected);
}

#[test]
fn unknown_parameters_are_commented_out() {
    let input = "SET transaction_timeout = 0;\nSET work_mem = '1MB';\nSET app.tenant = 'x';\nALTER ROLE new SET transaction_timeout TO '1';\n\
        ALTER DATABASE d SET transaction_timeout TO '1';\nALTER ROLE new IN DATABASE d SET transaction_timeout TO '1';\n";
    let out = rewritten(strict(), input);
    let runs: Vec<_> = out.lines().filter(|line| !line.starts_with("-- bkp: ")).collect();
    assert_eq!(runs, ["SET work_mem = '1MB';", "SET app.tenant = 'x';"]);
}

#[test]
fn missing_tablespaces_become_the_default() {
    for (input, expected) in [
        ("SET default_tablespace = fast;\n", "SET default_tablespace = '';\n"),
        ("SET default_tablespace = '';\n", "SET default_tablespace = '';\n"),
        (
            "CREATE INDEX i ON t (a) TABLESPACE fast WHERE (tablespace = 1);\n",
            "CREATE INDEX i ON t (a) WHERE (tablespace = 1);\n",
        ),
        (
            "CREATE TABLE t (tablespace int, UNIQUE (a) USING INDEX TABLESPACE pg_default) TABLESPACE \"fast\";\n",
            "CREATE TABLE t (tablespace int, UNIQUE (a) USING INDEX TABLESPACE pg_default);\n",
        ),
        (
            "CREATE MATERIALIZED VIEW m TABLESPACE fast AS SELECT 1 tablespace fast;\n",
            "CREATE MATERIALIZED VIEW m AS SELECT 1 tablespace fast;\n",
        ),
        ("ALTER TABLE t SET TABLESPACE fast;\n", "-- bkp: ALTER TABLE t SET TABLESPACE fast;\n"),
        ("create table t (a int) Tablespace fast;\n", "create table t (a int);\n"),
        ("CREATE TABLESPACE fast OWNER a LOCATION '/x';\n", "-- bkp: CREATE TABLESPACE fast OWNER a LOCATION '/x';\n"),
        ("CREATE DATABASE d TABLESPACE = fast ENCODING = 'UTF8';\n", "CREATE DATABASE d ENCODING = 'UTF8';\n"),
        ("ALTER DATABASE d SET TABLESPACE fast;\n", "-- bkp: ALTER DATABASE d SET TABLESPACE fast;\n"),
    ] {
        assert_eq!(rewritten(strict(), input), expected);
    }
}

#[test]
fn old_servers_get_no_new_locale_options() {
    let input = "CREATE DATABASE d WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LC_COLLATE = 'C' CONNECTION LIMIT = -1 ICU_RULES = 'x';\n";
    let expected =
        "CREATE DATABASE d WITH TEMPLATE = template0 ENCODING = 'UTF8' LC_COLLATE = 'C' CONNECTION LIMIT = -1;\n";
    assert_eq!(rewritten(strict(), input), expected);
    assert_eq!(rewritten(replay(|p| p.server_major = Some(18)), input), input);
}

#[test]
fn a_new_database_is_no_copy_and_rights_on_several_at_once_are_nobodys() {
    for (input, expected) in [
        (
            "CREATE DATABASE d TEMPLATE = victim ENCODING = 'UTF8';",
            "CREATE DATABASE d TEMPLATE = template0 ENCODING = 'UTF8';",
        ),
        ("CREATE DATABASE d TEMPLATE 'victim';", "CREATE DATABASE d TEMPLATE template0;"),
        ("CREATE DATABASE d TEMPLATE template1;", "CREATE DATABASE d TEMPLATE template1;"),
        ("GRANT ALL ON DATABASE d, victim TO evil;", "-- bkp: GRANT ALL ON DATABASE d, victim TO evil;\n"),
        ("DROP SUBSCRIPTION s;", "-- bkp: DROP SUBSCRIPTION s;\n"),
    ] {
        assert_eq!(rewritten(replay(|_| {}), input), expected);
    }
}

#[test]
fn drops_in_a_new_database_are_conditional() {
    for (input, expected) in [
        ("DROP TABLE public.t;", "DROP TABLE IF EXISTS public.t;"),
        ("DROP USER MAPPING FOR shop SERVER s;", "DROP USER MAPPING IF EXISTS FOR shop SERVER s;"),
        ("DROP OPERATOR CLASS a.b USING btree;", "DROP OPERATOR CLASS IF EXISTS a.b USING btree;"),
        ("DROP OPERATOR public.= (a, b);", "DROP OPERATOR IF EXISTS public.= (a, b);"),
        ("DROP CAST (a AS b);", "DROP CAST IF EXISTS (a AS b);"),
        ("DROP TRANSFORM FOR a LANGUAGE b;", "DROP TRANSFORM IF EXISTS FOR a LANGUAGE b;"),
        ("DROP TEXT SEARCH CONFIGURATION a.b;", "DROP TEXT SEARCH CONFIGURATION IF EXISTS a.b;"),
        (
            "ALTER TABLE ONLY public.t DROP CONSTRAINT t_pkey;",
            "ALTER TABLE IF EXISTS ONLY public.t DROP CONSTRAINT IF EXISTS t_pkey;",
        ),
        ("alter table t Drop constraint c;", "alter table IF EXISTS t Drop constraint IF EXISTS c;"),
        (
            "ALTER TABLE public.t ALTER COLUMN id DROP DEFAULT;",
            "ALTER TABLE IF EXISTS public.t ALTER COLUMN id DROP DEFAULT;",
        ),
        ("SELECT pg_catalog.lo_unlink('1');", "-- bkp: SELECT pg_catalog.lo_unlink('1');\n"),
    ] {
        assert_eq!(rewritten(strict(), input), expected);
    }
}

#[test]
fn what_belongs_to_the_provider_is_left_alone() {
    assert_eq!(
        rewritten(strict(), "COMMENT ON EXTENSION pg_trgm IS 'x';\n"),
        "-- bkp: COMMENT ON EXTENSION pg_trgm IS 'x';\n"
    );
    let create = "CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;\n";
    assert_eq!(rewritten(strict(), create), create);
    assert_eq!(
        rewritten(strict(), "GRANT SET ON PARAMETER log_statement TO new;\n"),
        "-- bkp: GRANT SET ON PARAMETER log_statement TO new;\n"
    );
}

#[test]
fn a_commented_statement_in_the_middle_of_a_line_leaves_its_neighbours_alone() {
    assert_eq!(
        rewritten(strict(), "SELECT 1; DROP ROLE a; SELECT 2;\n"),
        "SELECT 1; -- bkp: DROP ROLE a;\n SELECT 2;\n"
    );
}
