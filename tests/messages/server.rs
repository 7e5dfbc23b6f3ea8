//! The server, and what it lets the account do.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::Messages;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::fixtures;
use crate::support::parts;
use crate::support::workdir::WorkDir;

/// Clients whose pg_dump writes all of it and exits with 1 all the same.
fn pg_dump_that_fails(work: &WorkDir) -> PathBuf {
    let real = Cluster::client_bin(15);
    for program in ["pg_dump", "pg_dumpall", "psql"] {
        let text = match program {
            "pg_dump" => format!(
                "#!/bin/sh\n{0} \"$@\" || exit\n[ \"$1\" = --version ] || {{ echo 'out of luck' >&2; exit 1; }}\n",
                real.join(program).display()
            ),
            _ => format!("#!/bin/sh\nexec {} \"$@\"\n", real.join(program).display()),
        };
        let path = work.file(&format!("clients/{program}"), text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    work.join("clients")
}

#[test]
fn servers_and_accounts() {
    let (cluster, work) = (Cluster::start(15), WorkDir::new());
    fixtures::shop(&cluster);
    cluster.psql(
        "shop",
        "CREATE ROLE poor LOGIN PASSWORD 'pw'; CREATE ROLE reader LOGIN PASSWORD 'pw' IN ROLE pg_read_all_data;
         CREATE ROLE alone LOGIN PASSWORD 'pw' CONNECTION LIMIT 1 IN ROLE pg_read_all_data;
         CREATE DATABASE closed ALLOW_CONNECTIONS false; CREATE DATABASE empty;",
    );
    let free = || TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a port").port();
    let nobody = free().to_string();
    let mut messages = Messages::of("server")
        .hide(work.path().display(), "<work>")
        .hide(parts::cache().display(), "<parts>")
        .hide(format!("127.0.0.1:{}", cluster.port()), "<server>")
        .hide(format!("no.such.host.invalid:{}", cluster.port()), "<no-such-host>")
        .hide(format!("127.0.0.1:{nobody}"), "<nobody>");
    let bkp =
        |arguments: &[&str]| Bkp::new(&cluster).bucket(&work.join("bucket")).env("POSTGRES_DB", "shop").args(arguments);
    let by = |account: &str| bkp(&["backup"]).env("POSTGRES_USER", account).env("POSTGRES_PASSWORD", "pw");
    messages.case("no_repository", bkp(&["backup"]));
    bkp(&["init"]).run().ok();
    messages.case("a_wrong_password", bkp(&["backup"]).env("POSTGRES_PASSWORD", "canary-0815"));
    messages.case("no_such_account", by("nobody"));
    messages.case("nobody_listens", bkp(&["backup"]).env("POSTGRES_PORT", &nobody));
    messages.case("no_such_host", bkp(&["backup"]).env("POSTGRES_HOST", "no.such.host.invalid"));
    messages.case("no_such_database", bkp(&["backup"]).env("POSTGRES_DB", "shopp"));
    messages.case("a_database_without_connections", bkp(&["backup"]).env("POSTGRES_DB", "closed"));
    let newer = Cluster::start(18);
    messages = messages.hide(format!("127.0.0.1:{}", newer.port()), "<newer>");
    // The system's own clients alone, which are older.
    let old = Bkp::new(&newer).bucket(&work.join("bucket")).without("BKP_PG_BIN").args(["backup"]);
    messages.case("clients_older_than_the_server", old);
    drop(newer);
    messages.case("tables_that_may_not_be_read", by("poor"));
    messages.case("one_connection_and_no_more", by("alone"));
    messages.case("a_dump_that_fails_at_its_end", bkp(&["backup"]).env("BKP_PG_BIN", pg_dump_that_fails(&work)));
    cluster.psql(
        "shop",
        "CREATE TABLE filtered (i int); ALTER TABLE filtered ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON filtered USING (false)",
    );
    messages.case("rows_that_a_policy_hides", by("reader"));
    cluster.psql("shop", "DROP TABLE filtered");
    messages.case("restore_with_nothing_saved", bkp(&["restore"]));

    // Another run of this application, which waits for a table.
    let mut holder = cluster.client("psql");
    let mut holder = holder
        .args(["-X", "-d", "shop", "-c", "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("psql");
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND database <> 0";
    crate::support::wait::until("the lock", || cluster.psql("postgres", held).trim() != "0");
    let waiting = bkp(&["backup"]).spawn();
    let locked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
    crate::support::wait::until("the run's lock", || cluster.psql("postgres", locked).trim() != "0");
    messages.case("another_run_holds_the_lock", bkp(&["backup"]));
    waiting.kill(rustix::process::Signal::TERM);
    waiting.wait().fails_with(143);
    holder.kill().expect("killed");
    holder.wait().expect("gone");
    cluster.psql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'sleep.600' AND pid <> pg_backend_pid()",
    );

    bkp(&["backup"]).run().ok();
    cluster.psql("shop", "TRUNCATE orders");
    messages.case("much_less_than_before", bkp(&["backup"]));
    messages.case("a_restore_of_what_shrank", bkp(&["restore", "--yes"]));
    bkp(&["backup", "--allow-shrink"]).run().ok();
    let standby = Cluster::standby_of(&cluster);
    messages = messages.hide(format!("127.0.0.1:{}", standby.port()), "<standby>");
    let onto = Bkp::new(&standby).bucket(&work.join("bucket")).env("POSTGRES_DB", "shop").args(["restore"]);
    messages.case("a_standby_takes_no_restore", onto);
    messages.all_as_agreed();
}
