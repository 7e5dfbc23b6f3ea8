//! Statements that fail: all told at once, none of the rows behind them ever run, and the live data as it was.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::producers::clients_with;
use super::{Shop, gzip};
use crate::support::bkp::{Bkp, Output};

/// A dump of the shop with statements before its first COPY and after its last one; gives the lines where they begin.
fn with(shop: &Shop, before: &str, after: &str) -> (usize, usize) {
    let dump = String::from_utf8(shop.cluster.pg_dump("shop", [])).expect("UTF-8");
    let (first, last) = (dump.find("\nCOPY ").expect("rows") + 1, dump.rfind("\n\\.\n").expect("rows") + 4);
    let sql = format!("{}{before}\n{}{after}\n{}", &dump[..first], &dump[first..last], &dump[last..]);
    shop.put("shop.sql.gz", &gzip(sql.as_bytes()));
    let lines = |text: &str| text.matches('\n').count() + 1;
    (lines(&dump[..first]), lines(&dump[..last]) + lines(before))
}

/// A restore that fails, after which nothing has changed and nothing is left.
#[track_caller]
fn changes_nothing(shop: &Shop, restore: Bkp) -> Output {
    shop.lose_orders();
    let roles = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles";
    let (orders, roles_before) = (shop.orders(), shop.cluster.psql("postgres", roles));
    let out = restore.run().fails_with(1);
    assert_eq!(shop.orders(), orders);
    assert_eq!(shop.cluster.psql("postgres", roles), roles_before);
    assert!(shop.databases_of_ours().is_empty(), "{:?}", shop.databases_of_ours());
    out
}

fn says_in_order(out: &Output, texts: &[&str]) {
    let mut rest = out.stderr.as_str();
    for text in texts {
        let at = rest.find(text).unwrap_or_else(|| panic!("does not say {text:?} there: {}", out.stderr));
        rest = &rest[at + text.len()..];
    }
}

/// Client programs of a version whose psql runs whatever command it is given. Up to 14 psql reads the rows of a failed COPY as if they
/// were its script; later ones pass them over.
pub(crate) fn old_clients(shop: &Shop) -> PathBuf {
    let clients = clients_with(shop, "psql", "exec $REAL \"$@\"");
    fs::write(clients.join("pg_dump"), "#!/bin/sh\necho 'pg_dump (PostgreSQL) 14.3'\n").expect("a script");
    clients
}

#[test]
fn three_extensions_that_cannot_be_made_are_told_in_one_run_and_no_row_is_loaded() {
    let shop = Shop::open();
    // They are all there, but not in these versions: nobody can tell before it is tried.
    let before = "CREATE EXTENSION hstore VERSION '99';\nCREATE EXTENSION citext VERSION '99';\n\
                  CREATE TABLE public.words (h public.hstore);\nALTER TABLE public.words OWNER TO shop;\n\
                  CREATE EXTENSION ltree\n VERSION '99';";
    let (line, _) = with(&shop, before, "CREATE INDEX never ON public.nosuch (i);");
    let out = changes_nothing(&shop, shop.bkp(["restore"]));
    let places = [line, line + 1, line + 4].map(|line| format!("- line {line} of the dump: ERROR:  22023"));
    says_in_order(&out, &["3 statements failed, and 2 that follow from these", &places[0], &places[1], &places[2]]);
    out.says("(CREATE EXTENSION hstore VERSION)").says("(CREATE EXTENSION ltree VERSION)").never_says("nosuch");
}

#[test]
fn a_missing_role_a_failing_index_and_a_failing_key_are_told_together() {
    let shop = Shop::open();
    shop.cluster.psql("shop", "ALTER TABLE orders ADD COLUMN dup int DEFAULT 1");
    let after = "DO $$BEGIN GRANT SELECT ON public.orders TO lost; END$$;\n\
                 CREATE UNIQUE INDEX once ON public.orders USING btree (dup);\n\
                 ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT to_nobody FOREIGN KEY (dup) REFERENCES public.nobody(id);\n\
                 CREATE VIEW public.seen AS SELECT hidden FROM public.orders;\n\
                 GRANT SELECT ON public.seen TO shop;\n\
                 BEGIN;\nSELECT 1/0;\nCREATE TABLE public.x (i int);\nCOMMIT;";
    let (_, line) = with(&shop, "", after);
    let out = changes_nothing(&shop, shop.bkp(["restore"]));
    says_in_order(
        &out,
        &[
            "5 statements failed, and 2 that follow from these",
            &format!("- line {line} of the dump: ERROR:  42704: role \"lost\" does not exist"),
            &format!("- line {} of the dump: ERROR:  23505", line + 1),
            "(CREATE UNIQUE INDEX once ON public.orders",
            &format!("- line {} of the dump: ERROR:  42P01: relation \"public.nobody\" does not exist", line + 2),
            "ADD CONSTRAINT to_nobody",
            &format!("- line {} of the dump: ERROR:  42703", line + 4),
            &format!("- line {} of the dump: ERROR:  22012", line + 7),
            "hint: ",
        ],
    );
    assert_eq!(out.stderr.matches("hint: rows of the dump break").count(), 1);
}

#[test]
fn rows_of_a_table_that_could_not_be_made_are_never_read_as_commands_or_statements() {
    for (major, is_old) in [(14, true), (14, false), (18, false)] {
        let shop = Shop::open_on(major);
        let clients = if is_old { Some(old_clients(&shop)) } else { None };
        let restore = || match &clients {
            Some(clients) => shop.bkp(["restore"]).env("BKP_PG_BIN", clients),
            None => shop.bkp(["restore"]),
        };
        let file = shop.work.join("touched");
        let rows =
            format!("\\! touch {0}\nCREATE ROLE pwned;\nSELECT 1; \\! touch {0}\n\\unrestrict x\n", file.display());
        for table in ["CREATE TABLE public.bad (i nowhere);", "CREATE TABLE public.bad (j text);"] {
            with(&shop, &format!("{table}\nCOPY public.bad (i) FROM stdin;\n{rows}\\.\n"), "");
            let out = changes_nothing(&shop, restore());
            out.never_says("pwned").says("of the dump: ERROR:  42");
            assert!(!file.exists(), "a row was run");
        }
        // And after rows, where statements are collected again.
        with(&shop, "", &format!("CREATE TABLE public.bad (i nowhere);\nCOPY public.bad (i) FROM stdin;\n{rows}\\.\n"));
        changes_nothing(&shop, restore()).never_says("pwned").says("42704");
        assert!(!file.exists(), "a row was run");
        // What is in order comes back by the same way.
        with(
            &shop,
            "CREATE TABLE public.good (i int);\nCOPY public.good (i) FROM stdin;\n7\n\\.\n",
            "CREATE VIEW public.v AS SELECT 1;",
        );
        restore().run().ok();
        assert_eq!(shop.cluster.psql("shop", "SELECT i FROM good, v").trim(), "7");
    }
}

#[test]
fn the_first_error_among_rows_ends_the_load_with_row_and_column() {
    let shop = Shop::open();
    let rows = "CREATE TABLE public.few (i int, t text);\nCOPY public.few (i, t) FROM stdin;\n1\ta\nx7hush\tb\n\\.\n";
    let (line, _) = with(&shop, rows, "CREATE TABLE public.later (i nowhere);");
    let out = changes_nothing(&shop, shop.bkp(["restore"]));
    let out = out.says(&format!("failed: line {} of the dump: ERROR", line + 3));
    out.says("22P02")
        .says("COPY few, row 2, column i")
        .says("(COPY public.few)")
        .never_says("x7hush")
        .never_says("nowhere");
    let inserts = "CREATE TABLE public.few (i int);\nINSERT INTO public.few VALUES (1);\nINSERT INTO public.few VALUES ('x7hush');\n\
                   INSERT INTO public.few VALUES ('x7hush');";
    let (line, _) = with(&shop, inserts, "");
    let out = changes_nothing(&shop, shop.bkp(["restore"]));
    out.says(&format!("failed: line {} of the dump: ERROR:  22P02", line + 2)).never_says("x7hush");
}

#[test]
fn ten_thousand_failures_make_a_short_report() {
    let shop = Shop::open();
    let many: String = (0..10_000).map(|i| format!("CREATE TABLE public.t{i} (i type_{});\n", i % 200)).collect();
    with(&shop, &many, "");
    let out = changes_nothing(&shop, shop.bkp(["restore"]));
    assert!(out.stderr.len() < 12_000 && out.stderr.lines().count() < 80, "{}", out.stderr);
    out.says("10000 statements failed").says("and 49 more like it").says("- and 7500 more, not listed");
}

#[test]
fn what_fails_and_is_harmless_is_spared_and_its_neighbours_are_not() {
    // On 14 the schema public is the superuser's.
    let shop = Shop::open_on(14);
    shop.cluster.psql("postgres", "ALTER ROLE shop CREATEDB PASSWORD 'pw'");
    let orders = shop.orders();
    let as_shop = || shop.bkp(["restore"]).env("POSTGRES_USER", "shop").env("POSTGRES_PASSWORD", "pw");
    let brings_back = |restore: Bkp| {
        shop.lose_orders();
        let out = restore.run().ok();
        assert_eq!(shop.orders(), orders);
        for name in shop.databases_of_ours() {
            shop.cluster.psql("postgres", &format!("DROP DATABASE \"{name}\""));
        }
        out
    };
    with(&shop, "CREATE SCHEMA public;", "");
    brings_back(shop.bkp(["restore"])).says("(CREATE SCHEMA public): not taken for a failure");
    // From an account that is none these never come to the server: what is the provider's stays.
    let harmless = "CREATE SCHEMA public;\nCOMMENT ON SCHEMA public IS 'standard public schema';\n\
                    COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';";
    with(&shop, harmless, "");
    brings_back(as_shop()).says("rewritten: COMMENT ON EXTENSION plpgsql IS").never_says("not taken for a failure");
    for (neighbour, code) in [
        ("CREATE SCHEMA s;\nCREATE SCHEMA s;", "42P06"),
        ("CREATE SCHEMA public AUTHORIZATION shop;", "42P06"),
        ("COMMENT ON LANGUAGE plpgsql IS 'x';", "42501"),
        ("COMMENT ON EXTENSION nosuch IS 'x';", "42704"),
        // In a transaction all that stands with it is lost.
        ("BEGIN;\nCREATE SCHEMA public;\nCREATE TABLE public.x (i int);\nCOMMIT;", "42P06"),
        ("BEGIN;\nCREATE TABLE public.x (i int);\nCREATE SCHEMA public;\nCOMMIT;", "42P06"),
    ] {
        with(&shop, &format!("CREATE SCHEMA public;\n{neighbour}"), "");
        let restore = if code == "42501" { as_shop() } else { shop.bkp(["restore"]) };
        changes_nothing(&shop, restore).says(code).says("failed: line");
    }
}

#[test]
fn a_machine_is_told_the_same_by_the_log_and_by_a_drills_evidence() {
    let shop = Shop::open();
    let (line, _) = with(&shop, "CREATE TABLE public.a (i nowhere);\nCREATE SEQUENCE public.s AS text;", "");
    let out = changes_nothing(&shop, shop.bkp(["restore"]).env("BKP_LOG", "json"));
    let lines: Vec<Value> = out.stderr.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<&Value> = lines.iter().filter(|line| line["code"].is_string()).collect();
    assert_eq!(told.len(), 2, "{}", out.stderr);
    for (told, (at, code, kind, name)) in
        told.iter().zip([(line, "42704", "TABLE", "public.a"), (line + 1, "22023", "SEQUENCE", "public.s")])
    {
        let found = (told["line"].as_u64(), told["code"].as_str(), told["kind"].as_str(), told["name"].as_str());
        assert_eq!(found, (Some(at as u64), Some(code), Some(kind), Some(name)), "{told}");
    }
}

#[test]
fn a_drill_shows_every_statement_that_failed() {
    let shop = Shop::open();
    shop.cluster.psql("shop", "CREATE FUNCTION twice(i int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2 * i'");
    // Indexes that the saved server has and no other could make: what they are of was changed behind their back.
    shop.cluster.psql("shop", "CREATE INDEX one ON orders (twice(1)); CREATE INDEX two ON customers (twice(2))");
    shop.cluster.psql("shop", "UPDATE pg_proc SET prosrc = 'SELECT 1 / (i - i)' WHERE proname = 'twice'");
    shop.bkp(["backup"]).run().ok();
    let path = shop.work.join("evidence.json");
    let out = shop.bkp(["drill", "--evidence"]).args([&path]).run().fails_with(5);
    let shown: Value = serde_json::from_slice(&fs::read(&path).expect("evidence")).expect("JSON");
    let names: Vec<&Value> =
        shown["failed"]["listed"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["one", "two"], "{shown}");
    assert_eq!(shown["result"], "failed");
    out.says("2 statements failed");
}

#[test]
fn what_the_operator_takes_back_ends_the_load_at_once() {
    let shop = Shop::open();
    let after = "SET statement_timeout = 50;\nCREATE VIEW public.slow AS SELECT 1;\nSELECT pg_sleep(20);\n\
                 SET statement_timeout = 0;\nCREATE TABLE public.a (i nowhere);";
    with(&shop, "", after);
    changes_nothing(&shop, shop.bkp(["restore"])).says("57014").never_says("nowhere");
}

#[test]
fn a_role_that_cannot_be_made_is_named_without_its_password() {
    let shop = Shop::open();
    let globals =
        "CREATE ROLE clerk;\nALTER ROLE clerk WITH LOGIN PASSWORD 'hush'\n CONNECTION LIMIT -7;\n\\connect shop\n";
    let sql = [globals.as_bytes(), &shop.cluster.pg_dump("shop", ["--restrict-key=x"])].concat();
    shop.put("db_dump-20250101_000000.bak", &sql);
    for restore in [shop.bkp(["restore", "--only", "roles"]), shop.bkp(["restore"])] {
        let out = changes_nothing(&shop, restore);
        out.says("failed: ERROR:  22023").says("(ALTER ROLE clerk WITH LOGIN PASSWORD)").never_says("hush");
    }
}

#[test]
fn warnings_in_a_language_that_nobody_reads_fail_nothing() {
    let shop = Shop::open();
    with(&shop, "", "DO $$BEGIN RAISE WARNING 'by the way'; END$$;");
    let german = "exec bash -c '\"$0\" \"$@\" 2> >(sed -u \"s/ WARNING: / WARNUNG: /\" >&2) \
                  > >(sed -u \"s/speaks .*/speaks de_DE.UTF-8/\")' $REAL \"$@\"";
    shop.bkp(["restore"]).env("BKP_PG_BIN", clients_with(&shop, "psql", german)).run().ok();
}

#[test]
fn a_database_whose_dropping_was_broken_off_is_dropped_by_the_next_run() {
    let shop = Shop::open();
    // As a server leaves it that has no space, or ends, in the middle of DROP DATABASE; whoever alters such a one loses the session.
    let name = "shop__bkp_20261121T231004Z-7f3a9c";
    let broken_off = format!("UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{name}'");
    shop.cluster.psql("postgres", &format!("CREATE DATABASE \"{name}\";\n{broken_off}"));
    shop.bkp(["backup"]).run().ok().never_says("cannot be dropped");
    assert!(!shop.cluster.databases().iter().any(|there| there == name));
}
