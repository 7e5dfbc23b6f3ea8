//! Nothing is wrong, and nothing is touched.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::Told;
use crate::items::App;
use crate::items::quick::snapshot_ids;
use crate::support::compare::{Snapshot, assert_same};
use crate::support::run::run;

/// Every file below a directory, ours as well, with its time and its content. A directory that something came to and went from has another time.
fn everything(at: &Path) -> String {
    let script = "find . -printf '%P %y %m\\n' | sort; find . -type f -printf '%P %T@\\n' | sort; find . -type f -print0 | sort -z | xargs -0 -r md5sum";
    let ran = run(Command::new("sh").args(["-c", script]).current_dir(at), b"");
    assert!(ran.success, "{}", ran.stderr);
    ran.text().to_owned()
}

#[test]
fn a_healthy_setup_has_no_fault_and_is_left_as_it_was() {
    let app = App::quick();
    let dumps = app.work.dir("dumps");
    let password = app.work.join("password");
    std::fs::set_permissions(password, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    app.bkp(["backup"]).bucket(&dumps).run().ok();
    let catalogue = Snapshot::of(&app.cluster);
    let databases = app.cluster.databases();
    let before = || (everything(&app.files()), everything(&dumps), snapshot_ids(&app.repository()));
    let seen = before();
    let told = Told::by(app.bkp([]).bucket(&dumps), 0);
    told.all_ok_in(&["settings", "server", "rights", "bucket", "restic", "files", "room", "left", "clock"]);
    assert_eq!(before(), seen);
    assert_same(&catalogue, &Snapshot::of(&app.cluster));
    assert_eq!(app.cluster.databases(), databases);
    assert_eq!(std::fs::read_dir(app.repository().join("locks")).expect("locks").count(), 0);
    assert!(!app.work.join("state").exists());

    // For people: aligned lines, counts last, no colours where there is no terminal.
    let said = app.bkp(["doctor"]).bucket(&dumps).run().ok();
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(
        lines.iter().all(|line| line.starts_with("ok       ") || line.ends_with("0 warnings, 0 faults")),
        "{}",
        said.stdout
    );
    assert!(lines.last().is_some_and(|line| line.ends_with("ok, 0 warnings, 0 faults")), "{}", said.stdout);
    assert!(!said.stdout.contains('\x1b'));
}

#[test]
fn a_bucket_without_a_dump_is_left_empty() {
    let app = App::quick();
    let dumps = app.work.dir("dumps");
    Told::by(app.bkp([]).bucket(&dumps), 0).all_ok_in(&["bucket"]);
    assert_eq!(std::fs::read_dir(&dumps).expect("a directory").count(), 0);
}
