//! The swap, under applications that keep reconnecting.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Shop;

#[test]
fn applications_that_reconnect_all_the_time_do_not_keep_the_swap_from_happening() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let orders = shop.orders();
    shop.lose_orders();
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            let mut psql = shop.cluster.client("psql");
            psql.args(["-X", "-d", "shop", "-c", "SELECT count(*) FROM orders", "-c", "SELECT pg_sleep(0.05)"])
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if psql.status().is_ok_and(|status| status.success()) {
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    // And one that never goes by itself.
    let mut sleeper = shop
        .cluster
        .client("psql")
        .args(["-X", "-d", "shop", "-c", "SELECT pg_sleep(600)"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("psql starts");
    let out = shop.bkp(["restore"]).run();
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("a client"));
    let _ = sleeper.kill();
    let _ = sleeper.wait();
    out.ok();
    assert!(asked.load(Ordering::Relaxed) > 0, "nobody was there");
    assert_eq!(shop.orders(), orders);
}

#[test]
fn a_database_that_cannot_be_renamed_is_left_as_it_is_with_the_others() {
    let shop = Shop::open();
    shop.cluster.reconfigure("max_prepared_transactions = 5");
    shop.cluster.psql("postgres", "CREATE DATABASE second");
    shop.cluster.psql(
        "second",
        "CREATE TABLE t AS SELECT 1 AS i; \
         CREATE FUNCTION slow(i int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(1)'; \
         CREATE INDEX ON t (public.slow(i))",
    );
    let all =
        |arguments: &[&str]| crate::support::bkp::Bkp::new(&shop.cluster).bucket(&shop.bucket()).args(arguments).run();
    all(&["backup"]).ok();
    shop.lose_orders();
    let lost = shop.orders();
    shop.cluster.psql("second", "INSERT INTO t VALUES (2)");
    let prepare = |name: &str| {
        shop.cluster.psql("shop", &format!("BEGIN; CREATE TABLE {name} (i int); PREPARE TRANSACTION '{name}'"));
    };
    // Known before the load, it is told before; then one that comes while it runs.
    prepare("early");
    all(&["restore"]).fails_with(1).says("ROLLBACK PREPARED 'early'").says("nothing was begun");
    shop.cluster.psql("shop", "ROLLBACK PREPARED 'early'");
    let running = crate::support::bkp::Bkp::new(&shop.cluster).bucket(&shop.bucket()).args(["restore"]).spawn();
    crate::support::wait::until("the load", || {
        shop.databases_of_ours().iter().any(|name| name.starts_with("second__bkp"))
    });
    prepare("late");
    running.wait().fails_with(1).says("untouched").says("prepared transaction");
    assert_eq!(shop.orders(), lost);
    assert_eq!(shop.cluster.psql("second", "SELECT count(*) FROM t").trim(), "2", "all are swapped or none");
    assert!(shop.databases_of_ours().is_empty());
}
