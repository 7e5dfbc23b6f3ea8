//! What the log tells: of which run and item a line is, how much was saved, and every warning once more at the end.

use serde_json::Value;

use super::Shop;

fn lines(stderr: &str) -> Vec<Value> {
    stderr.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn each_line_of_a_json_log_says_of_which_run_it_is() {
    let shop = Shop::open();
    // Another filter is for lines, not for what they belong to.
    for filter in [None, Some("bkp=info"), Some("debug")] {
        let backup = shop.bkp(["backup", "--json"]).env("BKP_LOG", "json").env("RUST_LOG", filter.unwrap_or_default());
        let backup = if filter.is_none() { backup.without("RUST_LOG") } else { backup };
        let out = backup.run().ok();
        let record: Value = serde_json::from_str(&out.stdout).expect("a record");
        let lines = lines(&out.stderr);
        let of_run =
            |line: &&Value| line["run"] == record["run"] && line["command"] == "backup" && line["app"] == "shop";
        // Before the run has a name there may be lines; after it none without.
        assert!(lines.iter().skip_while(|line| line["run"].is_null()).all(|line| of_run(&line)), "{}", out.stderr);
        assert!(lines.iter().filter(of_run).count() >= 3, "{}", out.stderr);
        let dumped =
            lines.iter().find(|line| line["item"] == "database shop" && line["rows"] == 1100).expect("the item");
        assert_eq!(dumped["bytes"].as_u64().map(|bytes| bytes > 10_000), Some(true), "{dumped}");
        let saved = lines.iter().find(|line| line["stored_bytes"].is_u64()).expect("the end");
        assert_eq!((&saved["rows"], &saved["bytes"]), (&record["rows"], &record["sql_bytes"]), "{saved}");
    }
}

#[test]
fn a_text_log_has_words_and_no_fields_that_repeat_them() {
    let shop = Shop::open();
    let out = shop.bkp(["backup"]).run().ok().says("dumped database shop: ").says("1100 rows");
    for field in ["bytes=", "item=", "run{", "\u{1b}["] {
        assert!(!out.stderr.contains(field), "{field}: {}", out.stderr);
    }
}

#[test]
fn a_warning_is_told_once_more_at_the_end_before_what_failed() {
    let shop = Shop::open();
    let out = shop.bkp(["backup"]).env("BKP_BUKCET", "x").run().ok();
    let last = out.stderr.lines().last().expect("lines");
    assert!(last.contains("INFO 1 warning: BKP_BUKCET is not known"), "{}", out.stderr);
    let out = shop.bkp(["backup"]).env("BKP_BUKCET", "x").env("BKP_APPS", "y").env("POSTGRES_DB", "absent").run();
    let at = |text: &str| out.stderr.find(text).unwrap_or_else(|| panic!("{text}: {}", out.stderr));
    assert!(at("warning 1 of 2: BKP_APPS") < at("warning 2 of 2: BKP_BUKCET"));
    assert!(at("warning 2 of 2") < at("ERROR"), "the error stands last: {}", out.stderr);
    shop.bkp(["backup"]).run().ok().never_says("warning");
}
