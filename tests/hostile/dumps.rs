//! Dumps made to do harm, restored by psql that would run whatever command reached it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::cases::{CASES, Case, Place, Verdict};
use super::table::verdicts;
use crate::job::{Shop, old_clients};
use crate::support::bkp::{Bkp, Output};

/// A server with more on it than the shop, and client programs without `\restrict`: the last guard does not stand before the others.
struct Stage {
    shop: Shop,
    clients: PathBuf,
    /// A file that only a program of ours could make, and one that only the server could.
    marks: [PathBuf; 2],
}

impl Stage {
    fn set() -> Self {
        let shop = Shop::open_on(14);
        shop.cluster.psql("postgres", "CREATE ROLE bystander; CREATE DATABASE victim");
        shop.cluster.psql("victim", "CREATE TABLE kept AS SELECT 1 AS i");
        shop.cluster
            .psql("postgres", "CREATE ROLE few LOGIN PASSWORD 'few' CREATEDB; GRANT shop, pg_signal_backend TO few");
        let clients = old_clients(&shop);
        let marks = [shop.work.join("mark"), shop.cluster.server_dir("made").join("mark")];
        Self { shop, clients, marks }
    }

    /// The shop's dump with this in it.
    fn dump(&self, place: Place, evil: &str) -> Vec<u8> {
        let [ours, servers] = self.marks.each_ref().map(|mark| mark.display().to_string());
        let pad = format!("/*{}*/", "x".repeat(if evil.contains("PAD") { 1_100_000 } else { 0 }));
        let evil = evil.replace("MARK", &ours).replace("SERVER", &servers).replace("PAD", &pad);
        let text = |dump: Vec<u8>| String::from_utf8(dump).expect("UTF-8");
        let (dump, at) = match place {
            Place::Database => (text(self.shop.cluster.pg_dump("shop", [])), "\nCOPY "),
            Place::Section | Place::Globals => {
                let create = text(self.shop.cluster.pg_dump("shop", ["--create"]));
                let banner = "--\n-- PostgreSQL database cluster dump\n--\n";
                let end = "--\n-- PostgreSQL database cluster dump complete\n--\n";
                let at = if place == Place::Globals { "\n-- Databases" } else { "\nCOPY " };
                (format!("{banner}\n-- Databases\n\n{create}\n{end}"), at)
            }
        };
        let (before, after) = dump.split_at(dump.find(at).expect("a place"));
        format!("{before}\n{evil}\n{after}").into_bytes()
    }

    fn restore(&self, place: Place, evil: &str, account: &str) -> Output {
        self.shop.put("shop.sql", &self.dump(place, evil));
        self.shop.lose_orders();
        let bkp: Bkp = self.shop.bkp(["restore", "--allow-unproven"]).env("BKP_PG_BIN", &self.clients);
        match account {
            "postgres" => bkp.run(),
            account => bkp.env("POSTGRES_USER", account).env("POSTGRES_PASSWORD", account).run(),
        }
    }

    /// What would not be so if any of it had run.
    fn state(&self) -> String {
        let marks = self.marks.each_ref().map(|mark| mark.exists());
        let roles = "SELECT string_agg(rolname || rolsuper || coalesce(rolpassword, '') || coalesce(s.setconfig::text, ''), ' ' \
             ORDER BY rolname) FROM pg_authid LEFT JOIN pg_db_role_setting s ON setrole = pg_authid.oid \
             WHERE rolname <> 'companion'";
        let members = "SELECT string_agg(roleid::regrole || '>' || member::regrole, ' ' ORDER BY 1) FROM \
             (SELECT * FROM pg_auth_members WHERE roleid::regrole::text || member::regrole::text !~ 'companion') m";
        let databases = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname !~ '__was_'";
        let others = "SELECT count(*) FROM pg_db_role_setting WHERE setdatabase <> 0";
        let asked = [roles, members, databases, others, "SELECT count(*) FROM pg_prepared_xacts"]
            .map(|sql| self.shop.cluster.psql("postgres", sql));
        let tables = ["postgres", "victim"].map(|database| {
            self.shop
                .cluster
                .psql(database, "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public'")
        });
        format!("{marks:?} {asked:?} {tables:?}")
    }

    fn tidy(&self) {
        for mark in &self.marks {
            let _ = fs::remove_file(mark);
        }
        self.shop.cluster.psql("postgres", "DROP ROLE IF EXISTS pwned");
        for name in self.shop.databases_of_ours() {
            self.shop.cluster.psql("postgres", &format!("DROP DATABASE \"{name}\""));
        }
    }
}

fn of(verdict: Verdict) -> impl Iterator<Item = (&'static Case, &'static str)> {
    CASES
        .iter()
        .filter(move |case| case.verdict == verdict)
        .flat_map(|case| case.evils.iter().map(move |evil| (case, *evil)))
}

#[test]
fn the_doctor_tells_of_client_programs_without_the_second_guard() {
    let stage = Stage::set();
    let said = "lacks \\restrict";
    stage.shop.bkp(["doctor"]).env("BKP_PG_BIN", &stage.clients).run().says(said);
    stage.shop.bkp(["doctor"]).run().never_says(said);
}

#[test]
fn the_page_says_of_each_what_happens() {
    let told: BTreeMap<String, String> =
        CASES.iter().map(|case| (case.name.to_owned(), case.verdict.word().to_owned())).collect();
    assert_eq!(verdicts(), told);
}

#[test]
fn what_is_refused_fails_before_anything_is_made_and_names_its_line() {
    let stage = Stage::set();
    stage.shop.lose_orders();
    let (before, orders) = (stage.state(), stage.shop.orders());
    for (case, evil) in of(Verdict::Refused) {
        let out = stage.restore(case.place, evil, "postgres");
        assert!(out.code == 5 && out.stderr.contains("line "), "{} {evil:?}: {out:?}", case.name);
        assert_eq!(stage.state(), before, "{evil:?}");
        assert!(stage.shop.databases_of_ours().is_empty(), "{evil:?}");
    }
    assert_eq!(stage.shop.orders(), orders);
}

#[test]
fn what_is_harmless_has_no_effect_and_the_rest_of_the_dump_comes_back() {
    let stage = Stage::set();
    let (before, orders) = (stage.state(), stage.shop.orders());
    for (case, evil) in of(Verdict::Harmless) {
        let out = stage.restore(case.place, evil, "postgres");
        assert_eq!(out.code, 0, "{} {evil:?}: {out:?}", case.name);
        assert_eq!(stage.state(), before, "{evil:?}");
        assert_eq!(stage.shop.orders(), orders, "{evil:?}");
        stage.tidy();
    }
}

#[test]
fn what_runs_has_the_rights_of_the_account_and_no_more() {
    let stage = Stage::set();
    let before = stage.state();
    for (case, evil) in of(Verdict::Trusted) {
        let out = stage.restore(case.place, evil, "few");
        assert_eq!(out.code, 1, "{} {evil:?}: {out:?}", case.name);
        assert_eq!(stage.state(), before, "{evil:?}");
        assert!(stage.shop.databases_of_ours().is_empty(), "{evil:?}");
        // And as a superuser it does what it says: this is what a restore trusts.
        let out = stage.restore(case.place, evil, "postgres");
        assert_eq!(out.code, 0, "{} {evil:?}: {out:?}", case.name);
        assert_ne!(stage.state(), before, "{evil:?}");
        stage.tidy();
        assert_eq!(stage.state(), before, "{evil:?}");
    }
}

#[test]
fn a_load_in_place_is_ended_by_us_alone() {
    let stage = Stage::set();
    stage.shop.cluster.psql("postgres", "ALTER ROLE shop PASSWORD 'shop'");
    let orders = stage.shop.orders();
    let off = "DO $$BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END$$;";
    for evil in [
        "COMMIT;\nSELECT 1/0;".to_owned(),
        "SAVEPOINT a;\nROLLBACK TO a;\nSELECT 1/0;".to_owned(),
        "DO $$BEGIN COMMIT; END$$;".to_owned(),
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN COMMIT; END$$;\nCALL p();".to_owned(),
        format!("{off}\nSELECT '\\' AS a, '; COMMIT; \\! touch MARK\n';\nSELECT 1/0;"),
        format!("{off}\nINSERT INTO customers (name) VALUES ('\\'), ('; COMMIT; \\! touch MARK\n');\nSELECT 1/0;"),
        "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1'; COMMIT; SELECT 1/0; SELECT 1 AS end;"
            .to_owned(),
    ] {
        stage.shop.put("shop.sql", &stage.dump(Place::Database, &evil));
        let bkp = stage.shop.bkp(["restore", "--allow-unproven"]).env("BKP_PG_BIN", &stage.clients);
        let out = bkp.env("POSTGRES_USER", "shop").env("POSTGRES_PASSWORD", "shop").env("BKP_SAFETY_BACKUP", "0").run();
        assert!(out.code != 0 && !stage.marks[0].exists(), "{evil}: {out:?}");
        assert_eq!(stage.shop.orders(), orders, "{evil}");
    }
}

#[test]
fn a_dump_as_an_attacker_would_gzip_it_is_no_other_dump() {
    // Cut, filled up, and with a second member behind the first: all is read, and what is behind counts.
    let stage = Stage::set();
    let good = crate::job::gzip(&stage.shop.cluster.pg_dump("shop", []));
    let evil = crate::job::gzip(format!("\\! touch {}\n", stage.marks[0].display()).as_bytes());
    let put = |stored: &[u8]| stage.shop.put("shop.sql.gz", stored);
    for stored in [[good.as_slice(), &evil].concat(), [good.as_slice(), b"\0\0trailing"].concat()] {
        put(&stored);
        let out = stage.shop.bkp(["restore", "--allow-unproven"]).env("BKP_PG_BIN", &stage.clients).run();
        assert_ne!(out.code, 0, "{out:?}");
        assert!(!Path::new(&stage.marks[0]).exists());
    }
}
