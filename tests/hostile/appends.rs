//! A restic server that takes what is new and lets nothing go: what works there, and what is told of what does not.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::items::{App, PASSWORD as OPENS};
use crate::support::bkp::{Bkp, Output};
use crate::support::parts;
use crate::support::rest::{By, May, PASSWORD, Rest, USER};
use crate::support::wait::until;

/// An application, and its repository behind two servers.
struct Served {
    app: App,
    all: Rest,
    adds: Rest,
}

impl Served {
    fn open(by: By) -> Self {
        let app = App::quick();
        let serve = |may| Rest::serve(by, app.work.path(), may);
        let (all, adds) = (serve(May::Everything), serve(May::Add));
        Self { app, all, adds }
    }

    /// bkp by way of one of the servers.
    fn by(&self, server: &Rest, arguments: &[&str]) -> Bkp {
        let bkp = self.app.bkp([]).env("RESTIC_REPOSITORY", server.address("repository")).args(arguments);
        match server.authority() {
            Some(file) => bkp.env("CERTIFICATE_FILE", file),
            None => bkp,
        }
    }

    /// By way of the one that only appends; nothing that it says has the server's password.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Output {
        quiet(self.by(&self.adds, arguments).run())
    }

    /// The same with a retention.
    fn keeping_one(&self, server: &Rest, arguments: &[&str]) -> Bkp {
        self.by(server, arguments).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1")
    }

    /// Files of a kind, such as `snapshots`.
    fn stored(&self, kind: &str) -> Vec<String> {
        names(&self.app.repository().join(kind))
    }

    fn opens(&self, password: &str) -> bool {
        let mut restic = Command::new(parts::restic("0.18"));
        restic.env_clear().env("RESTIC_REPOSITORY", self.app.repository()).env("RESTIC_PASSWORD", password);
        restic.args(["--no-cache", "--no-lock", "cat", "config"]).stdout(Stdio::null()).stderr(Stdio::null());
        restic.status().expect("restic").success()
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[track_caller]
fn quiet(out: Output) -> Output {
    out.never_says(PASSWORD).never_says(&PASSWORD.replace('@', "%40"))
}

#[test]
fn a_server_that_only_appends_saves_and_restores_and_lets_nothing_be_forgotten() {
    let served = Served::open(By::RestServer);
    let before = served.app.state();
    served.run(&["init"]).ok().says("is there");
    served.run(&["backup"]).ok();
    served.run(&["backup"]).ok();
    assert_eq!(served.stored("locks"), [""; 0], "its own locks are gone");
    let stored = ["snapshots", "index", "keys"].map(|kind| served.stored(kind));

    served.run(&["doctor"]).ok().says("only appends").says("retention, which is not asked for");
    let doctor = served.keeping_one(&served.adds, &["doctor"]).run();
    quiet(doctor.fails_with(2)).says("only appends").says("every backup ends with exit code 4");
    quiet(served.keeping_one(&served.all, &["doctor"]).run().ok()).says("lets old backups be removed");
    let forget = quiet(served.keeping_one(&served.adds, &["forget"]).run()).fails_with(1);
    forget.says("403 Forbidden").says("may add there and not remove").never_says("1 backups forgotten");
    assert_eq!(["snapshots", "index", "keys"].map(|kind| served.stored(kind)), stored, "nothing more is tried");

    let metrics = served.app.work.join("bkp.prom");
    let backup = served.keeping_one(&served.adds, &["backup"]).env("BKP_METRICS_FILE", &metrics).run();
    quiet(backup).fails_with(4).says("old ones could not be forgotten").says("0 forgotten");
    let metrics = fs::read_to_string(metrics).expect("metrics");
    for line in [
        "bkp_retention_failing{app=\"shop\"} 1",
        "bkp_backup_forgotten_runs{app=\"shop\"} 0",
        "bkp_last_run_exit_status{app=\"shop\",command=\"backup\"} 4",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(stored[0].iter().all(|snapshot| served.stored("snapshots").contains(snapshot)));
    assert!(!served.adds.log().contains("DELETE /repository/index"), "nothing is pruned after that");

    let listed: serde_json::Value = serde_json::from_str(&served.run(&["list", "--json"]).ok().stdout).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(3), "{listed}");
    served.run(&["check", "--read-data"]).ok().says("is whole");
    served.run(&["drill"]).ok().says("the proof of run");
    served.app.lose_everything();
    served.run(&["restore", "--yes"]).ok();
    assert_eq!(served.app.state(), before);

    // Where it may be removed it goes.
    quiet(served.keeping_one(&served.all, &["forget"]).run()).ok().says("2 backups forgotten");
}

/// restic says of it that all is well: it ended with 0, and nothing was to be pruned.
#[test]
fn files_that_never_change_are_not_forgotten_either() {
    let served = Served::open(By::Rclone);
    let bkp = |server: &Rest| {
        let bkp = served.keeping_one(server, &["backup"]).without("POSTGRES_DB").env("BKP_DATABASES", "none");
        quiet(bkp.run())
    };
    bkp(&served.adds).ok();
    bkp(&served.adds).fails_with(4).says("0 forgotten").says("may add there and not remove");
    assert_eq!(served.stored("snapshots").len(), 2);
    bkp(&served.all).ok().says("2 forgotten");
    assert_eq!(served.stored("snapshots").len(), 1);
}

#[test]
fn a_password_is_added_there_and_the_old_one_goes_where_it_may() {
    let served = Served::open(By::Rclone);
    let new = served.app.work.file("new", "brand new\n");
    let change =
        |server: &Rest| quiet(served.by(server, &["change-password"]).env("RESTIC_NEW_PASSWORD_FILE", &new).run());
    for _ in 0..2 {
        let out = change(&served.adds).fails_with(1).says("the old one still does").says("at an address");
        out.says("the password of rest:http://joe:***@").says("is not changed yet");
        assert!(served.opens(OPENS) && served.opens("brand new"));
        assert_eq!(served.stored("keys").len(), 2, "one for each, however often");
    }
    served.run(&["backup"]).ok();
    change(&served.all).ok();
    assert!(!served.opens(OPENS) && served.opens("brand new"));
    // The proofs of the refused calls are gone as well.
    assert_eq!(served.stored("snapshots").len(), 3);
}

#[test]
fn who_is_not_let_in_by_a_server_is_told_so_and_a_dead_lock_there_goes() {
    let served = Served::open(By::Rclone);
    let repository = |address: String| served.by(&served.adds, &["list"]).env("RESTIC_REPOSITORY", address);
    let wrong = served.adds.address("repository").replace("%40", "%41");
    for address in [wrong, served.adds.open_address("repository")] {
        quiet(repository(address).run()).fails_with(1).says("401 Unauthorized").says("the server's user and password");
    }
    let by_variables = |arguments: &[&str]| {
        let bkp = served.by(&served.adds, arguments).env("RESTIC_REPOSITORY", served.adds.open_address("repository"));
        quiet(bkp.env("RESTIC_REST_USERNAME", USER).env("RESTIC_REST_PASSWORD", PASSWORD).run())
    };
    by_variables(&["backup"]).ok();
    by_variables(&["doctor"]).ok().says("only appends");
    quiet(repository(served.adds.address("nowhere")).run()).fails_with(10).says("RESTIC_REPOSITORY");

    // Killed while it waits for what it is to save.
    let mut restic = Command::new(parts::restic("0.18"));
    restic.env_clear().env("RESTIC_REPOSITORY", served.app.repository()).env("RESTIC_PASSWORD", OPENS);
    restic.args(["--no-cache", "backup", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut killed = restic.spawn().expect("restic");
    // Whole: restic writes it under another name, then gives it its own.
    until("a lock", || served.stored("locks").iter().any(|name| name.len() == 64));
    killed.kill().expect("killed");
    killed.wait().expect("waited for");
    served.run(&["check"]).ok().says("removed the lock of one who is dead");
    assert_eq!(served.stored("locks"), [""; 0]);
}
