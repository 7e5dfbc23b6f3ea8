//! One table out of a backup, where the live database makes it hard: partitions, rights that every new table gets, odd sequences.

use rustix::process::Signal;

use super::Shop;
use crate::support::cluster::Cluster;
use crate::support::compare::{Snapshot, assert_same};
use crate::support::wait::until;

/// A partitioned table to which another one refers, with a key, an index, a trigger and rows.
const PARTED: &str = "CREATE TABLE kinds (id int PRIMARY KEY); INSERT INTO kinds SELECT generate_series(0, 99);
    CREATE TABLE p (i int PRIMARY KEY, kind int REFERENCES kinds, note text DEFAULT 'x') PARTITION BY RANGE (i);
    CREATE INDEX ON p (note);
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER t BEFORE UPDATE ON p FOR EACH ROW EXECUTE FUNCTION f();
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (50); CREATE TABLE p2 PARTITION OF p DEFAULT;
    INSERT INTO p SELECT n, n FROM generate_series(1, 99) n;
    CREATE TABLE refers (i int REFERENCES p); INSERT INTO refers VALUES (7)";

fn a_dropped_partition_comes_back(major: u32) {
    let shop = Shop::open_on(major);
    shop.cluster.psql("shop", PARTED);
    shop.bkp(["backup"]).run().ok();
    let before = Snapshot::of(&shop.cluster);
    // As people do it: a key to the whole is in the way of that.
    let key = "ALTER TABLE refers DROP CONSTRAINT refers_i_fkey";
    let key_again = "ALTER TABLE refers ADD CONSTRAINT refers_i_fkey FOREIGN KEY (i) REFERENCES p(i)";
    shop.cluster.psql("shop", &format!("{key}; DROP TABLE p1"));
    shop.bkp(["restore", "--table", "p1"]).run().ok().says("restored public.p1");
    shop.cluster.psql("shop", key_again);
    assert_same(&before, &Snapshot::of(&shop.cluster));

    // Beside the live one it stands alone.
    shop.bkp(["restore", "--table", "p1"]).run().ok().says("ATTACH PARTITION");
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*) FROM p").trim(), "99");

    // Where rows have come meanwhile it cannot be a partition, and is there all the same.
    shop.cluster.psql("shop", &format!("{key}; DROP TABLE p1; INSERT INTO p VALUES (7, 7)"));
    shop.bkp(["restore", "--table", "p1"]).run().ok().says("ATTACH PARTITION").says("stands alone");
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*), sum(i) FROM p1").trim(), "49|1225");
}

#[test]
fn on_13_a_dropped_partition_comes_back_into_its_table() {
    a_dropped_partition_comes_back(13);
}

#[test]
fn on_18_a_dropped_partition_comes_back_into_its_table() {
    a_dropped_partition_comes_back(18);
}

#[test]
fn in_place_no_trigger_of_the_table_that_a_partition_is_of_fires() {
    let shop = Shop::open_on(16);
    shop.cluster.psql(
        "shop",
        "CREATE TABLE audit (what text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.audit VALUES (TG_OP); RETURN NULL; END';
         CREATE TABLE p (i int) PARTITION BY RANGE (i);
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (50); CREATE TABLE p2 PARTITION OF p DEFAULT;
         INSERT INTO p SELECT generate_series(1, 99);
         CREATE TRIGGER noted AFTER INSERT ON p FOR EACH STATEMENT EXECUTE FUNCTION note();
         CREATE TRIGGER each AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION note()",
    );
    let state = "SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger ORDER BY 1, 2";
    let before = shop.cluster.psql("shop", state);
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "DELETE FROM p1");
    shop.bkp(["restore", "--table", "p1", "--in-place"]).run().ok();
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*), sum(i) FROM p1").trim(), "49|1225");
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*) FROM audit").trim(), "0");
    assert_eq!(shop.cluster.psql("shop", state), before);
}

#[test]
fn who_may_not_read_a_table_may_not_read_what_a_restore_makes_of_it() {
    let shop = Shop::open_on(16);
    shop.cluster.psql(
        "shop",
        "CREATE ROLE reporting; CREATE ROLE \"odd Role\";
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reporting, PUBLIC; ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO reporting;
         CREATE TABLE secrets (id serial PRIMARY KEY, s text); INSERT INTO secrets (s) VALUES ('x');
         REVOKE ALL ON secrets FROM reporting, PUBLIC; REVOKE ALL ON secrets_id_seq FROM reporting;
         GRANT SELECT, INSERT ON secrets TO \"odd Role\"; ALTER TABLE secrets OWNER TO shop",
    );
    let rights = |like: &str| {
        let asked = format!(
            "SELECT relkind, string_agg(a.grantee::regrole || ' ' || a.privilege_type, ', ' ORDER BY 1)
             FROM pg_class, aclexplode(relacl) a WHERE relname LIKE '{like}' AND a.grantee <> relowner GROUP BY 1 ORDER BY 1"
        );
        shop.cluster.psql("shop", &asked).trim().to_owned()
    };
    let own = "r|\"odd Role\" INSERT, \"odd Role\" SELECT";
    assert_eq!(rights("secrets%"), own);
    shop.bkp(["backup"]).run().ok();
    shop.bkp(["restore", "--table", "secrets"]).run().ok();
    assert_eq!(rights("secrets%\\_bkp\\_%"), own, "beside");
    shop.bkp(["restore", "--table", "secrets", "--in-place"]).run().ok();
    assert_eq!(rights("secrets%\\_was\\_%"), "", "the former rows are the owner's");
    shop.cluster.psql("shop", "DROP TABLE secrets");
    shop.bkp(["restore", "--table", "secrets"]).run().ok();
    assert_eq!((rights("secrets").as_str(), rights("secrets\\_id\\_seq").as_str()), (own, ""), "made again");
}

#[test]
fn a_table_that_is_named_twice_comes_once() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let orders = shop.orders();
    let twice = || shop.bkp(["restore", "--table", "orders", "--table", "public.orders"]);
    shop.lose_orders();
    twice().args(["--in-place"]).run().ok();
    assert_eq!(shop.orders(), orders);
    twice().run().ok();
    let copies = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^orders_(was|bkp)_'";
    assert_eq!(shop.cluster.psql("shop", copies).trim(), "2");
}

#[test]
fn a_sequence_that_has_come_to_its_end_is_no_obstacle() {
    let shop = Shop::open();
    shop.cluster.psql(
        "shop",
        "CREATE TABLE big (id bigserial PRIMARY KEY, t text); INSERT INTO big (t) VALUES ('a'); SELECT setval('big_id_seq', 9223372036854775807);
         CREATE TABLE small (id smallserial PRIMARY KEY, t text); INSERT INTO small (t) VALUES ('a'); SELECT setval('small_id_seq', 32767)",
    );
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "DELETE FROM big; SELECT setval('small_id_seq', 1)");
    shop.bkp(["restore", "--table", "big", "--table", "small", "--in-place"]).run().ok();
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*) FROM big").trim(), "1");
    assert!(shop.cluster.try_psql("shop", "SELECT nextval('big_id_seq')").is_err(), "it is at its end as before");
    assert_eq!(shop.cluster.psql("shop", "SELECT nextval('small_id_seq')").trim(), "32767", "as near as it goes");
}

#[test]
fn who_always_wants_a_safety_backup_gets_one_of_a_table_in_place() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let orders = shop.orders();
    shop.lose_orders();
    let restore = || shop.bkp(["restore", "--table", "orders", "--in-place"]).env("BKP_SAFETY_BACKUP", "1");
    restore().args(["--dry-run"]).run().ok().says("first a safety backup");
    assert_eq!(shop.dumps().len(), 1);
    // Without it nothing is done.
    let mut holder = shop.hold_orders();
    restore().run().fails_with(1).says("the safety backup failed");
    drop(holder.stdin.take());
    let _ = holder.wait();
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'";
    until("the lock to go", || shop.cluster.psql("shop", held).trim() == "0");
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*) FROM orders").trim(), "0");
    restore().run().ok().says("is saved as safety backup");
    assert_eq!((shop.dumps().len(), shop.orders()), (2, orders));
    assert!(shop.databases_of_ours().is_empty());
}

#[test]
fn asked_to_stop_it_stops_at_once_whatever_the_server_waits_for() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.lose_orders();
    let live = Snapshot::of(&shop.cluster);
    let mut holder = shop.hold_orders();
    let running = shop.bkp(["restore", "--table", "orders", "--in-place"]).spawn();
    let waiting = "SELECT count(*) FROM pg_locks WHERE relation IS NOT NULL AND NOT granted";
    until("the restore at the lock", || shop.cluster.psql("postgres", waiting).trim() != "0");
    // All but the COMMIT is in psql's pipe by now: what is loaded was read, and nobody but us is there any more.
    let read = "SELECT count(*) || bool_and(query LIKE '%hashtextextended%')::text FROM pg_stat_activity WHERE datname LIKE 'shop\\_\\_bkp%'";
    until("pg_dump to end", || shop.cluster.psql("postgres", read).trim() == "1true");
    running.kill(Signal::TERM);
    running.wait().fails_with(143);
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'bkp%'";
    assert_eq!(shop.cluster.psql("postgres", sessions).trim(), "0", "the server does not wait on with locks");
    drop(holder.stdin.take());
    let _ = holder.wait();
    assert_same(&live, &Snapshot::of(&shop.cluster));
    assert!(shop.databases_of_ours().is_empty());
}

#[test]
fn what_keeps_a_table_from_the_live_database_is_told_in_words_about_that() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "ALTER TABLE orders RENAME TO orders_of_before");
    let live = Snapshot::of(&shop.cluster);
    let taken = shop.bkp(["restore", "--table", "orders"]).run().fails_with(1).says("which is as it was");
    taken.says("already exists").says("hint: something in the live database has that name").never_says("of the dump");
    assert_same(&live, &Snapshot::of(&shop.cluster));
}

#[test]
fn the_plan_tells_that_what_is_made_is_published_and_subscribers_stop_at_it() {
    let shop = Shop::on(Cluster::options(16).conf("wal_level = logical").start());
    shop.cluster.psql("shop", "CREATE PUBLICATION everything FOR ALL TABLES; CREATE PUBLICATION one FOR TABLE orders");
    shop.cluster.psql("shop", "CREATE PUBLICATION of_a_schema FOR TABLES IN SCHEMA public");
    shop.bkp(["backup"]).run().ok();
    let plan = shop.bkp(["restore", "--table", "orders", "--in-place", "--dry-run"]).run().ok();
    plan.says("publication everything holds").says("publication of_a_schema holds").never_says("publication one");

    let subscriber = Cluster::start(16);
    subscriber.psql("postgres", "CREATE ROLE shop");
    subscriber.psql(
        "postgres",
        &String::from_utf8(shop.cluster.pg_dump("shop", ["--schema-only", "--no-publications"])).expect("UTF-8"),
    );
    let (host, port) = (shop.cluster.socket_dir(), shop.cluster.port());
    let address = format!("host={host} port={port} user=postgres dbname=shop");
    subscriber.psql("postgres", &format!("CREATE SUBSCRIPTION s CONNECTION '{address}' PUBLICATION everything"));
    until("the rows", || subscriber.psql("postgres", "SELECT count(*) FROM orders").trim() == "1000");
    shop.bkp(["restore", "--table", "orders", "--in-place"]).run().ok();
    until("the subscriber to stop", || subscriber.log().contains("target relation \"public.orders_was_"));
}

#[test]
fn a_column_that_is_computed_otherwise_by_now_is_another_column() {
    let shop = Shop::open();
    let gross = |factor: &str| {
        format!("ALTER TABLE orders ADD COLUMN gross numeric GENERATED ALWAYS AS (total * {factor}) STORED")
    };
    shop.cluster.psql("shop", &gross("1.16"));
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", &format!("ALTER TABLE orders DROP COLUMN gross; {}", gross("1.19")));
    let live = Snapshot::of(&shop.cluster);
    let refused = shop.bkp(["restore", "--table", "orders", "--in-place"]).run().fails_with(1);
    refused.says("other columns than in the backup").says("(total * 1.19)").says("(total * 1.16)");
    assert_same(&live, &Snapshot::of(&shop.cluster));
}

#[test]
fn rows_that_something_in_the_live_database_adds_are_a_proof_that_failed() {
    let shop = Shop::open_on(17);
    shop.cluster.psql("shop", "CREATE TABLE notes (note text); INSERT INTO notes VALUES ('ours')");
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql(
        "shop",
        "DROP TABLE notes;
         CREATE FUNCTION meddle() RETURNS event_trigger LANGUAGE plpgsql AS
           $$ BEGIN INSERT INTO public.notes VALUES ('of somebody else'); END $$;
         CREATE EVENT TRIGGER meddle ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION meddle()",
    );
    let told = shop.bkp(["restore", "--table", "notes"]).run().fails_with(5);
    told.says("the rows of public.notes are not those of the backup").says("which is as it was");
    assert_eq!(shop.cluster.psql("shop", "SELECT to_regclass('notes') IS NULL").trim(), "t");
}
