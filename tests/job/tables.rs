//! One table out of a backup: made again when it is gone, beside the live one, or in its place.

use rustix::process::Signal;

use super::Shop;
use crate::support::compare::{Snapshot, assert_same};
use crate::support::cut::{At, Line};
use crate::support::wait::until;

/// What else has to do with orders: lines that refer to them, a trigger, rights, a comment, row security, statistics.
const MORE: &str = r#"
CREATE ROLE clerk;
SET ROLE shop;
CREATE TABLE lines (id integer GENERATED ALWAYS AS IDENTITY, "order" bigint CONSTRAINT of_order REFERENCES orders ON DELETE CASCADE, what text);
INSERT INTO lines ("order", what) SELECT id, 'thing ' || id FROM orders;
CREATE TABLE audit (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO audit VALUES (TG_OP); RETURN NULL; END';
CREATE TRIGGER noted AFTER INSERT OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER truncated AFTER TRUNCATE ON orders FOR EACH STATEMENT EXECUTE FUNCTION note();
ALTER TABLE orders ADD COLUMN gross numeric GENERATED ALWAYS AS (total * 1.19) STORED;
ALTER TABLE orders ADD COLUMN parent bigint REFERENCES orders;
UPDATE orders SET parent = id - 1 WHERE id > 1;
COMMENT ON COLUMN orders.note IS 'a note; with ''quotes''';
COMMENT ON CONSTRAINT of_order ON lines IS 'of an order';
CREATE STATISTICS by_two ON customer, placed FROM orders;
GRANT SELECT ON orders TO clerk;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON orders FOR SELECT TO clerk USING (total < 10);
RESET ROLE;
"#;

fn rich() -> Shop {
    let shop = Shop::open();
    shop.cluster.psql("shop", MORE);
    shop
}

/// The one table of that beginning that a restore made.
fn made(shop: &Shop, mark: &str) -> String {
    let names = shop.cluster.psql(
        "shop",
        &format!("SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'p') AND relname LIKE '%\\_{mark}\\_%' AND NOT relispartition"),
    );
    let lines: Vec<&str> = names.lines().collect();
    assert_eq!(lines.len(), 1, "{names}");
    lines[0].to_owned()
}

fn rows(shop: &Shop, table: &str) -> String {
    let columns = "(o.id, o.customer, o.placed, o.note, o.total, o.gross, o.parent)";
    shop.cluster
        .psql("shop", &format!("SELECT count(*), md5(string_agg({columns}::text, '' ORDER BY id)) FROM {table} o"))
}

#[test]
fn a_dropped_table_comes_back_under_its_own_name_with_all_that_it_had() {
    let shop = rich();
    shop.bkp(["backup"]).run().ok();
    let before = Snapshot::of(&shop.cluster);
    let view = shop.cluster.psql("shop", "SELECT 'CREATE VIEW spent AS ' || pg_get_viewdef('spent')");
    shop.cluster.psql("shop", "DROP TABLE orders CASCADE");
    shop.bkp(["restore", "--table", "orders"]).run().ok().says("restored public.orders").says("view public.spent");
    shop.cluster.psql("shop", &format!("SET ROLE shop; {view}"));
    assert_same(&before, &Snapshot::of(&shop.cluster));
    assert!(shop.databases_of_ours().is_empty(), "the database that it came from is gone");
}

#[test]
fn a_key_that_the_live_rows_break_is_told_and_the_table_comes_back_all_the_same() {
    let shop = rich();
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "DROP TABLE orders CASCADE; UPDATE lines SET \"order\" = -1 WHERE id = 1");
    shop.bkp(["restore", "--table", "orders"]).run().ok().says("ADD CONSTRAINT \"of_order\" FOREIGN KEY");
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*) FROM orders").trim(), "1000");
}

#[test]
fn a_table_stands_beside_the_live_one_with_a_sequence_of_its_own_and_touches_nothing() {
    let shop = rich();
    let orders = rows(&shop, "orders");
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "DELETE FROM orders WHERE id > 10; ALTER TABLE orders ADD COLUMN newer integer");
    let live = Snapshot::of(&shop.cluster);
    let said = shop.bkp(["restore", "--table", "Public.Orders", "--json"]).run().ok();
    let copy = made(&shop, "bkp");
    said.says(&copy)
        .says("triggers (noted, truncated)")
        .says("foreign keys (orders_customer_fkey, orders_parent_fkey)");
    assert_eq!(rows(&shop, &copy), orders);
    // It is whole: its key, its check, its default and its generated column work, and the live sequence is not moved.
    let next = "SELECT last_value FROM orders_id_seq";
    let stood = shop.cluster.psql("shop", next);
    let added = format!("INSERT INTO {copy} (customer, total) VALUES (1, 100) RETURNING id, gross");
    assert_eq!(shop.cluster.psql("shop", &added).trim(), "1001|119.0000");
    assert_eq!(shop.cluster.psql("shop", next), stood);
    assert!(
        shop.cluster.try_psql("shop", &format!("INSERT INTO {copy} (id, customer, total) VALUES (1, 1, 1)")).is_err()
    );
    assert!(shop.cluster.try_psql("shop", &format!("INSERT INTO {copy} (customer, total) VALUES (1, -1)")).is_err());
    let kept = format!(
        "SELECT relowner::regrole, relrowsecurity, has_table_privilege('clerk', oid, 'SELECT'), \
         (SELECT count(*) FROM pg_index WHERE indrelid = c.oid), (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid), \
         (SELECT count(*) FROM pg_statistic_ext WHERE stxrelid = c.oid), col_description(oid, 4) FROM pg_class c WHERE oid = '{copy}'::regclass"
    );
    assert_eq!(shop.cluster.psql("shop", &kept).trim(), "shop|t|t|2|1|1|a note; with 'quotes'");
    shop.cluster.psql("shop", &format!("DROP TABLE {copy}"));
    assert_same(&live, &Snapshot::of(&shop.cluster));
}

#[test]
fn a_partitioned_table_with_an_odd_name_comes_with_its_partitions() {
    let shop = Shop::open();
    shop.cluster.psql(
        "shop",
        "CREATE SCHEMA \"odd.one\"; CREATE TYPE mood AS ENUM ('fine', 'so so');
         CREATE TABLE \"odd.one\".\"Weird \"\"Name\" (id int, how mood, doc jsonb, raw bytea, PRIMARY KEY (id)) PARTITION BY RANGE (id);
         CREATE TABLE \"odd.one\".low PARTITION OF \"odd.one\".\"Weird \"\"Name\" FOR VALUES FROM (0) TO (50);
         CREATE TABLE \"odd.one\".high PARTITION OF \"odd.one\".\"Weird \"\"Name\" FOR VALUES FROM (50) TO (1000);
         INSERT INTO \"odd.one\".\"Weird \"\"Name\" SELECT n, 'so so', jsonb_build_object('n', n), decode(md5(n::text), 'hex') FROM generate_series(1, 99) n",
    );
    let content = |table: &str| {
        shop.cluster.psql(
            "shop",
            &format!(
                "SELECT count(*), md5(string_agg(t::text, '' ORDER BY id)), count(DISTINCT tableoid) FROM {table} t"
            ),
        )
    };
    let before = content("\"odd.one\".\"Weird \"\"Name\"");
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "DELETE FROM \"odd.one\".low");
    let name = "\"odd.one\".\"Weird \"\"Name\"";
    shop.bkp(["restore", "--table", name]).run().ok();
    assert_eq!(content(&made(&shop, "bkp")), before);
    shop.bkp(["restore", "--table", name, "--in-place"]).run().ok();
    assert_eq!(content(name), before);
    shop.cluster.psql("shop", "DROP TABLE \"odd.one\".\"Weird \"\"Name\"");
    shop.bkp(["restore", "--table", name]).run().ok();
    assert_eq!(content(name), before);
}

#[test]
fn in_place_the_rows_are_the_backups_and_all_that_refers_to_the_table_stays() {
    let shop = rich();
    let orders = rows(&shop, "orders");
    shop.bkp(["backup"]).run().ok();
    shop.cluster
        .psql("shop", "INSERT INTO orders (customer, total) VALUES (1, 7); UPDATE orders SET total = 0 WHERE id < 500");
    let changed = rows(&shop, "orders");
    let schema = |shop: &Shop| {
        shop.cluster.pg_dump("shop", ["--schema-only", "--exclude-table=orders_was_*", "--restrict-key=x"])
    };
    let (before, audit) = (schema(&shop), shop.cluster.psql("shop", "SELECT count(*) FROM audit"));
    let said = shop.bkp(["restore", "--table", "orders", "--in-place"]).run().ok();
    assert_eq!(rows(&shop, "orders"), orders);
    let was = made(&shop, "was");
    said.says(&was);
    assert_eq!(rows(&shop, &was), changed);
    assert_eq!(
        String::from_utf8_lossy(&schema(&shop)),
        String::from_utf8_lossy(&before),
        "its keys, triggers and views are as they were"
    );
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*) FROM lines").trim(), "1000", "nothing cascaded");
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*) FROM audit"), audit, "no trigger fired");
    let added = "INSERT INTO orders (customer, total) VALUES (1, 1) RETURNING id";
    assert_eq!(shop.cluster.psql("shop", added).trim(), "1002", "a number that was handed out never comes again");
}

#[test]
fn in_place_everything_or_nothing() {
    let shop = rich();
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql(
        "shop",
        "INSERT INTO orders (customer, total) VALUES (1, 7); INSERT INTO lines (\"order\") VALUES (1001)",
    );
    let live = Snapshot::of(&shop.cluster);
    // A line refers to an order that the backup has not.
    shop.bkp(["restore", "--table", "orders", "--in-place"]).run().fails_with(1).says("as it was").says("of_order");
    assert_same(&live, &Snapshot::of(&shop.cluster));
    shop.cluster
        .psql("shop", "ALTER TABLE orders ADD COLUMN newer integer; ALTER TABLE orders ALTER note TYPE varchar(80)");
    let live = Snapshot::of(&shop.cluster);
    let refused = shop.bkp(["restore", "--table", "orders", "--in-place"]).run().fails_with(1);
    refused.says("the backup lacks column newer").says("note is character varying(80)");
    assert_same(&live, &Snapshot::of(&shop.cluster));
    assert!(shop.databases_of_ours().is_empty());
}

#[test]
fn a_name_that_is_not_there_is_told_with_those_that_are() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let live = Snapshot::of(&shop.cluster);
    shop.bkp(["restore", "--table", "ordesr"]).run().fails_with(1).says("no table ordesr").says("it has public.orders");
    shop.bkp(["restore", "--table", "spent"]).run().fails_with(1).says("is a view");
    shop.bkp(["restore", "--table", "a.b.c"]).run().fails_with(2).says("more than a schema and a table");
    shop.bkp(["restore", "--table", "orders", "--dry-run"]).run().ok().says("nothing was done");
    assert_same(&live, &Snapshot::of(&shop.cluster));
}

#[test]
fn an_owner_without_other_rights_restores_a_table_every_way() {
    let shop = rich();
    shop.cluster.psql("postgres", "ALTER ROLE shop CREATEDB");
    shop.cluster.psql("shop", "GRANT CREATE ON SCHEMA public TO shop");
    shop.bkp(["backup"]).run().ok();
    let orders = rows(&shop, "orders");
    let owner = |arguments: &[&str]| {
        let bkp = shop.bkp(["restore", "--table", "orders"]).env("POSTGRES_USER", "shop").args(arguments);
        bkp.env("POSTGRES_PASSWORD", "shop's: own \\ pass").run()
    };
    shop.lose_orders();
    owner(&["--in-place"]).ok();
    assert_eq!(rows(&shop, "orders"), orders);
    owner(&[]).ok();
    assert_eq!(rows(&shop, &made(&shop, "bkp")), orders);
    shop.cluster.psql("shop", "DROP TABLE orders CASCADE");
    owner(&[]).ok();
    assert_eq!(rows(&shop, "orders"), orders);
}

#[test]
fn a_restore_of_a_table_that_is_killed_leaves_nothing_half() {
    let shop = rich();
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "DELETE FROM orders WHERE id > 10");
    let live = rows(&shop, "orders");
    let mut holder = shop.hold_orders();
    let running = shop.bkp(["restore", "--table", "orders", "--in-place"]).spawn();
    let waiting = "SELECT count(*) FROM pg_locks WHERE relation IS NOT NULL AND NOT granted";
    until("the restore at the lock", || shop.cluster.psql("postgres", waiting).trim() != "0");
    running.kill_group(Signal::KILL);
    running.wait().fails_with(137);
    drop(holder.stdin.take());
    let _ = holder.wait();
    assert_eq!(rows(&shop, "orders"), live);
    shop.bkp(["resume"]).env("BKP_LOCK_WAIT", "20").run().ok();
    assert!(shop.databases_of_ours().is_empty(), "the next run drops what was loaded");
    let ours = "SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_was\\_%' OR relname LIKE '%\\_bkp\\_%'";
    assert_eq!(shop.cluster.psql("shop", ours).trim(), "0");
}

#[test]
fn tables_that_refer_to_each_other_come_back_together() {
    let shop = rich();
    shop.bkp(["backup"]).run().ok();
    let lines = "SELECT count(*), md5(string_agg(l::text, '' ORDER BY id)) FROM lines l";
    let (orders, its_lines) = (rows(&shop, "orders"), shop.cluster.psql("shop", lines));
    shop.cluster.psql(
        "shop",
        "INSERT INTO orders (customer, total) VALUES (1, 7); INSERT INTO lines (\"order\") VALUES (1001)",
    );
    shop.bkp(["restore", "--table", "lines", "--table", "orders", "--in-place"]).run().ok();
    assert_eq!((rows(&shop, "orders"), shop.cluster.psql("shop", lines)), (orders.clone(), its_lines.clone()));
    shop.cluster.psql("shop", "DROP TABLE orders, lines CASCADE");
    shop.bkp(["restore", "--table", "lines", "--table", "orders"]).run().ok();
    assert_eq!((rows(&shop, "orders"), shop.cluster.psql("shop", lines)), (orders, its_lines));
}

#[test]
fn in_place_no_trigger_of_a_partition_fires_and_each_is_as_it_was() {
    let shop = Shop::open_on(14);
    shop.cluster.psql(
        "shop",
        "CREATE TABLE audit (what text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO audit VALUES (TG_OP); RETURN NULL; END';
         CREATE TABLE p (i int) PARTITION BY RANGE (i);
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (50); CREATE TABLE p2 PARTITION OF p DEFAULT;
         CREATE TRIGGER noted AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION note();
         ALTER TABLE p2 DISABLE TRIGGER noted; INSERT INTO p SELECT generate_series(1, 99)",
    );
    let state = "SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger ORDER BY 1, 2";
    let (before, audit) = (shop.cluster.psql("shop", state), shop.cluster.psql("shop", "SELECT count(*) FROM audit"));
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "DELETE FROM p");
    shop.bkp(["restore", "--table", "p", "--in-place"]).run().ok();
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*), sum(i) FROM p").trim(), "99|4950");
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*) FROM audit"), audit);
    assert_eq!(shop.cluster.psql("shop", state), before);
}

/// Through a line that is cut at the COMMIT of the transaction that takes the tables.
fn through(shop: &Shop, at: At, arguments: &[&str]) -> (crate::support::bkp::Output, usize) {
    let line = Line::cutting(&shop.cluster, at, [b"SET LOCAL lock_timeout", b"COMMIT;\0"]);
    let bkp = shop.bkp(["restore", "--table", "orders"]).args(arguments).env("POSTGRES_PORT", line.port());
    (bkp.run(), line.cuts())
}

#[test]
fn a_line_that_is_cut_before_the_commit_has_changed_nothing_and_one_cut_after_it_everything() {
    let shop = rich();
    shop.bkp(["backup"]).run().ok();
    let saved = rows(&shop, "orders");
    for arguments in [&["--in-place"][..], &[]] {
        shop.cluster.psql("shop", "UPDATE orders SET note = 'lost' WHERE id % 2 = 0");
        let live = Snapshot::of(&shop.cluster);
        let lost = rows(&shop, "orders");
        let (out, cuts) = through(&shop, At::Before, arguments);
        out.fails_with(1).says("which is as it was");
        assert_eq!(cuts, 1);
        assert_same(&live, &Snapshot::of(&shop.cluster));
        assert!(shop.databases_of_ours().is_empty());

        let (out, cuts) = through(&shop, At::After, arguments);
        out.ok().says("lost just after the COMMIT, and the tables are there").says("restored public.orders");
        assert_eq!(cuts, 1);
        let mark = if arguments.is_empty() { "bkp" } else { "was" };
        let (made, now) = (made(&shop, mark), rows(&shop, "orders"));
        let expected = if arguments.is_empty() { (&lost, &saved) } else { (&saved, &lost) };
        assert_eq!((&now, &rows(&shop, &made)), expected);
        assert!(shop.databases_of_ours().is_empty());
        shop.cluster.psql("shop", &format!("DROP TABLE {made}"));
    }
}

#[test]
fn a_schema_that_is_gone_and_a_name_that_is_taken_are_told_before_anything_is_loaded() {
    let shop = Shop::open();
    shop.cluster.psql(
        "shop",
        "CREATE SCHEMA stock; CREATE TABLE stock.shelf AS SELECT 1 AS i; CREATE TABLE stock.empty (i int); CREATE TABLE stock.parts (i int) PARTITION BY RANGE (i)",
    );
    shop.bkp(["backup"]).run().ok();
    shop.cluster
        .psql("shop", "DROP SCHEMA stock CASCADE; DROP TABLE orders CASCADE; CREATE VIEW orders AS SELECT 1 AS i");
    let live = Snapshot::of(&shop.cluster);
    for table in ["shelf", "stock.shelf", "empty", "stock.parts"] {
        let out = shop.bkp(["restore", "--table", table]).run().fails_with(1);
        out.says("CREATE SCHEMA \"stock\" first").says("nothing was begun").never_says("loading shop");
    }
    let out = shop.bkp(["restore", "--table", "shelf", "--table", "orders", "--dry-run"]).run().fails_with(1);
    out.says("CREATE SCHEMA \"stock\" first").says("public.orders is no table in the live database");
    // Of a partitioned table that is called without its schema, only the loaded database knows.
    shop.bkp(["restore", "--table", "parts"])
        .run()
        .fails_with(1)
        .says("CREATE SCHEMA \"stock\" first")
        .says("loading shop");
    assert_same(&live, &Snapshot::of(&shop.cluster));
    shop.cluster.psql("shop", "CREATE SCHEMA stock");
    shop.bkp(["restore", "--table", "shelf"]).run().ok();
    assert_eq!(shop.cluster.psql("shop", "SELECT i FROM stock.shelf").trim(), "1");
}
