//! With CREATEDB and nothing more: beside the live database, as a superuser does, and what this account may not do is told before.

use super::{as_customer, content, managed, wreck};
use crate::job::Shop;
use crate::support::compare::assert_same;

/// The customer's account may create databases; the provider's extension, which it could not make, is not there.
fn with_createdb(major: u32) -> Shop {
    let shop = managed(major);
    shop.cluster.psql("shop", "DROP EXTENSION pageinspect; ALTER ROLE shop CREATEDB");
    shop
}

fn brings_everything_back(major: u32) {
    let shop = with_createdb(major);
    shop.cluster.psql("shop", "ALTER EXTENSION pg_trgm SET SCHEMA public; DROP EXTENSION pg_trgm CASCADE");
    shop.cluster.psql("shop", "SET ROLE shop; CREATE EXTENSION pg_trgm; COMMENT ON EXTENSION pg_trgm IS 'our words'");
    shop.bkp(["backup"]).run().ok();
    let before = content(&shop);
    wreck(&shop);
    let wrecked = content(&shop);
    as_customer(&shop, ["restore"]).run().ok().says("is loaded beside as");
    assert_same(&before, &content(&shop));
    assert_eq!(shop.databases_of_ours().len(), 1);
    as_customer(&shop, ["restore", "--undo"]).run().ok();
    assert_same(&wrecked, &content(&shop));
}

#[test]
fn on_14_a_role_with_createdb_alone_restores_beside() {
    brings_everything_back(14);
}

#[test]
fn on_16_a_role_with_createdb_alone_restores_beside() {
    brings_everything_back(16);
}

#[test]
fn on_18_a_role_with_createdb_alone_restores_beside() {
    brings_everything_back(18);
}

#[test]
fn an_extension_that_the_account_may_not_make_is_named_before_anything_begins() {
    let shop = with_createdb(16);
    shop.cluster.psql("shop", "CREATE EXTENSION pageinspect");
    shop.bkp(["backup"]).run().ok();
    let live = content(&shop);
    let told = as_customer(&shop, ["restore"]).run().fails_with(1);
    told.says("only a superuser can create the extensions pageinspect").says("nothing was begun");
    assert_same(&live, &content(&shop));
}

#[test]
fn roles_that_are_missing_are_named_before_anything_begins() {
    let shop = with_createdb(16);
    shop.cluster.psql("shop", "CREATE ROLE clerk; GRANT SELECT ON orders TO clerk");
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "REVOKE SELECT ON orders FROM clerk; DROP ROLE clerk");
    let live = content(&shop);
    let told = as_customer(&shop, ["restore"]).run().fails_with(1);
    told.says("may not create roles, and these are missing: clerk").says("nothing was begun");
    assert_same(&live, &content(&shop));
    assert!(shop.databases_of_ours().is_empty());
}

/// Refused beside and in place while the account may not act for an owner; `grant` lets it.
fn owners_are_named(major: u32, too_little: &str, grant: &str) {
    let shop = with_createdb(major);
    shop.cluster
        .psql("shop", "DROP EXTENSION pg_trgm CASCADE; CREATE ROLE clerk; CREATE SCHEMA theirs AUTHORIZATION clerk");
    shop.cluster.psql("shop", "CREATE TABLE theirs.t AS SELECT 1 AS i; ALTER TABLE theirs.t OWNER TO clerk");
    shop.bkp(["backup"]).run().ok();
    let saved = content(&shop);
    shop.cluster.psql("shop", "INSERT INTO theirs.t VALUES (2)");
    shop.cluster.psql("shop", too_little);
    let live = content(&shop);
    for way in ["CREATEDB", "NOCREATEDB"] {
        shop.cluster.psql("shop", &format!("ALTER ROLE shop {way}"));
        let told = as_customer(&shop, ["restore"]).run().fails_with(1);
        told.says("owners that \"shop\" may not give objects to: \"clerk\"")
            .says("GRANT \"clerk\" TO \"shop\"")
            .says("nothing was begun");
        assert_same(&live, &content(&shop));
        assert!(shop.databases_of_ours().is_empty());
    }
    shop.cluster.psql("shop", grant);
    as_customer(&shop, ["restore"]).run().ok().says("in place");
    assert_same(&saved, &content(&shop));
    shop.cluster.psql("shop", "INSERT INTO theirs.t VALUES (3); ALTER ROLE shop CREATEDB");
    as_customer(&shop, ["restore"]).run().ok().says("is loaded beside as");
    assert_same(&saved, &content(&shop));
}

#[test]
fn on_14_an_owner_whom_the_account_is_no_member_of_is_named_before_anything_begins() {
    owners_are_named(14, "SELECT 1", "GRANT \"clerk\" TO \"shop\"");
}

#[test]
fn on_16_an_owner_whom_the_account_may_not_set_is_named_before_anything_begins() {
    owners_are_named(16, "GRANT clerk TO shop WITH SET FALSE", "GRANT clerk TO shop WITH SET TRUE");
}

#[test]
fn a_session_that_may_not_be_ended_keeps_the_swap_from_happening_and_is_named() {
    let shop = with_createdb(16);
    shop.cluster.psql("shop", "DROP EXTENSION pg_trgm CASCADE");
    shop.bkp(["backup"]).run().ok();
    wreck(&shop);
    let wrecked = content(&shop);
    let mut superuser = shop.hold_orders();
    let out = as_customer(&shop, ["restore"]).run();
    let _ = superuser.kill();
    let _ = superuser.wait();
    out.fails_with(1)
        .says("could not be swapped; the live ones are untouched")
        .says("of postgres")
        .says("pg_signal_backend");
    assert_same(&wrecked, &content(&shop));
    assert!(shop.databases_of_ours().is_empty());
}

/// An owner that is missing is made, and objects are given to it, by an account that may create roles and nothing more.
fn owners_are_made(major: u32) {
    let shop = with_createdb(major);
    shop.cluster
        .psql("shop", "DROP EXTENSION pg_trgm CASCADE; CREATE ROLE clerk; CREATE SCHEMA theirs AUTHORIZATION clerk");
    shop.cluster.psql("shop", "CREATE TABLE theirs.t AS SELECT 1 AS i; ALTER TABLE theirs.t OWNER TO clerk");
    shop.bkp(["backup"]).run().ok();
    let saved = content(&shop);
    shop.cluster.psql("shop", "DROP OWNED BY clerk; DROP ROLE clerk; ALTER ROLE shop CREATEROLE");
    as_customer(&shop, ["restore"]).run().ok().says("made the roles clerk");
    assert_same(&saved, &content(&shop));
}

#[test]
fn on_14_an_account_that_makes_the_owners_gives_them_what_is_theirs() {
    owners_are_made(14);
}

#[test]
fn on_16_an_account_that_makes_the_owners_gives_them_what_is_theirs() {
    owners_are_made(16);
}

#[test]
fn rows_that_a_policy_hides_from_the_account_are_no_lost_rows_to_a_drill() {
    let shop = with_createdb(16);
    let hidden = "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE orders FORCE ROW LEVEL SECURITY";
    shop.cluster.psql("shop", hidden);
    shop.bkp(["backup"]).run().ok();
    as_customer(&shop, ["drill"]).run().ok().says("1 tables of shop could not be counted");
}
