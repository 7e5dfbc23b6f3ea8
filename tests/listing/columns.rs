//! What stands in which line.

use super::{newest, with_bucket};
use crate::items::App;

#[test]
fn a_list_says_what_a_tired_operator_wants_to_know() {
    let app = App::quick();
    with_bucket(&app, &["backup"]).run().ok();
    with_bucket(&app, &["drill"]).run().ok();
    let out = with_bucket(&app, &["list"]).run().ok();
    let lines: Vec<&str> = out.stdout.lines().collect();
    for heading in ["AGE", "TIME (UTC)", "RUN", "STATE", "PROVEN", "RESTORES", "STORED"] {
        assert!(lines[0].contains(heading), "{}", out.stdout);
    }
    let run = newest(&app);
    assert!(lines[1].contains(" ago") || lines[1].contains("just now"), "{}", out.stdout);
    assert!(lines[1].contains(&run) && lines[1].contains(" sealed "), "{}", out.stdout);
    out.says("database shop (1100 rows) in db/db_dump-").says("proven from ").never_says("\x1b[");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let app = App::quick();
    with_bucket(&app, &["backup"]).run().ok();
    // script makes a terminal.
    let list = || with_bucket(&app, &[]).by_way_of(["sh", "-c", "exec script -qec \"$0 list\" /dev/null </dev/null"]);
    list().run().ok().says("\x1b[2m    database shop");
    list().env("NO_COLOR", "1").run().ok().never_says("\x1b[2m");
}
