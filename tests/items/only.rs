//! `bkp restore --only`: roles, files or one database, and nothing else.

use super::App;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;

fn one(cluster: &Cluster, sql: &str) -> String {
    cluster.psql("postgres", sql).trim().to_owned()
}

const PASSWORD: &str = "SELECT rolpassword FROM pg_authid WHERE rolname = 'reader'";
const LIMIT: &str = "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'writer'";
const ROLES: &str = "SELECT string_agg(r::text, ',' ORDER BY oid) FROM pg_authid r";

#[test]
fn roles_alone_are_made_or_changed_and_no_database_is_touched() {
    let app = App::quick();
    app.cluster.psql(
        "postgres",
        "CREATE ROLE reader LOGIN PASSWORD 'from the backup'; CREATE ROLE writer LOGIN CONNECTION LIMIT 7; GRANT writer TO reader",
    );
    app.cluster.psql("shop", "GRANT SELECT ON orders TO reader, writer");
    app.work.dir("bucket");
    let bucket = app.work.join("bucket");
    app.bkp(["backup"]).bucket(&bucket).run().ok();
    let files = app.state().1;

    let fresh = Cluster::start(15);
    fresh.psql("postgres", "CREATE ROLE writer LOGIN CONNECTION LIMIT 3");
    let only = |mode: &str| {
        app.with_settings(Bkp::new(&fresh)).env("BKP_RESTORE_ROLES", mode).args(["restore", "--only", "roles"])
    };
    let before = one(&fresh, ROLES);
    only("missing").args(["--dry-run"]).run().ok().says("roles to make").says("reader");
    only("none").run().fails_with(2).says("BKP_RESTORE_ROLES=none");
    assert_eq!(one(&fresh, ROLES), before);

    only("missing").run().ok().says("writer").says("no database and no file is touched");
    assert_eq!(one(&fresh, PASSWORD), one(&app.cluster, PASSWORD));
    assert_eq!(one(&fresh, LIMIT), "3", "an existing role is left alone");
    let members =
        "SELECT count(*) FROM pg_auth_members m WHERE m.member = 'reader'::regrole AND m.roleid = 'writer'::regrole";
    assert_eq!(one(&fresh, members), "1");
    let made = one(&fresh, ROLES);
    only("missing").run().ok().says("nothing to do");
    assert_eq!(one(&fresh, ROLES), made);

    only("all").run().ok().says("roles to change");
    assert_eq!(one(&fresh, LIMIT), "7");
    fresh.psql("postgres", "DROP ROLE reader");
    // From one dump in a bucket too.
    let out = Bkp::new(&fresh).bucket(&bucket).args(["restore", "--only", "roles"]).run();
    out.ok();
    assert_eq!(one(&fresh, PASSWORD), one(&app.cluster, PASSWORD));
    assert!(!fresh.databases().iter().any(|name| name.contains("shop")), "{:?}", fresh.databases());
    assert_eq!(app.state().1, files);
}

#[test]
fn roles_are_made_all_or_none() {
    let app = App::quick();
    app.cluster.psql("postgres", "CREATE ROLE reader; CREATE ROLE one; CREATE ROLE two; GRANT one TO two");
    app.cluster.psql("shop", "GRANT SELECT ON orders TO reader, one, two");
    app.bkp(["backup"]).run().ok();
    let fresh = Cluster::start(15);
    fresh
        .psql("postgres", "CREATE ROLE weak LOGIN PASSWORD 'weak'; CREATE ROLE one; CREATE ROLE two; GRANT two TO one");
    let before = one(&fresh, ROLES);
    let only = || app.with_settings(Bkp::new(&fresh)).args(["restore", "--only", "roles"]);
    let weak = only().env("PGUSER", "weak").env("POSTGRES_USER", "weak").env("POSTGRES_PASSWORD", "weak");
    weak.run().fails_with(1).says("may not create roles");
    // The membership comes after all roles are made, and would be a circle.
    only().env("BKP_RESTORE_ROLES", "all").run().fails_with(1).says("all or none").says("is a member of role");
    assert_eq!(one(&fresh, ROLES), before);
}

#[test]
fn a_database_that_is_called_roles_is_named_in_full() {
    let app = App::quick();
    app.cluster.psql("postgres", "CREATE DATABASE roles");
    app.cluster.psql("roles", "CREATE TABLE t AS SELECT 1 AS i");
    let bkp = |arguments: &[&str]| app.bkp([]).env("POSTGRES_DB", "").env("BKP_DATABASES", "all").args(arguments);
    bkp(&["backup"]).run().ok();
    app.cluster.psql("roles", "DROP TABLE t");
    app.lose_everything();
    let lost = app.state();
    bkp(&["restore", "--only", "database:roles"]).run().ok();
    assert_eq!(app.cluster.psql("roles", "SELECT i FROM t").trim(), "1");
    assert_eq!(app.state(), lost);
    bkp(&["restore", "--only", "roles", "--table", "t"]).run().fails_with(2).says("database:roles");
    bkp(&["restore", "--only", "database:"]).run().fails_with(2);
}

#[test]
fn what_the_settings_do_not_speak_of_is_wrong_use_and_not_a_backup_that_is_missing() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    let bkp = |arguments: &[&str]| app.bkp(["restore"]).args(arguments);
    bkp(&["--only", "files"]).without("BKP_FILES").run().fails_with(2).says("BKP_FILES is not set");
    for arguments in [&["--only", "roles"][..], &["--only", "shop"], &["--table", "orders"], &["--as", "copy"]] {
        let files_only = bkp(arguments).without("POSTGRES_DB").env("BKP_DATABASES", "none");
        files_only.run().fails_with(2).says("leave databases out");
    }
    app.work.dir("bucket");
    let bucket_only = bkp(&["--host", "pod"]).without("RESTIC_REPOSITORY").without("RESTIC_PASSWORD_FILE");
    bucket_only.without("BKP_FILES").bucket(&app.work.join("bucket")).run().fails_with(2).says("--host is about");
    // Rows are replaced in place, files always are.
    for arguments in [["--path", "config"], ["--to", "/nowhere"], ["--as", "copy"]] {
        bkp(&arguments).args(["--in-place"]).run().fails_with(2);
    }
}
