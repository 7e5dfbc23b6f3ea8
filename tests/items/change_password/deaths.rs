//! Killed anywhere: some password opens the repository, and the next call finishes.

use std::collections::BTreeSet;

use super::{NEW, OLD, SPLIT, Secrets};

/// What holds after every death, and what the next call makes of it.
fn assert_survived(secrets: &Secrets, seen: &mut BTreeSet<Vec<String>>, when: &str) {
    // Deaths between the same two changes leave the same.
    if !seen.insert(secrets.state()) {
        return;
    }
    assert!(secrets.opens("", OLD) || secrets.opens("", NEW), "locked out, killed at {when}");
    let copy = secrets.copy();
    copy.bkp(["change-password"]).run().ok();
    copy.assert_changed();
    assert_eq!(copy.runs(), 1, "killed at {when}");
}

/// Kills before the n-th call of restic, for every second n: each call goes on with what the one before left.
fn killed_before_each(mut nth: u32) {
    let secrets = Secrets::one();
    let mut seen = BTreeSet::new();
    loop {
        assert!(nth < 60, "it never finishes");
        let _ = std::fs::remove_file(secrets.work.join("count"));
        let killing = secrets.script(&format!(
            "n=$(($(cat count 2>/dev/null || echo 0) + 1)); echo $n >count\n\
             if [ $n -eq {nth} ]; then kill -9 $PPID; exit 1; fi\nexec \"$restic\" \"$@\""
        ));
        let out = secrets.change_with(&killing).run();
        if out.code == 0 {
            break;
        }
        out.fails_with(137);
        assert_survived(&secrets, &mut seen, &format!("call {nth}"));
        nth += 2;
    }
    secrets.assert_changed();
    // It was killed before and after each step that counts: nothing done, key added, written, old key removed.
    assert!(nth > 10 && seen.len() >= 3, "killed up to call {nth}, which left {seen:?}");
}

#[test]
fn killed_before_an_odd_call_of_restic_it_is_finished_by_the_next() {
    killed_before_each(1);
}

#[test]
fn killed_before_an_even_call_of_restic_it_is_finished_by_the_next() {
    killed_before_each(2);
}

#[test]
fn killed_together_with_a_restic_that_holds_a_lock_it_is_finished_by_the_next() {
    let secrets = Secrets::one();
    let mut seen = BTreeSet::new();
    for step in ["key add", "backup", "dump", "forget", "key remove"] {
        // As soon as restic holds its lock, both are gone.
        let killing = secrets.script(&format!(
            "case \" $* \" in *\" {step} \"*) ;; *) exec \"$restic\" \"$@\" ;; esac\nexec 3<&0\n\
             find repository/locks -type f | sort >before\n\"$restic\" \"$@\" <&3 & pid=$!\n\
             while kill -0 $pid 2>/dev/null && [ \"$(find repository/locks -type f | sort)\" = \"$(cat before)\" ]; do :; done\n\
             kill -9 $pid; kill -9 $PPID"
        ));
        secrets.change_with(&killing).run().fails_with(137);
        assert!(!secrets.stored("locks").is_empty(), "{step} left its lock");
        assert_survived(&secrets, &mut seen, step);
    }
    secrets.bkp(["change-password"]).run().ok();
    secrets.assert_changed();
}

#[test]
fn ended_in_order_it_is_finished_by_the_next() {
    let secrets = Secrets::one();
    for step in ["key add", "backup", "key remove"] {
        let ending = secrets
            .script(&format!("case \" $* \" in *\" {step} \"*) kill -TERM $PPID ;; esac\nexec \"$restic\" \"$@\""));
        secrets.change_with(&ending).run().fails_with(143);
        assert!(secrets.opens("", OLD) || secrets.opens("", NEW), "locked out, ended at {step}");
        assert_eq!(secrets.stored("locks"), [""; 0], "{step} gives its lock back");
    }
    secrets.bkp(["change-password"]).run().ok();
    secrets.assert_changed();
}

#[test]
fn killed_among_three_repositories_it_is_finished_by_the_next() {
    let secrets = Secrets::split();
    let killing = secrets.script(
        "case \"$RESTIC_REPOSITORY $* \" in */pg-database*\" key remove \"*) kill -9 $PPID; exit 1 ;; esac\n\
         exec \"$restic\" \"$@\"",
    );
    secrets.change_with(&killing).run().fails_with(137);
    let opens = SPLIT.map(|place| (secrets.opens(place, OLD), secrets.opens(place, NEW)));
    assert_eq!(opens, [(false, true), (true, true), (true, false)]);

    let done = secrets.bkp(["change-password", "--json"]).run().ok();
    let record: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
    let changes: Vec<_> = (0..3).map(|n| record["repositories"][n]["change"].as_str().expect("a word")).collect();
    assert_eq!(changes, ["none", "finished", "made"], "{record}");
    let opens = SPLIT.map(|place| (secrets.opens(place, OLD), secrets.opens(place, NEW)));
    assert_eq!(opens, [(false, true); 3]);
}

#[test]
fn a_restic_that_outlives_the_killed_call_leaves_no_key_of_the_old_password() {
    let secrets = Secrets::one();
    // Two keys of one password, as a call leaves them that was killed while restic went on by itself.
    let file = secrets.work.join("old");
    let file = file.to_str().expect("UTF-8");
    assert!(secrets.restic("", OLD, ["key", "add", "--new-password-file", file]).success);
    assert_eq!(secrets.stored("keys").len(), 3);
    secrets.bkp(["change-password"]).run().ok();
    secrets.assert_changed();
}
