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

/// What the terminal shows as expected, before anything has come.
fn expected(shop: &Shop) -> Option<String> {
    let sent = seen(shop, &[], |sent| plain(sent).contains("database shop  "));
    let (_, rest) = plain(&sent).split_once(" of about ").map(|(before, rest)| (before.to_owned(), rest.to_owned()))?;
    rest.split_once(',').map(|(bytes, _)| bytes.to_owned())
}

#[test]
fn what_is_expected_is_what_it_was_the_last_time_and_as_much_more_as_there_are_more_rows() {
    let shop = Shop::open();
    let analyse = || shop.cluster.psql("shop", "ANALYZE");
    assert_eq!(expected(&shop), None, "nobody has counted it, and there was no last time");
    analyse();
    let last = of_the_last_time(&shop);
    assert_eq!(expected(&shop).expect("the last time"), shown(last));
    // Twice as many rows, which the catalogue knows.
    shop.cluster.psql("shop", "INSERT INTO orders (customer, total) SELECT 1, 1 FROM generate_series(1, 1100)");
    analyse();
    let grown = expected(&shop).expect("the last time");
    assert_eq!(grown, shown(last * 2));
}

/// Bytes of the shop's database, as the seal of the newest dump has them.
fn of_the_last_time(shop: &Shop) -> u64 {
    let dumps = fs::read_dir(shop.bucket().join("db")).expect("a bucket");
    let newest = dumps.map(|entry| entry.expect("an entry").path()).filter(|path| path.extension().is_some()).max();
    let unpacked = Command::new("gunzip").arg("-c").arg(newest.expect("a dump")).output().expect("gunzip").stdout;
    let text = String::from_utf8(unpacked).expect("text");
    let seal = text.lines().last().and_then(|line| line.strip_prefix("-- bkp seal ")).expect("a seal");
    let seal: serde_json::Value = serde_json::from_str(seal).expect("JSON");
    seal["database_bytes"]["shop"].as_u64().expect("bytes")
}

/// As bars have it.
fn shown(bytes: u64) -> String {
    format!("{:.2} kB", bytes as f64 / 1000.0)
}

/// libfaketime, which gives a program the time that a file says.
const CLOCK: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

#[test]
fn without_a_terminal_a_step_that_waits_tells_so_each_minute() {
    assert!(std::path::Path::new(CLOCK).exists(), "no {CLOCK}: run `make install-parts`");
    let shop = Shop::open();
    let mut holder = holder(&shop);
    let clock = shop.work.file("clock", "+0");
    let (ahead, log) = (|minutes: u32| shop.work.file("clock", format!("+{minutes}m")), shop.work.join("log"));
    let heard = fs::File::create(&log).expect("a log");
    let said = || fs::read_to_string(&log).expect("a log").matches("database shop: ").count();
    let backup = shop.bkp(["backup"]).env("LD_PRELOAD", CLOCK).env("FAKETIME_TIMESTAMP_FILE", &clock);
    let backup = backup.env("FAKETIME_NO_CACHE", "1").env("BKP_TABLE_WAIT", "forever");
    let running = backup.by_way_of(["sh", "-c", "exec \"$@\" 2>\"$HEARD\"", "sh"]).env("HEARD", &log).spawn();
    drop(heard);
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    until("the dump to wait", || shop.cluster.psql("postgres", waits).trim() != "0");
    assert_eq!(said(), 0, "{:?}", fs::read_to_string(&log));
    for minutes in [2, 4] {
        let before = said();
        ahead(minutes);
        until("another line", || said() > before);
    }
    holder.kill().expect("killed");
    holder.wait().expect("ended");
    shop.cluster.psql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'sleep.600' AND pid <> pg_backend_pid()",
    );
    running.wait().ok();
    let log = fs::read_to_string(&log).expect("a log");
    assert!(log.contains("dumped database shop") && !log.contains(['\r', '\u{1b}']), "{log}");
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
