//! No password, key or row in what bkp says, however much it is asked to say; and none where other users can read it.

use std::fmt::Write;

use super::bucket::credentials::{behind, key_file};
use super::producers::recording_clients;
use super::{Shop, gzip};
use crate::support::bkp::{Bkp, Output};
use crate::support::gcs::{Gcs, Proxy};

/// Values that must be nowhere.
struct Canaries(Vec<String>);

const LOGIN: &str = "c4n4ry-login-'x y\\";
const ROLE: &str = "c4n4ry-role";
const MAPPING: &str = "c4n4ry-mapping";
const ROW: &str = "c4n4ry-row";
const AWS_KEY: &str = "c4n4ry-aws-secret";
const AWS_TOKEN: &str = "c4n4ry-aws-session";
const AZURE_KEY: &str = "YzRuNHJ5LWF6dXJlLWtleQ==";
const SAS: &str = "sv=2022-11-02&sig=c4n4rysas";

impl Canaries {
    fn usual() -> Self {
        Self([LOGIN, ROLE, MAPPING, ROW, AWS_KEY, AWS_TOKEN, AZURE_KEY, "c4n4ry"].map(str::to_owned).to_vec())
    }

    /// Neither in what a run said, nor in the arguments of a child.
    #[track_caller]
    fn are_not_said(&self, out: &Output) {
        for canary in &self.0 {
            let at = [&out.stdout, &out.stderr].into_iter().find_map(|said| Some((said, said.find(canary.as_str())?)));
            if let Some((said, at)) = at {
                let from = said[..at].rfind('\n').map_or(0, |line| line + 1);
                panic!("{canary} was said: {}", said[from..].lines().next().unwrap_or_default());
            }
        }
    }
}

/// A shop whose superuser, roles, user mappings and rows hold canaries.
fn shop_with_canaries() -> (Shop, Canaries) {
    let shop = Shop::open();
    let quoted = LOGIN.replace('\'', "''");
    shop.cluster.psql(
        "postgres",
        &format!(
            "CREATE ROLE canary_admin SUPERUSER LOGIN PASSWORD '{quoted}'; CREATE ROLE canary LOGIN PASSWORD '{ROLE}'"
        ),
    );
    shop.cluster.psql(
        "shop",
        &format!(
            "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
             CREATE USER MAPPING FOR canary SERVER s OPTIONS (password '{MAPPING}');
             CREATE TABLE secrets (t text); INSERT INTO secrets VALUES ('{ROW}'); GRANT SELECT ON secrets TO canary"
        ),
    );
    let mut canaries = Canaries::usual();
    let stored = shop.cluster.psql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname LIKE 'canary%'");
    canaries.0.extend(stored.lines().map(|verifier| verifier.rsplit('$').next().unwrap_or(verifier).to_owned()));
    (shop, canaries)
}

/// bkp with canaries in every setting that holds a secret, as talkative as it can be.
fn talkative(bkp: Bkp) -> Bkp {
    let bkp = bkp.env("POSTGRES_USER", "canary_admin").env("POSTGRES_PASSWORD", LOGIN).env("RUST_LOG", "trace");
    let bkp = bkp.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", AWS_KEY);
    let bkp = bkp.env("AWS_SESSION_TOKEN", AWS_TOKEN).env("AZURE_STORAGE_ACCOUNT", "account");
    bkp.env("AZURE_STORAGE_KEY", AZURE_KEY).env("AZURE_STORAGE_SAS_TOKEN", SAS)
}

#[test]
fn every_command_keeps_every_secret_to_itself() {
    let (shop, mut canaries) = shop_with_canaries();
    let cloud = super::bucket::Cloud { shop, gcs: Gcs::start() };
    cloud.gcs.require_token();
    let proxy = Proxy::before(&cloud.gcs);
    let (file, key) = key_file(&cloud.shop.work);
    canaries.0.extend(key.lines().filter(|line| !line.starts_with("---")).map(str::to_owned));
    canaries.0.push("ya29.token".to_owned());
    let clients = recording_clients(&cloud.shop.work);
    let with_account = proxy.url().replace("://", "://user:c4n4ry-proxy@");
    let bkp = |arguments: &[&str]| {
        let bkp = talkative(behind(&cloud, &proxy, &file)).env("HTTPS_PROXY", &with_account);
        bkp.env("BKP_PG_BIN", &clients.directory).args(arguments)
    };

    for arguments in [
        &["init"][..],
        &["backup"],
        &["list"],
        &["list", "--json"],
        &["check", "--read-data"],
        &["restore", "--dry-run"],
        &["restore"],
        &["forget"],
    ] {
        let out = bkp(arguments).run().ok();
        canaries.are_not_said(&out);
    }
    // Onto a server that has none of the roles: they are made, with their passwords.
    let fresh = Shop::open();
    fresh.cluster.psql(
        "postgres",
        &format!("CREATE ROLE canary_admin SUPERUSER LOGIN PASSWORD '{}'", LOGIN.replace('\'', "''")),
    );
    let there = bkp(&["restore"]).env("POSTGRES_PORT", fresh.cluster.port().to_string());
    let out = there.run().ok().says("made the roles");
    canaries.are_not_said(&out);
    canaries.are_not_said(&bkp(&["backup"]).env("POSTGRES_PASSWORD", "c4n4ry-wrong").run().fails_with(12));

    let notes = clients.notes();
    assert!(notes.len() > 12, "{notes:?}");
    for (program, kind, text) in &notes {
        for canary in canaries.0.iter().filter(|canary| kind == "args" || **canary != LOGIN && **canary != "c4n4ry") {
            assert!(!text.contains(canary.as_str()), "{program}'s {kind} hold {canary}");
        }
        for other in ["AWS_", "AZURE_", "GOOGLE_", "BKP_", "POSTGRES_", "HTTPS_PROXY", "RUST_LOG"] {
            assert!(!text.lines().any(|line| line.starts_with(other)), "{program}'s {kind} hold {other}: {text}");
        }
    }
    for program in ["pg_dump", "pg_dumpall", "psql"] {
        assert!(clients.environment_of(program).contains(&format!("PGPASSWORD={LOGIN}")), "{program}");
    }
    // Asked for its version only, a program is given nothing.
    assert!(
        notes.iter().any(|(program, kind, text)| program == "pg_dump" && kind == "env" && !text.contains("PGPASSWORD"))
    );
}

/// A dump of the shop with one more statement at its end, put where a restore finds it.
fn restore_of(shop: &Shop, globals: &str, statement: &str) -> Output {
    let dump = String::from_utf8(shop.cluster.pg_dump("shop", ["--create"])).expect("UTF-8");
    let trailer = "--\n-- PostgreSQL database dump complete";
    let whole = dump.replace(trailer, &format!("{statement}\n{trailer}"));
    let mut text = String::from("--\n-- PostgreSQL database cluster dump\n--\n\n");
    let _ = write!(text, "{globals}\n--\n-- Databases\n--\n\n--\n-- Database \"shop\" dump\n--\n\n{whole}\n");
    text.push_str("--\n-- PostgreSQL database cluster dump complete\n--\n\n");
    shop.put("db_dump-20250101_000000.bak.gz", &gzip(text.as_bytes()));
    let bkp = talkative(shop.bkp(["restore", "--yes"]));
    bkp.run()
}

#[test]
fn a_statement_that_fails_is_told_without_what_it_says() {
    let (shop, canaries) = shop_with_canaries();
    for (globals, statement, said) in [
        ("", "CREATE USER MAPPING FOR nobody_here SERVER s OPTIONS (password 'c4n4ry-mapping');", "nobody_here"),
        ("", "CREATE USER MAPPING FOR canary_admin SERVER nowhere OPTIONS (password 'c4n4ry-mapping');", "nowhere"),
        ("", "CREATE USER MAPPING FOR canary_admin SERVER s OPTION (password 'c4n4ry-mapping');", "syntax error"),
        (
            "",
            "CREATE SUBSCRIPTION sub CONNECTION 'password=c4n4ry-mapping nonsense' PUBLICATION p WITH (connect = false);",
            "ERROR",
        ),
        (
            "CREATE ROLE newcomer;\nALTER ROLE newcomer WITH LOGIN PASSWORD 'c4n4ry-role' VALID UNTIL 'nonsense';",
            "",
            "timestamp",
        ),
        (
            "CREATE ROLE newcomer;\nALTER ROLE newcomer WITH NOSUCHOPTION PASSWORD 'c4n4ry-role';",
            "",
            "unrecognized role option",
        ),
        ("CREATE ROLE newcomer;\nALTER ROLE newcomer WITH ENCRYPTED 'c4n4ry-role';", "", "syntax error"),
        (
            "",
            "CREATE TABLE public.numbers (n int);\nCOPY public.numbers (n) FROM stdin;\nc4n4ry-row\n\\.\n",
            "invalid input syntax",
        ),
        (
            "",
            "CREATE TABLE public.short (n varchar(3) UNIQUE);\nCOPY public.short (n) FROM stdin;\nc4n4ry-row\n\\.\n",
            "too long",
        ),
        (
            "",
            "CREATE TABLE public.twice (n text UNIQUE);\nCOPY public.twice (n) FROM stdin;\nc4n4ry-row\nc4n4ry-row\n\\.\n",
            "duplicate key",
        ),
        ("", "INSERT INTO public.secrets VALUES ('c4n4ry-row'::int);", "invalid input syntax"),
    ] {
        let out = restore_of(&shop, globals, statement).fails_with(1).says(said);
        canaries.are_not_said(&out);
        assert!(shop.databases_of_ours().is_empty(), "{:?}", shop.databases_of_ours());
    }
}

#[test]
fn a_rewriter_that_explains_shows_no_password() {
    let shop = Shop::open();
    let globals = format!(
        "CREATE ROLE postgres;\nALTER ROLE postgres WITH SUPERUSER PASSWORD '{ROLE}';\nCREATE ROLE newcomer PASSWORD '{ROLE}';\n"
    );
    let canaries = Canaries::usual();
    shop.cluster.psql(
        "postgres",
        &format!("CREATE ROLE canary_admin SUPERUSER LOGIN PASSWORD '{}'", LOGIN.replace('\'', "''")),
    );
    for roles in ["missing", "all", "none"] {
        restore_of(&shop, &globals, "");
        let out = talkative(shop.bkp(["restore", "--dry-run"])).env("BKP_RESTORE_ROLES", roles).run().ok();
        canaries.are_not_said(&out);
    }
}

#[test]
fn stores_that_refuse_get_no_secret_repeated() {
    let (shop, canaries) = shop_with_canaries();
    let gcs = Gcs::start();
    for (address, endpoint) in [("s3://bucket-x", "AWS_ENDPOINT_URL"), ("az://bucket-x", "AZURE_STORAGE_ENDPOINT")] {
        for without in ["AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_KEY"] {
            let bkp =
                talkative(shop.bkp(["list"])).env("BKP_BUCKET", address).env(endpoint, gcs.url()).without(without);
            let out = bkp.run();
            assert_ne!(out.code, 0, "{out:?}");
            canaries.are_not_said(&out);
        }
    }
}

#[test]
fn settings_that_are_wrong_are_told_without_their_values() {
    let (shop, canaries) = shop_with_canaries();
    let secret = shop.work.file("secret", "c4n4ry-from-a-file");
    let out = talkative(shop.bkp(["backup"]))
        .env("POSTGRES_PASSWORD_FILE", &secret)
        .env("AWS_SECRET_ACCESS_KEY_FILE", &secret);
    let out = out
        .env("BKP_BUCKET", "s3://c4n4ry:c4n4ry@bucket")
        .env("POSTGRES_PORT", "c4n4ry")
        .env("BKP_KEEP_LAST", "c4n4ry");
    let out = out.env("PGSSLMODE", "c4n4ry").env("AWS_ENDPOINT_URL", "https://c4n4ry:c4n4ry@host").run().fails_with(2);
    canaries.are_not_said(&out);
    for name in [
        "POSTGRES_PASSWORD",
        "AWS_SECRET_ACCESS_KEY",
        "BKP_BUCKET",
        "POSTGRES_PORT",
        "BKP_KEEP_LAST",
        "PGSSLMODE",
        "AWS_ENDPOINT_URL",
    ] {
        assert!(out.stderr.contains(name), "{name}: {out:?}");
    }
}
