//! KILL and TERM at every call of restic: nothing is lost, nothing stays locked or paused, and what is unfinished is shown as such.

use std::fs;

use super::App;
use super::quick::{Mounted, Plain, listed, restic_at, restic_that, snapshot_ids};
use crate::support::bkp::{Bkp, Output};
use crate::support::wait::until;

/// More calls than any run makes: locks of the dead that nobody clears would make it ever more.
const FAR: usize = 30;

/// When bkp is hit.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// restic has just begun, and is left alone with its work.
    During,
    /// restic has ended, and bkp does not know yet.
    After,
}

/// restic that hits bkp at its `nth` call.
fn script(nth: usize, signal: &str, moment: Moment) -> String {
    let hit = match moment {
        Moment::During => {
            "trap : TERM; exec 3<&0; $REAL \"$@\" <&3 & child=$!; kill -SIGNAL $PPID
             while kill -0 $child 2>/dev/null; do wait $child; code=$?; done; exit $code"
        }
        Moment::After => "$REAL \"$@\"; code=$?; kill -SIGNAL $PPID; exit $code",
    };
    let hit = hit.replace("SIGNAL", signal);
    format!(
        "n=1; until mkdir $D/calls/$n 2>/dev/null; do n=$(($n + 1)); done; echo \"$n $*\" >>$D/log
         if [ $n = {nth} ]; then {hit}; fi
         exec $REAL \"$@\""
    )
}

impl App {
    /// bkp that pauses the application and keeps three runs.
    fn careful<const N: usize>(&self, arguments: [&str; N]) -> Bkp {
        let paused = self.work.join("paused").display().to_string();
        self.bkp(arguments)
            .env("BKP_PAUSE_COMMAND", format!("touch {paused}"))
            .env("BKP_RESUME_COMMAND", format!("rm -f {paused}"))
            .env("BKP_QUIESCE_ON", "backup,restore")
            .env("BKP_KEEP_LAST", "3")
            .env("BKP_LOCK_WAIT", "20")
    }

    /// Hits a run at its nth call of restic; nothing when it makes no so many.
    fn hit(&self, command: &str, nth: usize, signal: &str, moment: Moment) -> Option<Output> {
        let restic = restic_that(&self.work, &script(nth, signal, moment));
        // A directory a call, which can be made only once: some are made at the same time.
        let calls = self.work.join("faults/calls");
        let _ = fs::remove_dir_all(&calls);
        fs::create_dir(&calls).expect("mkdir");
        let out = self.careful([command]).env("BKP_RESTIC_BIN", restic).run();
        (fs::read_dir(&calls).expect("calls").count() >= nth).then_some(out)
    }

    fn is_paused(&self) -> bool {
        self.work.join("paused").exists()
    }

    /// Every run that the list shows as whole.
    fn whole_runs(&self) -> Vec<String> {
        let rows = listed(self.bkp(["list", "--json"]));
        for row in &rows {
            assert_eq!(row["sealed"] == true, row["missing"].is_null(), "{row}");
        }
        let whole = rows.iter().filter(|row| row["sealed"] == true);
        whole.map(|row| row["run"].as_str().expect("a run").to_owned()).collect()
    }

    /// Every stream in the repository ends with its seal: no snapshot is of an unfinished one.
    fn every_stream_is_whole(&self) {
        for id in snapshot_ids(&self.repository()) {
            let listed = restic_at(&self.repository(), &["ls", &id, "/"]).text();
            for file in listed.lines().filter(|line| line.ends_with(".sql")) {
                let sql = restic_at(&self.repository(), &["dump", &id, file]).text();
                let last = sql.trim_end().lines().last().unwrap_or_default();
                assert!(last.starts_with("-- bkp seal {"), "{id} {file} ends with {last:?}");
            }
        }
    }
}

fn backup_hit_by(signal: &str, codes: &[i32], moments: &[Moment]) {
    let app = App::quick();
    for _ in 0..3 {
        app.careful(["backup"]).run().ok();
    }
    let state = app.state();
    let mut reached = 0;
    for nth in 1..=FAR {
        let mut hits = 0;
        for moment in moments {
            let before = app.whole_runs();
            let Some(out) = app.hit("backup", nth, signal, *moment) else { continue };
            hits += 1;
            let told = format!(
                "{signal} {moment:?} call {nth}: {out:?}\n{}",
                fs::read_to_string(app.work.join("faults/log")).expect("log")
            );
            assert!(codes.contains(&out.code), "{told}");
            assert!(signal == "KILL" || !app.is_paused(), "{told}");
            let after = app.whole_runs();
            assert!(after.len() >= 3, "{told}");
            // Whatever is gone gave way to something newer.
            assert!(after[0] >= before[0] && after.iter().filter(|run| before.contains(run)).count() >= 2, "{told}");
            let next = app.careful(["backup"]).run();
            assert_eq!(next.code, 0, "{told}\n{next:?}");
            assert!(!app.is_paused(), "{told}");
            // Runs of one second stand in no order.
            assert!(app.whole_runs().iter().any(|run| !after.contains(run)), "{told}");
        }
        if hits == 0 {
            break;
        }
        reached = nth;
    }
    assert!((6..FAR).contains(&reached), "{reached} calls");
    assert_eq!(app.state(), state);
    app.every_stream_is_whole();
    assert!(restic_at(&app.repository(), &["check", "--read-data"]).success);
    app.bkp(["check", "--read-data"]).run().ok();
}

#[test]
fn a_backup_that_is_killed_while_restic_works_loses_nothing() {
    backup_hit_by("KILL", &[137], &[Moment::During]);
}

#[test]
fn a_backup_that_is_killed_after_restic_worked_loses_nothing() {
    backup_hit_by("KILL", &[137], &[Moment::After]);
}

#[test]
fn a_backup_that_is_terminated_cleans_up_and_loses_nothing() {
    // Once all is saved, a signal that keeps old ones from being forgotten is told as that.
    backup_hit_by("TERM", &[143, 4, 0], &[Moment::During]);
}

fn restore_hit_by(signal: &str, codes: &[i32], moments: &[Moment]) {
    let app = App::quick();
    app.careful(["backup"]).run().ok();
    let saved = app.state();
    let spoil = || {
        app.cluster.psql("shop", "DELETE FROM orders WHERE true");
        app.work.file("files/config/app.php", "overwritten");
        app.work.file("files/junk", "of the accident");
    };
    spoil();
    let spoilt = app.state();
    let (mut reached, mut outcomes) = (0, [0, 0]);
    for nth in 1..=FAR {
        let mut hits = 0;
        for moment in moments {
            spoil();
            let Some(out) = app.hit("restore", nth, signal, *moment) else { continue };
            hits += 1;
            let told = format!(
                "{signal} {moment:?} call {nth}: {out:?}\n{}",
                fs::read_to_string(app.work.join("faults/log")).expect("log")
            );
            assert!(codes.contains(&out.code), "{told}");
            let resumed = app.careful(["resume"]).run();
            assert_eq!(resumed.code, 0, "{told}\n{resumed:?}");
            assert!(!app.is_paused(), "{told}");
            let state = app.state();
            assert!(state == saved || state == spoilt, "{told}\n{state:?}");
            outcomes[usize::from(state == saved)] += 1;
            let databases = app.cluster.databases();
            let known = |name: &String| {
                ["postgres", "shop", "template0", "template1"].contains(&name.as_str()) || name.contains("__was_")
            };
            assert!(databases.iter().all(known), "{told}\n{databases:?}");
        }
        if hits == 0 {
            break;
        }
        reached = nth;
    }
    assert!((6..FAR).contains(&reached) && outcomes[0] > 3, "{reached} calls, {outcomes:?}");
    spoil();
    app.careful(["restore"]).run().ok();
    assert_eq!(app.state(), saved);
    app.careful(["backup"]).run().ok();
    assert!(restic_at(&app.repository(), &["check", "--read-data"]).success);
}

#[test]
fn a_restore_that_is_killed_leaves_one_whole_application() {
    restore_hit_by("KILL", &[137], &[Moment::During, Moment::After]);
}

#[test]
fn a_restore_that_is_terminated_leaves_one_whole_application() {
    restore_hit_by("TERM", &[143, 0], &[Moment::During]);
}

/// Files that take restic a while to restore.
const MANY: usize = 6000;

#[test]
fn a_restic_that_outlives_a_killed_restore_does_not_hinder_what_comes_next() {
    let plain = Plain::open();
    for n in 0..MANY {
        plain.work.file(&format!("files/many/{}/{n}", n % 50), n.to_string());
    }
    plain.bkp(["backup"]).run().ok();
    let before = plain.tree();
    // Stopped until its bkp is gone: a machine may restore faster than a signal comes. The kernel sends HUP then. Its words go nowhere: a
    // closed pipe would end it.
    let script = "case \" $* \" in *' restore '*) trap '' TERM HUP; exec >$D/said 2>&1; $REAL \"$@\" & echo $! >$D/pid
        until ls $D/../files/.bkp-*/new/*; do sleep 0.01; done
        kill -STOP $! && touch $D/stopped; kill -9 $PPID; kill -CONT $!; wait; touch $D/over; exit 1;; esac\nexec $REAL \"$@\"";
    let restic = restic_that(&plain.work, script);
    let killed = plain.bkp(["restore"]).env("BKP_RESTIC_BIN", restic).spawn();
    until("the restore", || plain.work.join("faults/pid").exists());
    killed.wait().fails_with(137);
    assert!(plain.work.join("faults/stopped").exists(), "restic was still at work");
    plain.bkp(["restore"]).run().ok();
    assert_eq!(plain.tree(), before);
    until("the end of the one that was left", || plain.work.join("faults/over").exists());
    plain.bkp(["backup"]).run().ok();
    assert_eq!(plain.tree(), before);
    let own = fs::read_dir(plain.files()).expect("read").flatten();
    assert!(!own.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(".bkp-")));
}

/// What of ours lies among the files.
fn left_among(plain: &Plain) -> Vec<String> {
    let names = fs::read_dir(plain.files()).expect("read").flatten().map(|entry| entry.file_name());
    names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.starts_with(".bkp-")).collect()
}

/// A backup, and a restore that is killed by its restic, which does this.
fn killed_in_restore(script: &str) -> (Plain, Vec<String>) {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    let before = plain.tree();
    let script = format!("case \" $* \" in *' restore '*) {script};; esac\nexec $REAL \"$@\"");
    plain.bkp(["restore"]).env("BKP_RESTIC_BIN", restic_that(&plain.work, &script)).run().fails_with(137);
    (plain, before)
}

#[test]
fn a_killed_restore_takes_its_restic_along() {
    let script = "trap 'touch $D/asked; exit 1' TERM; kill -9 $PPID; while :; do sleep 0.02; done";
    let (plain, _) = killed_in_restore(script);
    until("a word to restic that it is to end", || plain.work.join("faults/asked").exists());
    plain.bkp(["resume"]).run().ok().says("nothing is left");
    assert_eq!(left_among(&plain), [""; 0]);
}

#[test]
fn a_restic_that_takes_a_while_to_end_is_outlasted() {
    // It fills its tree while that is removed, and ends when it is gone.
    let script = "trap '' TERM; kill -9 $PPID; cd $D/../files/.bkp-*/new || exit
        n=0; while [ $n -lt 50000 ]; do : >file$n; n=$(($n + 1)); done; exit 1";
    let (plain, _) = killed_in_restore(script);
    plain.bkp(["resume"]).run().ok().says("nothing is left");
    assert_eq!(left_among(&plain), [""; 0]);
}

#[test]
fn what_a_restic_makes_anew_behind_a_dead_restore_is_removed_by_a_later_start() {
    let (plain, before) = killed_in_restore(
        "trap '' TERM; kill -9 $PPID; while [ ! -e $D/go ]; do sleep 0.02; done; $REAL \"$@\"; touch $D/over; exit 1",
    );
    plain.bkp(["resume"]).run().ok();
    assert_eq!(left_among(&plain), [""; 0]);
    plain.work.file("faults/go", "");
    until("the end of the one that was left", || plain.work.join("faults/over").exists());
    assert_eq!(left_among(&plain).len(), 1, "made anew");
    plain.bkp(["backup"]).run().ok();
    assert_eq!((left_among(&plain), plain.tree()), (vec![], before));
}

#[test]
fn what_cannot_be_removed_is_told_by_resume_and_tried_again() {
    let (plain, _) = killed_in_restore("kill -9 $PPID; exit 1");
    let in_the_way = plain.files().join(&left_among(&plain)[0]).join("new/mount");
    let mounted = Mounted::tmpfs(&in_the_way, "size=64k");
    let out = plain.bkp(["resume"]).run().fails_with(1);
    out.says("could not be removed; the next start tries again").never_says("nothing is left");
    plain.bkp(["backup"]).run().ok();
    drop(mounted);
    plain.bkp(["resume"]).run().ok().says("nothing is left");
    assert_eq!(left_among(&plain), [""; 0]);
}
