//! What Kubernetes shows of a container that has ended: the last words of its own command, and of no other.

use std::fs;
use std::path::PathBuf;

use super::Shop;
use crate::support::bkp::Bkp;
use crate::support::container::Container;
use crate::support::wait::until;

/// The file that Kubernetes mounts.
fn log(shop: &Shop) -> PathBuf {
    shop.work.file("termination-log", "")
}

fn job(shop: &Shop, bkp: Bkp) -> Bkp {
    Container::of_one(Container::with_termination_log(bkp, &shop.work, &log(shop)))
}

fn words(shop: &Shop) -> String {
    fs::read_to_string(shop.work.join("termination-log")).expect("the log")
}

#[test]
fn a_job_that_failed_leaves_its_exit_code_its_error_and_what_to_do() {
    let shop = Shop::open();
    let wrong = shop.bkp(["backup"]).env("POSTGRES_PASSWORD", "open-the-door");
    job(&shop, wrong).run().fails_with(12);
    let words = words(&shop);
    assert!(words.starts_with("exit 12 (wrong password): "), "{words}");
    assert!(words.contains("\nhint: ") && !words.contains("open-the-door"), "{words}");
}

#[test]
fn faults_of_the_settings_are_told_as_well() {
    let shop = Shop::open();
    job(&shop, shop.bkp(["backup"]).env("BKP_LOCK_WAIT", "soon").env("BKP_GZIP_LEVEL", "99")).run().fails_with(2);
    let words = words(&shop);
    assert!(words.starts_with("exit 2 (wrong use or settings): "), "{words}");
    assert!(words.contains("BKP_LOCK_WAIT") && words.contains("BKP_GZIP_LEVEL"), "{words}");
}

#[test]
fn a_job_that_ended_well_leaves_its_summary_in_place_of_what_was_there() {
    let shop = Shop::open();
    let backup = Container::with_termination_log(shop.bkp(["backup"]), &shop.work, &log(&shop));
    fs::write(shop.work.join("termination-log"), "x".repeat(9000)).expect("written");
    Container::of_one(backup).run().ok();
    let words = words(&shop);
    assert!(words.starts_with("saved 1 database (") && words.lines().count() == 1, "{words}");
}

#[test]
fn a_backup_whose_retention_failed_says_both() {
    let shop = Shop::open();
    for _ in 0..2 {
        shop.bkp(["backup"]).run().ok();
    }
    let last = shop.dumps().pop().expect("a dump");
    let mut damaged = fs::read(&last).expect("a dump");
    let seal = damaged.len() - 60;
    damaged[seal] ^= 0x55;
    fs::write(&last, &damaged).expect("written");
    let strict = shop.bkp(["backup"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1");
    job(&shop, strict).run().fails_with(4);
    let words = words(&shop);
    assert!(words.starts_with("exit 4 (saved, but old backups could not be forgotten): saved 1 database"), "{words}");
    assert!(words.contains("nothing was forgotten"), "{words}");
}

#[test]
fn the_command_of_a_shell_that_is_process_1_speaks_for_the_container() {
    let shop = Shop::open();
    let wrong = shop.bkp(["restore", "2001-01-01"]).by_way_of(["sh", "-c", "\"$@\"; exit $?", "sh"]);
    let code = job(&shop, wrong).run().code;
    let words = words(&shop);
    assert!(code != 0 && words.starts_with(&format!("exit {code} (")), "{words}");
}

#[test]
fn a_command_that_failed_beside_process_1_is_not_why_the_container_ended() {
    let shop = Shop::open();
    let idle = Bkp::bare().args(["wait"]);
    let container = Container::start(Container::with_termination_log(idle, &shop.work, &log(&shop)));
    container.exec(shop.bkp(["restore", "2001-01-01"])).run().says("hint: ");
    let shell = ["sh", "-c", "\"$@\"; exit $?", "sh"];
    container.exec(shop.bkp(["restore", "2001-01-01"]).by_way_of(shell)).run().says("hint: ");
    // One that process 1 has taken over before it begins.
    let said = shop.work.join("said");
    let orphan = ["sh", "-c", "(sleep 0.3; exec \"$@\") >\"$0\" 2>&1 &", said.to_str().expect("UTF-8")];
    let begun = container.exec(shop.bkp(["restore", "2001-01-01"]).by_way_of(orphan)).spawn();
    until("its end", || fs::read_to_string(&said).is_ok_and(|said| said.contains("hint: ")));
    begun.wait().ok();
    container.term();
    container.wait().ok();
    assert_eq!(words(&shop), "");
}

#[test]
fn without_the_file_or_the_right_to_write_it_nothing_is_made_and_nothing_fails() {
    let shop = Shop::open();
    Container::of_one(shop.bkp(["backup"])).run().ok();
    assert!(!std::path::Path::new("/dev/termination-log").exists());
    let read_only = "mount -o remount,bind,ro /dev/termination-log; exec \"$@\"";
    let backup = shop.bkp(["backup"]).by_way_of(["sh", "-c", read_only, "sh"]);
    job(&shop, backup).run().ok().never_says("termination");
    assert_eq!(words(&shop), "");
    // Somebody else's file.
    let backup = shop.bkp(["list"]).by_way_of(["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups"]);
    job(&shop, backup).run();
    assert_eq!(words(&shop), "");
}
