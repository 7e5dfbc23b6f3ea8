//! Backups that cannot be trusted, and servers that cannot take one.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Messages;
use crate::items::quick::Mounted;
use crate::job::gzip;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::workdir::WorkDir;
use crate::support::{fixtures, parts};

/// The only dump in the bucket.
fn dump(work: &WorkDir) -> PathBuf {
    let mut found = fs::read_dir(work.join("bucket/db")).expect("the bucket").flatten().map(|entry| entry.path());
    found.find(|path| path.is_file()).expect("a dump")
}

fn sql(path: &Path) -> String {
    let mut sql = String::new();
    let stored = fs::read(path).expect("a dump");
    flate2::read::MultiGzDecoder::new(stored.as_slice()).read_to_string(&mut sql).expect("gzip of UTF-8");
    sql
}

fn replace(path: &Path, content: &[u8]) {
    fs::remove_file(path).expect("removed");
    fs::write(path, content).expect("written");
}

#[test]
fn damaged_dumps_and_restores_that_cannot_work() {
    let (cluster, work) = (Cluster::start(15), WorkDir::new());
    fixtures::shop(&cluster);
    let mut messages = Messages::of("dumps")
        .hide(work.path().display(), "<work>")
        .hide(format!("127.0.0.1:{}", cluster.port()), "<server>")
        .hide(parts::cache().display(), "<parts>")
        // A session that has just ended may still be counted.
        .hide("and got 2:", "and got <n>:")
        .hide("and got 3:", "and got <n>:");
    let bkp =
        |arguments: &[&str]| Bkp::new(&cluster).bucket(&work.join("bucket")).env("POSTGRES_DB", "shop").args(arguments);
    bkp(&["init"]).run().ok();
    bkp(&["backup"]).run().ok();
    let path = dump(&work);
    let good = fs::read(&path).expect("the dump");
    let text = sql(&path);

    messages.case("when_is_no_backup", bkp(&["restore", "lastest"]));
    messages.case("when_is_before_all", bkp(&["restore", "2001-01-01"]));
    messages.case("a_table_that_is_not_in_it", bkp(&["restore", "--table", "oders"]));
    messages.case("a_database_that_is_not_in_it", bkp(&["restore", "--only", "database:wiki"]));
    messages.case("no_files_in_a_bucket", bkp(&["restore", "--only", "files"]));
    messages.case(
        "a_backup_of_another_application",
        bkp(&["restore", path.file_name().and_then(|name| name.to_str()).expect("a name")]).env("BKP_APP", "wiki"),
    );
    messages.case("an_item_that_there_is_not", bkp(&["restore", "--only", "databses"]));
    messages.case("nothing_to_undo", bkp(&["restore", "--undo"]));

    replace(&path, &good[..good.len() / 2]);
    messages.case("cut_short", bkp(&["restore"]));
    messages.case("cut_short_seen_by_check", bkp(&["check", "--read-data"]));
    messages.case("cut_short_seen_by_a_drill", bkp(&["drill"]));
    replace(&path, b"");
    messages.case("an_empty_dump", bkp(&["restore"]));
    let at = text.rfind("-- bkp seal ").expect("the seal");
    let (body, seal) = text.split_at(at);
    replace(
        &path,
        &gzip(format!("{body}{}", seal.replacen("\"public.orders\":1", "\"public.orders\":2", 1)).as_bytes()),
    );
    messages.case("rows_that_the_seal_does_not_know", bkp(&["restore"]));
    let row = text.find("COPY public.orders").expect("orders");
    let digit = row + text[row..].find('\n').expect("a line") + 1;
    let mut changed = text.clone().into_bytes();
    changed[digit] = if changed[digit] == b'9' { b'8' } else { b'9' };
    replace(&path, &gzip(&changed));
    messages.case("a_changed_byte", bkp(&["restore"]));

    // Dumps of other tools have no seal, and what is wrong with them the server tells.
    let foreign = String::from_utf8(cluster.pg_dump("shop", ["--restrict-key=x"])).expect("UTF-8");
    let first = foreign.find("\nCREATE TABLE").expect("a table") + 1;
    let with = |statement: &str| {
        replace(&path, &gzip(format!("{}{statement}\n{}", &foreign[..first], &foreign[first..]).as_bytes()))
    };
    with("CREATE TABLE public.bad (i nowhere);");
    messages.case("a_statement_that_fails", bkp(&["restore"]));
    with("CREATE TABLE public.few (i int);\nCOPY public.few (i) FROM stdin;\ncanary\n\\.\n");
    messages.case("a_row_that_fails", bkp(&["restore"]));
    with("CREATE EXTENSION IF NOT EXISTS timescaledb WITH SCHEMA public;");
    messages.case("an_extension_that_the_server_lacks", bkp(&["restore"]));
    with("\\! touch /tmp/canary");
    messages.case("a_program_in_a_dump", bkp(&["restore"]));
    replace(&path, &gzip(foreign.as_bytes()));
    cluster.psql("postgres", "CREATE ROLE poor LOGIN PASSWORD 'pw'");
    let by = |account: &str| {
        let bkp = bkp(&["restore"]).env("POSTGRES_USER", account).env("POSTGRES_PASSWORD", "pw");
        bkp.env("BKP_MAINTENANCE_DB", "postgres")
    };
    messages.case("an_account_that_may_not_create_databases", by("poor"));
    cluster.psql("postgres", "ALTER ROLE poor CREATEDB");
    messages.case("an_account_that_does_not_own_the_database", by("poor"));
    cluster.psql("postgres", "ALTER ROLE shop CREATEDB PASSWORD 'pw' CONNECTION LIMIT 3");
    messages.case("too_few_connections", by("shop").args(["--table", "orders"]));
    cluster.psql("postgres", "ALTER ROLE shop CONNECTION LIMIT -1");

    let fresh = Cluster::start(15);
    messages = messages.hide(format!("127.0.0.1:{}", fresh.port()), "<fresh>");
    let missing = Bkp::new(&fresh).bucket(&work.join("bucket")).env("POSTGRES_DB", "shop").args(["restore"]);
    messages.case("a_role_that_is_missing", missing);

    let small = work.dir("small");
    let mounted = Mounted::tmpfs(&small, "size=64k");
    let full = bkp(&["backup"]).bucket(&small);
    fs::write(small.join("filler"), vec![1; 60 << 10]).expect("written");
    messages.case("a_directory_on_a_full_disk", full);
    // Not only at the end: this one fails while rows come.
    cluster.psql(
        "shop",
        "CREATE TABLE much AS SELECT string_agg(md5(random()::text), '') AS t FROM generate_series(1, 300000) n GROUP BY n % 100",
    );
    messages.case("a_disk_that_fills_amid_the_dump", bkp(&["backup"]).bucket(&small));
    drop(mounted);
    messages.all_as_agreed();
}
