//! The pages that say what each command does.

use super::page::Page;
use super::world::World;

#[test]
fn the_page_of_restores_is_played() {
    let mut world = World::saved();
    let when = world.shell("date -u +'%Y-%m-%d %H:%M:%S'").ok().stdout;
    world.set("when", when.trim());
    let mut page = Page::of("docs/restore.md");
    world.sql(r#"CREATE TABLE "Odd Name" (a int); INSERT INTO "Odd Name" VALUES (1); CREATE SCHEMA shop; "#);
    world.sql(r#"CREATE TABLE shop."Odd Name" (a int); INSERT INTO shop."Odd Name" VALUES (1)"#);
    world.shell("bkp backup").ok();
    world.sql("DROP TABLE orders CASCADE; CREATE TABLE kept (a int)");
    page.play("Single tables", &world);
    assert_eq!(world.orders(), "1000");
    assert_eq!(world.sql(r"SELECT count(*) FROM pg_tables WHERE tablename LIKE 'orders\_was%'"), "1");
    std::fs::remove_dir_all(world.work.join("www/shop/data")).expect("removed");
    page.play("One file or directory", &world);
    assert_eq!(world.file("data/alice/photo.jpg").as_deref(), Some("a photo"));
    page.end();
}

#[test]
fn the_pages_of_drills_doctor_and_metrics_are_played() {
    let mut world = World::saved();
    world.set("POSTGRES_DB", "shop");
    world.sql("INSERT INTO orders (customer, total) VALUES (1, 1)");
    world.shell("bkp backup").ok();

    let mut page = Page::of("docs/drill.md");
    page.play("Proving that a backup restores", &world);
    let evidence = std::fs::read_to_string(world.work.join("backups/drill.json")).expect("the evidence");
    assert!(evidence.contains("max(placed)"), "{evidence}");
    page.end();

    let mut page = Page::of("docs/doctor.md");
    page.play("Before the first night", &world).says("server");
    page.end();

    // Nobody listens there, which fails nothing.
    world.work.file("secrets/monitoring/pushgateway", "http://127.0.0.1:9\n");
    world.work.file("secrets/monitoring/heartbeat", "http://127.0.0.1:9/x\n");
    let mut page = Page::of("docs/metrics.md");
    page.play("Metrics, heartbeats and alerts", &world);
    let metrics = std::fs::read_to_string(world.work.join("collector/bkp.prom")).expect("metrics");
    assert!(metrics.contains("bkp_last_success_timestamp_seconds"), "{metrics}");
    page.end();
}
