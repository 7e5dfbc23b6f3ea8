//! Accounts as providers of PostgreSQL give them: no superuser, and not always CREATEDB.

mod beside;
mod in_place;
mod provider;
mod roles;
mod undo;

use crate::job::Shop;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::compare::Snapshot;

/// A shop as a provider's customer has it: an extension that is the provider's, and everything else the customer's.
fn managed(major: u32) -> Shop {
    let shop = Shop::on(Cluster::start(major));
    shop.cluster.psql("postgres", "ALTER ROLE shop PASSWORD 'pw'");
    shop.cluster.psql(
        "shop",
        "CREATE EXTENSION pageinspect; CREATE EXTENSION pg_trgm;
         COMMENT ON EXTENSION pg_trgm IS 'the provider''s words';
         SET ROLE shop;
         CREATE SCHEMA stock;
         CREATE TYPE stock.state AS ENUM ('here', 'gone');
         CREATE TYPE stock.pair AS (a int, b text);
         CREATE DOMAIN stock.amount AS int CHECK (VALUE >= 0);
         CREATE TABLE stock.shelf (id int PRIMARY KEY, state stock.state, pairs stock.pair[], note text, amount stock.amount);
         INSERT INTO stock.shelf SELECT n, 'here', ARRAY[(n, 'x')::stock.pair], 'n', n FROM generate_series(1, 50) n;
         CREATE INDEX ON stock.shelf USING gin (note gin_trgm_ops);
         CREATE FUNCTION stock.twice(i int) RETURNS int LANGUAGE sql AS 'SELECT 2 * i';
         CREATE AGGREGATE stock.all_of(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
         CREATE OPERATOR stock.%% (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl);
         CREATE MATERIALIZED VIEW stock.many AS SELECT count(*) FROM stock.shelf;
         CREATE TABLE stock.parts (id int) PARTITION BY RANGE (id);
         CREATE TABLE stock.part_1 PARTITION OF stock.parts FOR VALUES FROM (0) TO (10);
         ALTER DEFAULT PRIVILEGES IN SCHEMA stock GRANT SELECT ON TABLES TO PUBLIC;
         ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
         SELECT lo_from_bytea(4711, 'a large object');",
    );
    shop
}

/// What an accident leaves: some of it gone, some of it new.
fn wreck(shop: &Shop) {
    shop.lose_orders();
    shop.cluster.psql(
        "shop",
        "SET ROLE shop; DROP SCHEMA stock CASCADE; CREATE SCHEMA newer; CREATE TABLE newer.t (i int);
         CREATE VIEW newer.v AS SELECT * FROM orders; ALTER TABLE orders ADD COLUMN later int;
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC;
         SELECT lo_unlink(4711), lo_from_bytea(4712, 'another')",
    );
}

fn content(shop: &Shop) -> Snapshot {
    Snapshot::of_databases(&shop.cluster, &["shop"])
}

/// bkp as the customer's own account.
fn as_customer<const N: usize>(shop: &Shop, arguments: [&str; N]) -> Bkp {
    shop.bkp(arguments).env("POSTGRES_USER", "shop").env("POSTGRES_PASSWORD", "pw")
}
