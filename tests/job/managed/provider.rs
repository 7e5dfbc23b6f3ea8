//! What a provider keeps for itself, and what owners have by grants alone: it comes back by an account without superuser.

use super::{as_customer, content};
use crate::job::Shop;
use crate::support::cluster::Cluster;
use crate::support::compare::assert_same;

/// A shop whose owner is the customer's account, `CREATEDB` or not; before 15 `public` is the provider's.
fn customer(major: u32, createdb: bool) -> Shop {
    let shop = Shop::on(Cluster::start(major));
    let right = if createdb { "CREATEDB" } else { "NOCREATEDB" };
    shop.cluster.psql("postgres", &format!("ALTER ROLE shop PASSWORD 'pw' {right}"));
    shop
}

fn way(createdb: bool) -> &'static str {
    if createdb { "is loaded beside as" } else { "is loaded in place" }
}

/// Saved by the account itself, spoilt, and brought back by it.
fn comes_back(shop: &Shop, createdb: bool) {
    as_customer(shop, ["backup"]).run().ok().says("the dump holds roles without their passwords");
    let saved = content(shop);
    shop.lose_orders();
    as_customer(shop, ["restore"]).run().ok().says(way(createdb));
    assert_same(&saved, &content(shop));
}

#[test]
fn without_the_passwords_of_roles_a_backup_is_made_and_restored_on_the_oldest_and_the_newest() {
    for major in [13, 18] {
        for createdb in [true, false] {
            let shop = customer(major, createdb);
            shop.cluster.psql("postgres", "CREATE ROLE clerk LOGIN PASSWORD 'theirs'; GRANT clerk TO shop");
            shop.cluster.psql("shop", "SET ROLE shop; GRANT SELECT ON orders TO clerk");
            comes_back(&shop, createdb);
            // A role that is made again has none, and says so in the dump: it cannot log in before it gets one.
            assert!(
                !String::from_utf8_lossy(&crate::job::gunzip(&std::fs::read(shop.dumps().remove(0)).expect("a dump")))
                    .contains("SCRAM-SHA-256")
            );
        }
    }
}

/// `public`, and extensions that the account could not make, belong to the provider: what is said of them stays unsaid.
fn the_providers_own_stays(major: u32, createdb: bool) {
    let shop = customer(major, createdb);
    shop.cluster.psql(
        "shop",
        "COMMENT ON SCHEMA public IS 'the provider''s words'; COMMENT ON EXTENSION plpgsql IS 'more of them';
         GRANT ALL ON SCHEMA public TO shop",
    );
    if !createdb {
        shop.cluster.psql("shop", "CREATE SCHEMA provided; COMMENT ON SCHEMA provided IS 'theirs'; CREATE EXTENSION pageinspect SCHEMA provided; GRANT USAGE ON SCHEMA provided TO shop");
    }
    as_customer(&shop, ["backup"]).run().ok();
    let (saved, orders) = (content(&shop), shop.orders());
    shop.lose_orders();
    as_customer(&shop, ["restore"]).run().ok().says(way(createdb));
    assert_eq!(shop.orders(), orders);
    if !createdb {
        assert_same(&saved, &content(&shop));
    }
}

#[test]
fn comments_and_rights_on_what_the_provider_owns_do_not_stop_a_restore() {
    for major in [13, 18] {
        for createdb in [true, false] {
            the_providers_own_stays(major, createdb);
        }
    }
}

/// Of template1, which the provider filled: in place it stays, beside it could not be made.
#[test]
fn extensions_that_come_from_template1_stay_in_place_and_are_named_beside() {
    for major in [13, 18] {
        let cluster = Cluster::start(major);
        cluster.psql("template1", "CREATE EXTENSION pageinspect");
        let shop = Shop::on(cluster);
        shop.cluster.psql("postgres", "ALTER ROLE shop PASSWORD 'pw'");
        comes_back(&shop, false);
        shop.cluster.psql("postgres", "ALTER ROLE shop CREATEDB");
        let told = as_customer(&shop, ["restore"]).run().fails_with(1);
        told.says("only a superuser can create the extensions pageinspect").says("nothing was begun");
    }
}

/// An extension's own table, with rows that are the application's: a dump has those rows.
fn config_rows(shop: &Shop) {
    shop.cluster.psql(
        "shop",
        "CREATE EXTENSION pageinspect; CREATE TABLE settings (name text PRIMARY KEY, value text, builtin boolean DEFAULT false);
         INSERT INTO settings VALUES ('a', 'the provider''s', true), ('b', 'ours', false);
         ALTER EXTENSION pageinspect ADD TABLE settings; GRANT SELECT ON settings TO shop;
         UPDATE pg_extension SET extconfig = ARRAY['settings'::regclass::oid], extcondition = ARRAY['WHERE NOT builtin'] WHERE extname = 'pageinspect'",
    );
}

#[test]
fn rows_in_tables_of_extensions_are_replaced_in_place_and_the_providers_own_stay() {
    for major in [13, 18] {
        let shop = customer(major, false);
        config_rows(&shop);
        let rows =
            || shop.cluster.psql("shop", "SELECT string_agg(name || '=' || value, ',' ORDER BY name) FROM settings");
        as_customer(&shop, ["backup"]).run().ok();
        let saved = rows();
        let live = content(&shop);
        as_customer(&shop, ["restore"])
            .run()
            .fails_with(1)
            .says("GRANT INSERT, DELETE ON public.settings")
            .says("nothing was begun");
        assert_same(&live, &content(&shop));
        shop.cluster.psql("shop", "GRANT INSERT, DELETE, UPDATE ON settings TO shop");
        shop.cluster.psql(
            "shop",
            "UPDATE settings SET value = 'lost' WHERE name = 'b'; INSERT INTO settings VALUES ('c', 'new')",
        );
        as_customer(&shop, ["restore"]).run().ok();
        assert_eq!(rows(), saved);
    }
}

#[test]
fn rows_in_tables_of_extensions_come_back_beside() {
    let home = crate::support::workdir::WorkDir::new();
    let place = home.dir("extension");
    for (name, content) in [
        ("kept.control", "default_version = '1'\nsuperuser = false\nrelocatable = false\n"),
        (
            "kept--1.sql",
            "CREATE TABLE settings (name text PRIMARY KEY, value text, builtin boolean DEFAULT false);
             INSERT INTO settings VALUES ('a', 'of the extension', true);
             SELECT pg_extension_config_dump('settings', 'WHERE NOT builtin');\n",
        ),
    ] {
        std::fs::write(place.join(name), content).expect("written");
    }
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let path = format!("extension_control_path = '$system:{}'", home.path().display());
    let shop = Shop::on(Cluster::options(18).conf(path).start());
    shop.cluster.psql("postgres", "ALTER ROLE shop PASSWORD 'pw' CREATEDB");
    shop.cluster.psql("shop", "SET ROLE shop; CREATE SCHEMA kept; CREATE EXTENSION kept SCHEMA kept; INSERT INTO kept.settings VALUES ('b', 'ours')");
    let rows =
        || shop.cluster.psql("shop", "SELECT string_agg(name || '=' || value, ',' ORDER BY name) FROM kept.settings");
    let saved = rows();
    as_customer(&shop, ["backup"]).run().ok();
    shop.cluster.psql("shop", "DELETE FROM kept.settings WHERE true");
    as_customer(&shop, ["restore"]).run().ok().says("is loaded beside as");
    assert_eq!(rows(), saved);
    shop.cluster.psql("shop", "DELETE FROM kept.settings WHERE name = 'b'");
    shop.cluster.psql("postgres", "ALTER ROLE shop NOCREATEDB");
    as_customer(&shop, ["restore"]).run().ok().says("is loaded in place");
    assert_eq!(rows(), saved);
}

/// Owners whose rights to create are grants, which a dump writes last.
fn owners_by_grant(shop: &Shop) {
    shop.cluster.psql("postgres", "CREATE ROLE clerk; CREATE ROLE group_of_clerks; GRANT group_of_clerks TO clerk; GRANT clerk, group_of_clerks TO shop");
    // Before 15 everybody may create in `public`, which is the provider's.
    let public = if shop.cluster.major() < 15 { "" } else { "GRANT CREATE ON SCHEMA public TO group_of_clerks, shop;" };
    shop.cluster.psql(
        "shop",
        &format!("SET ROLE shop; GRANT CREATE ON DATABASE shop TO group_of_clerks; RESET ROLE; {public}
         SET ROLE clerk; CREATE SCHEMA theirs; CREATE TABLE theirs.t AS SELECT 1 AS i; CREATE TABLE public.of_clerk AS SELECT 2 AS i; CREATE PUBLICATION news FOR TABLE theirs.t"),
    );
}

#[test]
fn owners_that_may_create_only_by_a_grant_get_what_is_theirs() {
    for major in [13, 18] {
        for createdb in [true, false] {
            let shop = customer(major, createdb);
            owners_by_grant(&shop);
            let rights = "SELECT datacl FROM pg_database WHERE datname = 'shop' UNION ALL SELECT nspacl FROM pg_namespace WHERE nspname = 'public'";
            let before = shop.cluster.psql("shop", rights);
            comes_back(&shop, createdb);
            let may = "SELECT has_schema_privilege('clerk', 'theirs', 'CREATE'), has_database_privilege('clerk', 'shop', 'CREATE')";
            assert_eq!(shop.cluster.psql("shop", may).trim(), "t|t");
            if major >= 15 {
                assert_eq!(shop.cluster.psql("shop", rights), before, "what was lent for the load is taken back");
            }
        }
    }
}

#[test]
fn an_owner_whose_right_cannot_be_lent_is_named_before_anything_begins() {
    for createdb in [true, false] {
        let shop = customer(18, createdb);
        owners_by_grant(&shop);
        shop.cluster.psql("shop", "SET ROLE shop; CREATE SCHEMA stock; GRANT CREATE, USAGE ON SCHEMA stock TO clerk; SET ROLE clerk; CREATE TABLE stock.of_clerk ()");
        as_customer(&shop, ["backup"]).run().ok();
        let live = content(&shop);
        let told = as_customer(&shop, ["restore"]).run().fails_with(1);
        told.says("\"clerk\" in schema \"stock\"")
            .says("nothing was begun")
            .never_says("\"clerk\" in schema \"public\"");
        assert_same(&live, &content(&shop));
        if !createdb {
            shop.cluster.psql("shop", "REVOKE CREATE ON DATABASE shop FROM group_of_clerks; REVOKE CREATE ON SCHEMA public FROM group_of_clerks; DROP TABLE stock.of_clerk");
            let told = as_customer(&shop, ["restore"]).run().fails_with(1);
            told.says("publications of the dump")
                .says("GRANT CREATE ON DATABASE \"shop\" TO \"clerk\"")
                .says("\"clerk\" in schema \"public\"")
                .says("nothing was begun");
        }
    }
}

#[test]
fn sessions_of_other_roles_keep_the_swap_from_happening_without_pg_signal_backend() {
    for major in [13, 18] {
        let shop = customer(major, true);
        shop.cluster.psql("postgres", "CREATE ROLE other LOGIN PASSWORD 'pw'");
        as_customer(&shop, ["backup"]).run().ok();
        let orders = shop.orders();
        shop.lose_orders();
        let lost = shop.orders();
        let mut psql = shop.cluster.client("psql");
        psql.env("PGUSER", "other").args(["-X", "-q", "-d", "shop", "-c", "SELECT pg_sleep(600)"]);
        let mut other = psql.spawn().expect("psql");
        let there = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'other' AND state = 'active'";
        crate::support::wait::until("the session", || shop.cluster.psql("postgres", there).trim() == "1");
        as_customer(&shop, ["restore"]).run().fails_with(1).says("of other (psql)").says("pg_signal_backend");
        assert_eq!(shop.orders(), lost);
        shop.cluster.psql("postgres", "GRANT pg_signal_backend TO shop");
        as_customer(&shop, ["restore"]).run().ok();
        let _ = other.kill();
        let _ = other.wait();
        assert_eq!(shop.orders(), orders);
    }
}
