//! restic's locks in bkp's stories: a living holder is waited for, then named; a dead one is cleared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::App;
use super::change_password::{NEW, OLD, SPLIT, Secrets};
use super::quick::{Plain, restic_that};
use crate::support::parts;
use crate::support::wait::until;
use crate::support::workdir::WorkDir;

/// A restic of somebody else's that holds a lock on a repository.
struct Holder(Child);

impl Holder {
    /// A backup that waits for its input: others may save, and nobody may remove.
    fn backup(repository: &Path) -> Self {
        let mut restic = restic(repository);
        restic.args(["backup", "--stdin", "--host", "other"]).stdin(Stdio::piped());
        let holder = Self(restic.spawn().expect("restic"));
        until("a lock", || locks(repository) > 0);
        holder
    }

    /// A check that is stopped: it keeps everybody out.
    fn alone(repository: &Path) -> Self {
        let holder = Self(restic(repository).arg("check").spawn().expect("restic"));
        // After writing its lock, restic waits a fifth of a second to see whether somebody else had the same idea.
        until("a lock", || locks(repository) > 0);
        holder.signal(Signal::STOP);
        assert_eq!(locks(repository), 1, "stopped too late");
        holder
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("it is there");
    }

    fn name(&self) -> String {
        format!("process {} of ", self.0.id())
    }

    /// Leaves its lock behind.
    fn kill(mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("gone");
    }

    fn goes_on(mut self) {
        self.signal(Signal::CONT);
        self.0.wait().expect("ends");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn restic(repository: &Path) -> Command {
    let mut restic = Command::new(parts::restic("0.18"));
    restic.env_clear().env("RESTIC_REPOSITORY", repository).env("RESTIC_PASSWORD", OLD).arg("--no-cache");
    restic.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    restic
}

fn locks(repository: &Path) -> usize {
    let names = fs::read_dir(repository.join("locks")).expect("a directory");
    names.filter(|name| !name.as_ref().expect("an entry").file_name().to_string_lossy().contains("-tmp-")).count()
}

#[test]
fn who_holds_the_repository_alone_is_waited_for_and_named() {
    let secrets = Secrets::one();
    let holder = Holder::alone(&secrets.repository());
    secrets.bkp(["backup"]).run().fails_with(11).says(&holder.name()).says("BKP_LOCK_WAIT");
    secrets.bkp(["restore"]).run().fails_with(11).says(&holder.name());
    secrets.bkp(["check"]).run().fails_with(11).says(&holder.name());
    assert_eq!((secrets.runs(), secrets.stored("locks").len()), (1, 1), "a list needs no lock, and a living one stays");

    // What restic answers is noted, so that it is known when bkp was refused, and has tried again.
    let noting = secrets.script("\"$restic\" \"$@\"; code=$?; echo \"$code $*\" >>answers; exit $code");
    let waiting = secrets.bkp(["backup"]).env("BKP_RESTIC_BIN", noting).env("BKP_LOCK_WAIT", "60").spawn();
    until("the refusal of the one that was begun early, and two more", || {
        let answers = fs::read_to_string(secrets.work.join("answers")).unwrap_or_default();
        answers.lines().filter(|line| line.starts_with("11 ") && line.contains(" backup ")).count() == 3
    });
    let name = holder.name();
    holder.goes_on();
    waiting.wait().ok().says(&name).says("; waiting for up to ");
    assert_eq!(secrets.runs(), 2);
}

#[test]
fn the_lock_of_the_dead_is_cleared() {
    let secrets = Secrets::one();
    Holder::alone(&secrets.repository()).kill();
    assert_eq!(secrets.stored("locks").len(), 1);
    secrets.bkp(["backup"]).run().ok().says("removed the lock of one who is dead");
    assert_eq!((secrets.runs(), secrets.stored("locks").len()), (2, 0));
}

#[test]
fn a_backup_that_may_not_forget_is_saved_and_says_so() {
    let secrets = Secrets::one();
    let backup = || secrets.bkp(["backup"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1");
    let holder = Holder::backup(&secrets.repository());
    backup().run().fails_with(4).says("old ones could not be forgotten").says(&holder.name());
    assert_eq!(secrets.runs(), 2);
    holder.kill();
    backup().run().ok().says("2 forgotten").says("removed the lock of one who is dead");
    assert_eq!((secrets.runs(), secrets.stored("locks").len()), (1, 0));
}

#[test]
fn a_locked_repository_does_not_keep_the_others_from_their_new_password() {
    let secrets = Secrets::split();
    let [files, database, _] = SPLIT.map(|place| secrets.repository().join(place));
    let (saving, alone) = (Holder::backup(&files), Holder::alone(&database));
    let out = secrets.bkp(["change-password"]).run().fails_with(11);
    out.says(&saving.name()).says(&alone.name()).says("call bkp change-password again");
    let opens = || SPLIT.map(|place| (secrets.opens(place, OLD), secrets.opens(place, NEW)));
    assert_eq!(opens(), [(true, true), (true, false), (false, true)]);
    saving.kill();
    alone.goes_on();

    // And killed among them, it is finished by the next.
    let killing = secrets.script(
        "case \"$RESTIC_REPOSITORY $* \" in */pg-database*\" key remove \"*) kill -9 $PPID; exit 1 ;; esac\n\
         exec \"$restic\" \"$@\"",
    );
    secrets.bkp(["change-password"]).env("BKP_RESTIC_BIN", killing).run().fails_with(137);
    assert_eq!(opens(), [(false, true), (true, true), (false, true)]);
    let done = secrets.bkp(["change-password", "--json"]).run().ok();
    let record: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
    let changes: Vec<_> = (0..3).map(|n| record["repositories"][n]["change"].as_str().expect("a word")).collect();
    assert_eq!((changes, &record["done"]), (vec!["none", "finished", "none"], &true.into()), "{record}");
    assert_eq!(opens(), [(false, true); 3]);
}

/// Restic that has bkp asked to end at its first such call, and is itself stopped from when it has its lock until so many seconds after it
/// was asked to end.
fn restic_that_has_bkp_end(work: &WorkDir, call: &str, seconds: u32) -> PathBuf {
    let script = format!(
        "case \" $* \" in *' {call} '*) mkdir $D/{call} 2>/dev/null && (
         trap '' TERM HUP; exec >/dev/null 2>&1
         until ls $RESTIC_REPOSITORY/locks | grep '^[0-9a-f]*$'; do kill -0 $$ || exit; sleep 0.01; done
         kill -STOP $$; until grep '^State:.T' /proc/$$/status; do kill -0 $$ || exit; done; kill -TERM $PPID
         until grep 'ShdPnd:.*[4-7c-f]...$' /proc/$$/status; do kill -0 $$ || exit; sleep 0.01; done
         sleep {seconds}; kill -CONT $$; touch $D/{call}/over) & ;; esac\nexec $REAL \"$@\""
    );
    restic_that(work, &script)
}

#[test]
fn a_command_that_is_asked_to_end_leaves_no_lock() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    for (command, call) in [("backup", "backup"), ("check", "check"), ("restore", "restore")] {
        let restic = restic_that_has_bkp_end(&plain.work, call, 0);
        plain.bkp([command]).env("BKP_RESTIC_BIN", restic).run().fails_with(143);
        until("restic's going on", || plain.work.join(&format!("faults/{call}/over")).exists());
        assert_eq!(locks(&plain.repository()), 0, "{command}");
    }
}

#[test]
fn a_reading_restic_that_is_asked_to_end_gets_the_time_to_take_its_lock_back() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    let restic = restic_that_has_bkp_end(&app.work, "dump", 2);
    app.bkp(["restore", "--only", "shop"]).env("BKP_RESTIC_BIN", restic).run().fails_with(143);
    until("restic's going on", || app.work.join("faults/dump/over").exists());
    assert_eq!(locks(&app.repository()), 0);
}
