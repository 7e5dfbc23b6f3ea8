//! Killed anywhere: some password opens the repository, and the next call finishes.
//!
//! Killed are bkp between any two calls of restic, and bkp and restic in the middle of each call that holds a lock.

use std::collections::BTreeSet;
use std::fs;

use super::{NEW, OLD, Secrets};

fn assert_opens(secrets: &Secrets, when: &str) {
    assert!(secrets.opens("", OLD) || secrets.opens("", NEW), "locked out, killed at {when}");
}

#[test]
fn killed_before_any_call_of_restic_it_is_finished_by_the_next() {
    let secrets = Secrets::one();
    let (mut finished, mut nth) = (BTreeSet::new(), 0);
    let last = loop {
        nth += 1;
        assert!(nth < 40, "it never finishes");
        let _ = fs::remove_file(secrets.work.join("count"));
        let killing = secrets.script(&format!(
            "n=$(($(cat count 2>/dev/null || echo 0) + 1)); echo $n >count\n\
             if [ $n -eq {nth} ]; then kill -9 $PPID; exit 1; fi\nexec \"$restic\" \"$@\""
        ));
        let out = secrets.bkp(["change-password"]).env("BKP_RESTIC_BIN", killing).run();
        if out.code == 0 {
            break nth;
        }
        out.fails_with(137);
        // What two deaths leave alike is finished alike.
        if finished.insert(secrets.state()) {
            assert_opens(&secrets, &format!("call {nth}"));
            let copy = secrets.copy();
            copy.bkp(["change-password"]).run().ok();
            copy.assert_changed();
        }
    };
    secrets.assert_changed();
    assert!(last > 10 && finished.len() >= 4, "killed before call {last}, which left {finished:?}");
}

#[test]
fn killed_after_any_change_the_next_call_goes_on() {
    let secrets = Secrets::one();
    for (step, keys, snapshots) in [("key add", 2, 1), ("backup", 2, 2), ("forget", 2, 1), ("key remove", 1, 1)] {
        let killing = secrets.script(&format!(
            "\"$restic\" \"$@\"; code=$?\ncase \" $* \" in *\" {step} \"*) kill -9 $PPID ;; esac\nexit $code"
        ));
        secrets.bkp(["change-password"]).env("BKP_RESTIC_BIN", killing).run().fails_with(137);
        assert_eq!((secrets.stored("keys").len(), secrets.stored("snapshots").len()), (keys, snapshots), "{step}");
        assert_opens(&secrets, step);
        if step == "backup" {
            assert_proof_is_no_backup(&secrets);
        }
    }
    secrets.bkp(["change-password"]).run().ok().says("have the new password already");
    secrets.assert_changed();
}

/// What proves a password is the newest snapshot now: it would push the run out, or be restored in its place.
fn assert_proof_is_no_backup(secrets: &Secrets) {
    assert_eq!(secrets.runs(), 1);
    let snapshots = secrets.stored("snapshots");
    let forget = secrets.bkp(["forget"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1");
    forget.run().ok().says("0 backups forgotten");
    assert_eq!(secrets.stored("snapshots"), snapshots);
    let file = secrets.work.join("files/a/b.txt");
    fs::remove_file(&file).expect("an accident");
    secrets.bkp(["restore"]).run().ok();
    assert_eq!(fs::read(&file).expect("restored"), b"content");
}

#[test]
fn killed_together_with_a_restic_that_holds_a_lock_it_is_finished_by_the_next() {
    let secrets = Secrets::one();
    let mut finished = BTreeSet::new();
    for step in ["key add", "backup", "dump", "forget", "key remove"] {
        // As soon as restic holds its lock, both are gone.
        let killing = secrets.script(&format!(
            "held() {{ find repository/locks -type f ! -name '*-tmp-*' | sort; }}\n\
             case \" $* \" in *\" {step} \"*) ;; *) exec \"$restic\" \"$@\" ;; esac\n\
             before=$(held); exec 3<&0; \"$real\" \"$@\" <&3 & pid=$!\n\
             while kill -0 $pid && [ \"$(held)\" = \"$before\" ]; do :; done 2>/dev/null\n\
             kill -9 $pid $PPID; wait $pid"
        ));
        secrets.bkp(["change-password"]).env("BKP_RESTIC_BIN", killing).run().fails_with(137);
        assert!(!secrets.stored("locks").is_empty(), "{step} left its lock");
        assert_opens(&secrets, step);
        // What two deaths leave alike is finished alike.
        if finished.insert(secrets.state()) {
            let copy = secrets.copy();
            copy.bkp(["change-password"]).run().ok();
            copy.assert_changed();
        }
    }
    assert!(finished.len() >= 2, "{finished:?}");
}

#[test]
fn ended_in_order_it_is_finished_by_the_next() {
    let secrets = Secrets::one();
    for step in ["key add", "backup", "key remove"] {
        let ending = secrets
            .script(&format!("case \" $* \" in *\" {step} \"*) kill -TERM $PPID ;; esac\nexec \"$real\" \"$@\""));
        secrets.bkp(["change-password"]).env("BKP_RESTIC_BIN", ending).run().fails_with(143);
        assert_opens(&secrets, step);
        assert_eq!(secrets.stored("locks"), [""; 0], "{step} gives its lock back");
    }
    secrets.bkp(["change-password"]).run().ok();
    secrets.assert_changed();
}
