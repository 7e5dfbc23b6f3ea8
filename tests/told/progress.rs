//! How far a run is, as people see it: bars on a terminal, which is a real pseudo terminal here, and none in a log.

use std::fs;
use std::process::{Command, Stdio};

use super::Shop;
use crate::support::bkp::Bkp;
use crate::support::wait::until;

/// A session that holds the orders, so that a dump waits for them.
fn holder(shop: &Shop) -> std::process::Child {
    let mut psql = shop.cluster.client("psql");
    psql.args(["-X", "-q", "-d", "shop", "-c", "BEGIN; LOCK TABLE orders", "-c", "SELECT pg_sleep(600)"]);
    let holder = psql.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("psql");
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND database <> 0";
    until("the lock", || shop.cluster.psql("postgres", held).trim() != "0");
    holder
}

/// A backup on a terminal of its own, seen while it waits; everything that the terminal was sent.
fn seen(shop: &Shop, settings: &[(&str, &str)], while_it_waits: impl Fn(&str) -> bool) -> String {
    let screen = shop.work.join("screen");
    let _ = fs::remove_file(&screen);
    let mut holder = holder(shop);
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-f", "-c", concat!(env!("CARGO_BIN_EXE_bkp"), " backup")]).arg(&screen);
    let bkp = Bkp::by(script).env("BKP_APP", "shop").env("TERM", "xterm").env("POSTGRES_DB", "shop");
    let bkp =
        shop.cluster.env().into_iter().fold(bkp.bucket(&shop.bucket()), |bkp, (name, value)| bkp.env(&name, value));
    let running = settings.iter().fold(bkp, |bkp, (name, value)| bkp.env(name, value)).spawn();
    let sent = || fs::read_to_string(&screen).unwrap_or_default();
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    until("the dump to wait", || shop.cluster.psql("postgres", waits).trim() != "0");
    until("the terminal", || while_it_waits(&sent()));
    let ended =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'sleep.600' AND pid <> pg_backend_pid()";
    shop.cluster.psql("postgres", ended);
    holder.wait().expect("ended");
    running.wait().ok();
    sent()
}

/// What a terminal is sent, without its commands.
fn plain(sent: &str) -> String {
    let mut plain = String::new();
    let mut rest = sent;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once(|letter: char| letter.is_ascii_alphabetic()).map_or("", |(_, rest)| rest);
    }
    plain + rest
}

#[test]
fn on_a_terminal_there_is_a_bar_and_no_log_line_is_garbled_by_it() {
    let shop = Shop::open();
    // Longer than ten seconds, so that a log line comes while the bar stands there.
    let sent = seen(&shop, &[], |sent| sent.contains("database shop  ") && sent.contains("waiting since"));
    assert!(sent.contains("B/s"), "a rate: {sent:?}");
    let lines: Vec<String> = plain(&sent).lines().map(|line| line.trim_start_matches('\r').to_owned()).collect();
    let told: Vec<&String> = lines.iter().filter(|line| line.contains(" INFO ") || line.contains(" WARN ")).collect();
    assert!(told.len() >= 3, "{lines:?}");
    for line in told {
        let line = line.rsplit('\r').next().unwrap_or(line);
        assert!(line.starts_with("20") && line.matches(" INFO ").count() <= 1, "garbled: {line:?}");
    }
    let last = lines.iter().rev().find(|line| !line.trim().is_empty() && !line.contains("Script")).expect("lines");
    assert!(last.contains(" INFO 1 warning: waiting since"), "the bar is gone, the log's end is there: {last:?}");
}

#[test]
fn colours_are_left_out_where_nobody_wants_them() {
    let shop = Shop::open();
    let of = |settings: &[(&str, &str)]| seen(&shop, settings, |sent| sent.contains("database shop  "));
    assert!(of(&[]).contains("\u{1b}[32m"), "a terminal has colours");
    let sent = of(&[("NO_COLOR", "1")]);
    assert!(!sent.contains("\u{1b}[3") && sent.contains(" INFO "), "{sent:?}");
}

#[test]
fn json_lines_stay_json_lines_on_a_terminal() {
    let shop = Shop::open();
    let sent = seen(&shop, &[("BKP_LOG", "json")], |sent| sent.contains("application shop"));
    for line in sent.lines().filter(|line| !line.contains("Script ") && !line.trim().is_empty()) {
        assert!(serde_json::from_str::<serde_json::Value>(line.trim()).is_ok(), "{line:?}");
    }
}

#[test]
fn without_a_terminal_there_is_no_bar() {
    let shop = Shop::open();
    let out = shop.bkp(["backup"]).env("TERM", "xterm").run().ok();
    assert!(!out.stderr.contains(['\r', '\u{1b}']), "{:?}", out.stderr);
    assert!(!out.stderr.contains("B/s left") && !out.stderr.contains("of about"), "{}", out.stderr);
}
