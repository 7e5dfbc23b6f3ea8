//! The run book: each situation is made, and its commands mend it.

use rustix::process::Signal;

use super::page::Page;
use super::world::World;
use crate::support::cluster::PASSWORD;
use crate::support::wait;

const PAGE: &str = "docs/runbook.md";

/// Where the page is cut in two, so that two tests play it side by side.
const SECOND_HALF: &str = "Locked by another run";

/// The id of the newest run.
fn newest(world: &World) -> String {
    let listed = world.shell("bkp list --json").ok();
    let run = listed.stdout.split("\"run\":").nth(1).and_then(|rest| rest.split('"').nth(1));
    run.unwrap_or_else(|| panic!("no run in {}", listed.stdout)).to_owned()
}

#[test]
fn what_is_lost_or_stands_still_comes_back_by_the_run_book() {
    let mut world = World::saved();
    world.pgpass();
    let [mut page, _] = Page::of(PAGE).split_at(SECOND_HALF);

    world.sql("DROP TABLE orders CASCADE");
    page.play("I dropped a table", &world);
    assert_eq!(world.orders(), "1000");
    world.sql("UPDATE orders SET total = 0");
    page.play("I dropped a table", &world);
    assert_eq!(world.sql("SELECT count(*) FROM orders WHERE total = 0"), "0");

    world.lose_everything();
    page.play("The cluster is gone", &world);
    assert_eq!((world.orders().as_str(), world.file("config/app.php").as_deref()), ("1000", Some("a setting")));

    world.lose_everything();
    let played = page.play("I only have the bucket and psql", &world).says("-- bkp seal").says("1000");
    assert_eq!(played.stderr.matches("ERROR").count(), 1, "{}", played.stderr);

    // The files of the lost world, and something that only the state before the restore has.
    world.shell("bkp restore --only files && bkp backup").ok();
    world.sql("INSERT INTO customers (name) VALUES ('of today')");
    world.shell("bkp restore").ok();
    let of_today = "SELECT count(*) FROM customers WHERE name = 'of today'";
    assert_eq!(world.sql(of_today), "0");
    page.play("A restore went wrong", &world);
    // What the undo put aside is not taken for what a dead run left.
    world.shell("bkp doctor").ok().never_says("died here");
    assert_eq!(world.sql(of_today), "1");

    paused_by_a_dead_run(&mut world);
    assert!(world.file("maintenance").is_some());
    page.play("An application stays down", &world);
    assert!(world.file("maintenance").is_none());
    world.set("BKP_PAUSE_COMMAND", "");
    world.set("BKP_RESUME_COMMAND", "");

    page.play("Last night's backup failed", &world);
    page.end();
}

#[test]
fn what_is_in_the_way_leaks_or_is_asked_for_is_dealt_with_by_the_run_book() {
    let mut world = World::saved();
    world.pgpass();
    let [_, mut page] = Page::of(PAGE).split_at(SECOND_HALF);

    let holder = held(&world);
    page.play("Locked by another run", &world);
    holder.wait().ok();
    page.play("Locked by another run", &world);
    page.play("Locked by another run", &world);

    let run = newest(&world);
    world.set("run", &run);
    world.sql("DELETE FROM orders");
    world.shell("bkp backup").fails_with(1);
    page.play("The newest backup shrank", &world);
    assert_eq!(world.orders(), "1000");
    world.sql("DELETE FROM orders");
    page.play("The newest backup shrank", &world);

    world.set("BKP_KEEP_LAST", "3");
    page.play("The disk is full", &world).says("forg");
    world.shell("bkp restore --only shop").ok();
    let aside = "SELECT count(*) FROM pg_database WHERE datname LIKE 'shop\\_\\_was%'";
    assert_eq!(world.sql(aside), "1");
    page.play("The disk is full", &world);
    assert_eq!(world.sql(aside), "0");

    leaks(&mut world, &mut page);
    parts(&world, &mut page);
    page.play("Test a restore now", &world);
    page.end();
}

/// A restore is killed while the application is paused for it.
fn paused_by_a_dead_run(world: &mut World) {
    world.set("BKP_MAINTENANCE_FILE", "/var/www/shop/maintenance");
    world.set("BKP_PAUSE_COMMAND", "sleep 60");
    world.set("BKP_RESUME_COMMAND", "true");
    let restore = world.bkp(["restore"]).spawn();
    let there = wait::poll(std::time::Duration::from_secs(60), || world.file("maintenance").map(|_| ()));
    assert!(there.is_some(), "never paused");
    restore.kill_group(Signal::KILL);
    let _ = restore.wait();
}

/// A backup that holds the application's lock, and waits a while for a table.
fn held(world: &World) -> crate::support::bkp::Running {
    let lock = "psql -X -q -d shop -c 'BEGIN; LOCK TABLE orders; SELECT pg_sleep(4); COMMIT'";
    let settings = "export PGHOST=postgresql-service PGUSER=postgres PGPASSFILE=/var/run/secrets/postgres/pgpass";
    let running = world.begin(&format!("{settings}; {lock} & bkp backup; wait")).spawn();
    let locked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
    let seen = wait::poll(std::time::Duration::from_secs(60), || (world.sql(locked) != "0").then_some(()));
    assert!(seen.is_some(), "no lock was ever held");
    running
}

/// Three passwords that somebody has read.
fn leaks(world: &mut World, page: &mut Page) {
    page.play("The password leaked", world);
    let new = std::fs::read_to_string(world.work.join("secrets/postgres/password")).expect("the new password");
    assert_ne!(new.trim(), PASSWORD);
    world.work.file("secrets/restic-new-password", "another one\n");
    page.play("The password leaked", world);
    world.work.file("secrets/restic-password-new", "of the new repository\n");
    page.play("The password leaked", world);
}

/// What is asked for piece by piece.
fn parts(world: &World, page: &mut Page) {
    world.work.file("www/shop/config/app.php", "broken");
    page.play("I need a part of it", world);
    assert_eq!(world.file("config/app.php").as_deref(), Some("a setting"));
    page.play("I need a part of it", world);
    assert_eq!(world.cluster.psql("shop_yesterday", "SELECT count(*) FROM orders"), "1000");
    page.play("I need a part of it", world);
    world.cluster.psql("postgres", "CREATE ROLE stays");
    page.play("I need a part of it", world);
}
