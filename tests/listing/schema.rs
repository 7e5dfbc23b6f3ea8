//! docs/list.schema.json says what is printed, held against it by a validator that is not ours.

use std::process::Command;

use super::with_bucket;
use crate::items::App;
use crate::items::quick::listed;
use crate::support::parts;
use crate::support::run::run;

/// Validates what stands on standard input against a definition of the schema; the kinds of keys that were seen are printed.
const VALIDATE: &str = r##"
import json, sys
from jsonschema import Draft202012Validator, FormatChecker
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
if sys.argv[2] != "runs":
    schema["items"] = {"$ref": "#/$defs/" + sys.argv[2]}
faults = list(Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(json.load(sys.stdin)))
sys.exit("\n".join(f"{list(fault.absolute_path)}: {fault.message}" for fault in faults) or 0)
"##;

/// What the validator of `tests/support/install-manifest-tools` says; nothing when the document is as described.
fn faults(document: &str, what: &str) -> String {
    let python = parts::cache().join("manifest-tools/venv/bin/python");
    assert!(python.exists(), "{} is missing: tests/support/install-manifest-tools", python.display());
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/list.schema.json");
    let ran = run(Command::new(python).args(["-c", VALIDATE, schema, what]), document.as_bytes());
    if ran.success { String::new() } else { ran.stderr }
}

#[test]
fn all_that_a_list_prints_is_as_the_schema_says() {
    let app = App::quick();
    app.work.dir("dumps/db");
    let json = |arguments: &[&str]| with_bucket(&app, arguments).args(["--json"]).run().ok().stdout;
    assert_eq!(faults(&json(&["list"]), "runs"), "");
    app.work.file("dumps/db/db_dump-20250101_000000.bak.gz", "of another tool");
    with_bucket(&app, &["backup"]).run().ok();
    with_bucket(&app, &["drill"]).run().ok();
    with_bucket(&app, &["restore"]).env("BKP_SAFETY_BACKUP", "1").run().ok();
    app.cluster.psql("shop", "TRUNCATE orders");
    with_bucket(&app, &["backup"]).run().fails_with(1);
    let rows = listed(with_bucket(&app, &["list", "--json"]));
    let whole = |row: &&serde_json::Value| row["snapshots"].as_array().is_some_and(|snapshots| snapshots.len() == 3);
    let is_files = |one: &&serde_json::Value| one["item"].as_str().is_some_and(|item| item.starts_with("files"));
    let newest = rows.iter().find(whole).expect("a run of three snapshots");
    let files = newest["snapshots"].as_array().expect("snapshots").iter().find(is_files);
    assert!(app.restic("", ["forget", files.expect("a snapshot")["id"].as_str().expect("an id")]).success);
    damage(&app);
    let runs = json(&["list"]);
    assert_eq!(faults(&runs, "runs"), "");
    for key in [
        "\"missing\":[",
        "\"problem\":\"",
        "\"safety\":true",
        "\"shrunk\":[",
        "\"proven_from\":[",
        "\"snapshots\":[",
        "\"run\":null",
    ] {
        assert!(runs.contains(key), "{key}: {runs}");
    }
    let replaced = json(&["list", "--replaced"]);
    assert_eq!(faults(&replaced, "replaced"), "");
    assert_eq!(listed(with_bucket(&app, &["list", "--replaced", "--json"])).len(), 2);
}

/// A dump whose end is there and says nothing that can be read.
fn damage(app: &App) {
    let bucket = app.work.join("dumps/db");
    let sizes = |path: &std::path::PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
    let dumps = std::fs::read_dir(&bucket).expect("dumps").flatten().map(|entry| entry.path());
    let mut bytes = std::fs::read(dumps.max_by_key(sizes).expect("a dump")).expect("read");
    let end = bytes.len() - 60;
    bytes[end..end + 20].fill(0x5a);
    std::fs::write(bucket.join("db_dump-20250102_000000.bak.gz"), bytes).expect("written");
}

#[test]
fn a_key_that_the_schema_does_not_know_is_found() {
    let row = r#"{"run":null,"time":"2026-11-21T23:10:04Z","items":["dump"],"stored_bytes":1,"restored_bytes":null,"sql_bytes":null,
        "sealed":false,"proven":null,"app":null,"server":null,"databases":[],"rows":null"#;
    assert_eq!(faults(&format!("[{row}}}]"), "runs"), "");
    assert!(faults(&format!("[{row},\"colour\":\"red\"}}]"), "runs").contains("colour"));
    assert!(faults(&format!("[{}}}]", row.replace("\"sealed\":false,", "")), "runs").contains("sealed"));
    assert!(faults(&format!("[{}}}]", row.replace("\"dump\"", "\"cake\"")), "runs").contains("cake"));
}
