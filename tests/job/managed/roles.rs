//! Accounts that may make databases and roles, and nothing more, on servers that lack the roles of the backup.

use super::as_customer;
use crate::job::Shop;
use crate::support::cluster::Cluster;

/// A backup of a database with two owners, made by a superuser, and a server that lacks one of them.
fn without_clerk(major: u32) -> Shop {
    let shop = Shop::on(Cluster::start(major));
    shop.cluster.psql("shop", "CREATE ROLE clerk LOGIN PASSWORD 'secret'; CREATE SCHEMA theirs AUTHORIZATION clerk");
    shop.cluster.psql("shop", "CREATE TABLE theirs.t AS SELECT 1 AS i; ALTER TABLE theirs.t OWNER TO clerk");
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "DROP SCHEMA theirs CASCADE; DROP ROLE clerk");
    shop.cluster.psql("shop", "ALTER ROLE shop CREATEDB CREATEROLE PASSWORD 'pw'");
    shop
}

const OWNER: &str = "SELECT tableowner = 'clerk' FROM pg_tables WHERE tablename = 't'";

fn makes_what_is_missing(major: u32) {
    let shop = without_clerk(major);
    as_customer(&shop, ["drill"]).env("BKP_DRILL_SQL", OWNER).run().ok();
    assert_eq!(shop.cluster.psql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'clerk'").trim(), "0");
    as_customer(&shop, ["restore"]).run().ok();
    assert_eq!(shop.cluster.psql("shop", OWNER).trim(), "t");
    let login = "SELECT rolcanlogin AND rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'clerk'";
    assert_eq!(shop.cluster.psql("postgres", login).trim(), "t");
}

#[test]
fn on_14_an_account_with_createrole_makes_owners_and_gives_them_what_is_theirs() {
    makes_what_is_missing(14);
}

#[test]
fn on_16_an_account_with_createrole_makes_owners_and_gives_them_what_is_theirs() {
    makes_what_is_missing(16);
}

#[test]
fn on_18_an_account_with_createrole_makes_owners_and_gives_them_what_is_theirs() {
    makes_what_is_missing(18);
}
