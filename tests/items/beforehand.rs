//! What this machine makes wrong of settings is refused before anything is done; and a terminal that is closed ends a run in order.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::Signal;

use super::quick::{Plain, lay_repository};
use crate::support::bkp::Bkp;
use crate::support::wait::until;

#[test]
fn backups_and_notes_inside_of_what_a_restore_exchanges_are_refused_and_the_way_out_is_not() {
    let plain = Plain::open();
    let inside = plain.files().join("backups/repository");
    lay_repository(&inside);
    plain.bkp(["backup"]).run().ok();
    fs::remove_dir_all(&inside).expect("an empty one");
    fs::rename(plain.repository(), &inside).expect("moved");
    let before = plain.tree();
    let link = plain.work.join("link");
    symlink(plain.files(), &link).expect("a link");
    let wrong = |bkp: Bkp| {
        bkp.env("RESTIC_REPOSITORY", &inside)
            .env("BKP_STATE_DIR", link.join("state"))
            .env("BKP_BUCKET", format!("file://{}/dumps", link.display()))
            .env("BKP_FILES_EXCLUDE", "backups/,state/,dumps/")
    };
    for arguments in
        [&["backup"][..], &["restore"], &["restore", "--only", "files"], &["restore", "--path", "backups"], &["init"]]
    {
        let out = wrong(plain.bkp([])).args(arguments).run().fails_with(2);
        let out = out
            .says("RESTIC_REPOSITORY: ")
            .says("a restore would put an old copy in its place")
            .says("move it elsewhere");
        if !arguments.contains(&"--path") {
            out.says("BKP_STATE_DIR: ").says("BKP_BUCKET: ");
        }
    }
    assert_eq!(plain.tree(), before, "nothing was tried");
    let told = wrong(plain.bkp(["doctor"])).run().fails_with(2).stdout;
    for name in ["RESTIC_REPOSITORY: ", "BKP_STATE_DIR: ", "BKP_BUCKET: "] {
        assert!(told.contains(name), "{told}");
    }
    let out = plain.work.join("out");
    let only_restic = |bkp: Bkp| bkp.env("RESTIC_REPOSITORY", &inside);
    only_restic(plain.bkp(["restore", "--to"])).args([&out]).run().ok();
    assert_eq!(fs::read_to_string(out.join("config/app.php")).expect("restored"), "secret");
    only_restic(plain.bkp(["restore", "--path", "data"])).run().ok();
    only_restic(plain.bkp(["restore", "--undo"])).run().ok();
}

#[test]
fn directories_that_are_one_through_a_link_are_refused() {
    let plain = Plain::open();
    for (link, to) in [("same", plain.files()), ("inside", plain.files().join("data"))] {
        let link = plain.work.join(link);
        symlink(to, &link).expect("a link");
        let files = format!("{},{}", plain.files().display(), link.display());
        for command in ["backup", "restore"] {
            let out = plain.bkp([command]).env("BKP_FILES", &files).run().fails_with(2);
            out.says("BKP_FILES: ").says("name each directory once");
        }
        let told = plain.bkp(["doctor"]).env("BKP_FILES", &files).run().fails_with(2).stdout;
        assert!(told.contains("name each directory once"), "{told}");
    }
    // One alone, by a link, is as good as its directory.
    plain.bkp(["backup"]).env("BKP_FILES", plain.work.join("same")).run().ok();
}

/// An application that is paused by a file; each of its commands says when it has begun, and ends when it may.
struct Paused {
    plain: Plain,
}

impl Paused {
    fn open() -> Paused {
        let plain = Plain::open();
        plain.bkp(["backup"]).run().ok();
        Paused { plain }
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.plain.work.join(name)
    }

    fn restore(&self, waits_for: [&str; 2]) -> Bkp {
        let wait = |name: &str| match name {
            "" => String::new(),
            name => format!("until [ -e {} ]; do sleep 0.05; done; ", self.at(name).display()),
        };
        let pause = format!("sh -c 'touch {}; {}true'", self.at("paused").display(), wait(waits_for[0]));
        let resume = format!(
            "sh -c 'touch {}; {}rm -f {}'",
            self.at("resuming").display(),
            wait(waits_for[1]),
            self.at("paused").display()
        );
        self.plain.bkp(["restore", "--yes"]).env("BKP_PAUSE_COMMAND", pause).env("BKP_RESUME_COMMAND", resume)
    }

    fn until_there(&self, name: &str) {
        until(name, || self.at(name).exists());
    }
}

#[test]
fn a_hangup_is_heard_once_and_what_was_paused_is_given_back() {
    let paused = Paused::open();
    let running = paused.restore(["never", "go"]).spawn();
    paused.until_there("paused");
    running.kill(Signal::HUP);
    paused.until_there("resuming");
    // The kernel's and a shell's; and somebody's first TERM.
    running.kill(Signal::HUP);
    running.kill(Signal::TERM);
    paused.plain.work.file("go", "");
    running.wait().fails_with(129).says("asked to stop; cleaning up");
    assert!(!paused.at("paused").exists());
}

#[test]
fn a_terminal_that_is_closed_ends_a_run_in_order() {
    let paused = Paused::open();
    let metrics = paused.at("bkp.prom");
    let running = paused
        .restore(["never", ""])
        .by_way_of(["sh", "-c", "exec script -qefc \"exec $*\" /dev/null", "terminal"])
        .env("BKP_METRICS_FILE", &metrics)
        .spawn();
    paused.until_there("paused");
    // With it goes the terminal, and whatever is written there from now on fails.
    running.kill(Signal::KILL);
    let ended = "bkp_last_run_exit_status{app=\"shop\",command=\"restore\"} 129";
    until("the end", || fs::read_to_string(&metrics).is_ok_and(|told| told.contains(ended)));
    assert!(!paused.at("paused").exists());
}

#[test]
fn under_nohup_a_run_goes_on_without_its_terminal() {
    let paused = Paused::open();
    let running = paused.restore(["go", ""]).by_way_of(["nohup"]).spawn();
    paused.until_there("paused");
    running.kill(Signal::HUP);
    paused.plain.work.file("go", "");
    running.wait().ok();
    assert!(!paused.at("paused").exists());
}

#[test]
fn a_resume_command_that_cannot_be_run_is_told_before_the_pause() {
    let plain = Plain::open();
    let touch = format!("touch {}", plain.work.join("paused").display());
    let with = |bkp: Bkp, resume: &str| bkp.env("BKP_PAUSE_COMMAND", &touch).env("BKP_RESUME_COMMAND", resume);
    with(plain.bkp(["backup"]), "/nonexistent/resume").run().ok();
    let not_there = |bkp: Bkp| {
        let out = with(bkp, "/nonexistent/resume now").run().fails_with(2);
        out.says("BKP_RESUME_COMMAND: there is no program /nonexistent/resume that can be run").says("whole path")
    };
    not_there(plain.bkp(["restore"]));
    not_there(plain.bkp(["restore", "--undo"]));
    not_there(plain.bkp(["backup"]).env("BKP_QUIESCE_ON", "backup"));
    for (line, why) in [("/bin/true 'canary", "a ' is not closed"), ("/bin/true \\", "backslash"), ("  ", "blank")] {
        let out = with(plain.bkp(["backup"]), line).env("BKP_KEEP_DAILY", "-1").run().fails_with(2);
        out.says("BKP_RESUME_COMMAND: must be a command").says(why).says("BKP_KEEP_DAILY").never_says("canary");
    }
    let alone = plain.bkp(["backup"]).env("BKP_RESUME_COMMAND", "/bin/true").run().fails_with(2);
    alone.says("BKP_PAUSE_COMMAND: not set, but BKP_RESUME_COMMAND is");
    assert!(!Path::new(&plain.work.join("paused")).exists());
}

#[test]
fn a_backup_of_the_future_is_told() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    plain.bkp(["list"]).run().ok().never_says("a clock is or was wrong");
    assert!(plain.restic(&["rewrite", "--forget", "--new-time", "2131-01-01 00:00:00", "latest"]).success);
    let says = "is of 2131-01-01 00:00:00 UTC";
    for arguments in [&["list"][..], &["restore", "--dry-run"], &["drill"], &["backup"], &["doctor"]] {
        let out = plain.bkp([]).args(arguments).run().ok();
        assert!(format!("{}{}", out.stdout, out.stderr).contains(says), "{arguments:?}: {}{}", out.stdout, out.stderr);
    }
}
