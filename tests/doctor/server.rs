//! The server: who answers there, of which version, and what the role may do.

use std::net::TcpListener;

use super::Told;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::fixtures;
use crate::support::wait::until;
use crate::support::workdir::WorkDir;

fn shop(cluster: &Cluster, work: &WorkDir) -> Bkp {
    Bkp::new(cluster).env("POSTGRES_DB", "shop").bucket(&work.dir("dumps")).env("BKP_STATE_DIR", work.join("state"))
}

fn open(major: u32) -> (Cluster, WorkDir) {
    let cluster = Cluster::start(major);
    fixtures::shop(&cluster);
    (cluster, WorkDir::new())
}

#[test]
fn a_server_that_is_away_or_refuses_is_a_fault_and_the_bucket_is_looked_at_all_the_same() {
    let (cluster, work) = open(15);
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let told =
        Told::by(shop(&cluster, &work).env("POSTGRES_HOST", "127.0.0.1").env("POSTGRES_PORT", nobody.to_string()), 2);
    told.has("fault", "server", &["cannot be reached", "POSTGRES_HOST"]).all_ok_in(&["bucket", "settings"]);
    let told = Told::by(shop(&cluster, &work).env("POSTGRES_HOST", "no.such.host.invalid"), 2);
    told.has("fault", "server", &["no.such.host.invalid"]).all_ok_in(&["bucket"]);
    let told = Told::by(shop(&cluster, &work).env("POSTGRES_PASSWORD", "wrong-secret"), 2);
    told.has("fault", "server", &["password"]).all_ok_in(&["bucket"]).output.never_says("wrong-secret");
    let told = Told::by(shop(&cluster, &work).env("POSTGRES_DB", "shopp"), 2);
    told.has("fault", "server", &["there is no database shopp", "POSTGRES_DB"]).all_ok_in(&["bucket"]);
}

#[test]
fn a_peer_that_says_nothing_is_a_finding_and_no_hang() {
    let (cluster, work) = open(15);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port().to_string();
    let bkp = shop(&cluster, &work)
        .env("POSTGRES_HOST", "127.0.0.1")
        .env("POSTGRES_PORT", port)
        .args(["doctor", "--within", "2s"]);
    let out = bkp.run().fails_with(2);
    assert!(out.stdout.contains("fault    server    no answer within 2 s"), "{}", out.stdout);
    out.says("objects can be created");
}

#[test]
fn clients_older_than_the_server_are_told_with_the_package_that_helps() {
    let (cluster, work) = open(18);
    let told = Told::by(shop(&cluster, &work).without("BKP_PG_BIN"), 2);
    let told = told.has("fault", "server", &["no client programs for a PostgreSQL 18 server", "postgresql-client-18"]);
    let told = told.all_ok_in(&["bucket"]).has("ok", "server", &["to be saved: shop"]);
    told.output.never_says("needs about 0 B");
    // Those of `PATH` come last, and count.
    let path = format!("/usr/bin:/bin:{}", Cluster::client_bin(18).display());
    let told = Told::by(shop(&cluster, &work).without("BKP_PG_BIN").env("PATH", path), 0);
    told.has("ok", "server", &["the client programs 18."]);
}

#[test]
fn a_limit_that_a_backup_cannot_work_within_is_told() {
    let (cluster, work) = open(15);
    cluster.psql("shop", "CREATE ROLE saver LOGIN PASSWORD 'pw'; GRANT pg_read_all_data TO saver");
    let saver = || shop(&cluster, &work).env("POSTGRES_USER", "saver").env("POSTGRES_PASSWORD", "pw");
    for (limit, is_enough) in [(1, false), (2, false), (3, true)] {
        cluster.psql("postgres", &format!("ALTER ROLE saver CONNECTION LIMIT {limit}"));
        // Whoever has just gone is counted until the server has noticed.
        let all_gone =
            || cluster.psql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE usename = 'saver'") == "0";
        until("the end of all sessions", all_gone);
        saver().args(["backup"]).run().fails_with(if is_enough { 0 } else { 1 });
        until("the end of all sessions", all_gone);
        let said = format!("a backup has 3 sessions at once, and got {limit} with database shop");
        if is_enough {
            assert!(!Told::by(saver(), 0).output.stdout.contains("sessions at once"));
        } else {
            Told::by(saver(), 2).has("fault", "server", &[&said, "too many connections for role", "CONNECTION LIMIT"]);
        }
    }
}

#[test]
fn every_right_that_a_role_lacks_is_told_with_the_grant_that_gives_it() {
    let (cluster, work) = open(15);
    cluster.psql(
        "shop",
        "CREATE ROLE poor LOGIN PASSWORD 'pw'; REVOKE ALL ON orders FROM PUBLIC; SELECT lo_from_bytea(4711, 'x');
         CREATE SCHEMA hidden; CREATE TABLE hidden.t (i int);
         CREATE TABLE filtered (i int); ALTER TABLE filtered ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON filtered USING (false);
         GRANT SELECT ON filtered TO poor",
    );
    let poor = || shop(&cluster, &work).env("POSTGRES_USER", "poor").env("POSTGRES_PASSWORD", "pw");
    let told = Told::by(poor(), 2);
    let told = told.has("fault", "rights", &["cannot read", "orders", "GRANT pg_read_all_data TO \"poor\""]);
    let told = told.has("fault", "rights", &["hidden.t", "GRANT pg_read_all_data TO \"poor\""]);
    let told = told.has("fault", "rights", &["row security", "filtered", "ALTER ROLE \"poor\" BYPASSRLS"]);
    let told = told.has("fault", "rights", &["large objects: 4711", "GRANT SELECT ON LARGE OBJECT 4711 TO \"poor\""]);
    let told = told.has("warning", "rights", &["may not create databases", "ALTER ROLE \"poor\" CREATEDB"]);
    let told = told.has("warning", "rights", &["belongs to", "a restore cannot take its place", "GRANT"]);
    let told =
        told.has("warning", "rights", &["may end only sessions of its own", "GRANT pg_signal_backend TO \"poor\""]);
    told.has("warning", "rights", &["without their passwords"]);

    // What the doctor prescribes, and nothing else, makes the backup work.
    poor().args(["backup"]).run().fails_with(1);
    cluster.psql(
        "shop",
        "GRANT pg_read_all_data TO poor; ALTER ROLE poor BYPASSRLS; GRANT SELECT ON LARGE OBJECT 4711 TO poor",
    );
    let told = Told::by(poor(), 0).has("ok", "rights", &["database shop can be read, all of it"]);
    told.has("warning", "rights", &["CREATEDB"]);
    poor().args(["backup"]).run().ok();
}

#[test]
fn before_the_role_that_reads_everything_each_table_is_granted() {
    let (cluster, work) = open(13);
    cluster.psql("shop", "CREATE ROLE poor LOGIN PASSWORD 'pw' CREATEDB");
    let told = Told::by(shop(&cluster, &work).env("POSTGRES_USER", "poor").env("POSTGRES_PASSWORD", "pw"), 2);
    told.has("fault", "rights", &["GRANT SELECT ON ", "public.orders", " TO \"poor\""]).has(
        "ok",
        "rights",
        &["may create databases"],
    );
}

#[test]
fn a_standby_is_told_and_what_lets_it_cancel_a_dump() {
    let (cluster, work) = open(15);
    cluster.psql("postgres", "CREATE ROLE reader LOGIN PASSWORD 'pw' IN ROLE pg_read_all_data");
    let standby = Cluster::standby_of(&cluster);
    let told = Told::by(shop(&standby, &work), 0);
    told.has("warning", "server", &["is a standby", "primary"]);
    let told = Told::by(shop(&standby, &work).env("POSTGRES_USER", "reader").env("POSTGRES_PASSWORD", "pw"), 0);
    told.has("warning", "server", &["may not pause the replay", "GRANT EXECUTE ON FUNCTION pg_wal_replay_pause()"]);
}
