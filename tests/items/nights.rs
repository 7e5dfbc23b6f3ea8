//! Four hundred nights, by pods with new names and a clock that is where it should be for each: what is left is what restic's own
//! rules say, and restic is asked for them.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::PASSWORD;
use super::quick::{Plain, snapshot_ids};
use crate::support::parts;
use crate::support::run::run;

const NIGHTS: usize = 400;

/// Of those, the older ones are by the scripts that were there before: a random host, and no tags.
const BY_SCRIPTS: usize = 150;

/// restic waits a fifth of a second in every call for others to show up, so that many at once take little more.
const AT_ONCE: usize = 12;

/// Every night's snapshot, up to last night's; a few nights have two, and some are missing.
fn spend_the_nights(plain: &Plain) {
    let (next, now) = (AtomicUsize::new(1), Timestamp::now());
    let root = plain.files().display().to_string();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let ago = next.fetch_add(1, Ordering::Relaxed);
                    if ago > NIGHTS {
                        return;
                    }
                    if ago % 37 == 0 {
                        continue;
                    }
                    let nights = i64::try_from(ago).expect("few");
                    // Most at 23:10, some much later: over midnight, and over the end of months.
                    let late = SignedDuration::from_mins(if ago % 7 == 0 { 300 } else { i64::from(ago % 3 == 0) });
                    let time = now - SignedDuration::from_hours(24 * nights) + late;
                    one_night(plain, &root, ago, time);
                    if ago % 29 == 0 {
                        one_night(plain, &root, ago + 1000, time + SignedDuration::from_mins(7));
                    }
                }
            });
        }
    });
}

fn one_night(plain: &Plain, root: &str, night: usize, time: Timestamp) {
    let zoned = time.to_zoned(TimeZone::UTC);
    let mut restic = Command::new(parts::restic("0.18"));
    restic.env_clear().env("RESTIC_REPOSITORY", plain.repository()).env("RESTIC_PASSWORD", PASSWORD).env("TZ", "UTC");
    restic.args(["--no-cache", "--quiet", "backup", "--force", "--no-scan", "--time"]);
    restic.arg(zoned.strftime("%Y-%m-%d %H:%M:%S").to_string());
    if night % 1000 > NIGHTS - BY_SCRIPTS {
        // The directory by its whole path, as a script without `cd` did.
        restic.args(["--host", &format!("backup-restore-{night:x}-pod"), root]);
    } else {
        let run = zoned.strftime("%Y%m%dT%H%M%SZ");
        restic.args([
            "--host",
            "shop",
            "--tag",
            "bkp",
            "--tag",
            &format!("run={run}-{night:06x}"),
            "--tag",
            "app=shop",
        ]);
        restic.args(["--tag", &format!("item=files:{root}"), "--tag", &format!("plan=files:{root}"), "."]);
    }
    let ran = run(restic.current_dir(plain.files()), b"");
    assert!(ran.success, "{}", ran.stderr);
}

/// What restic itself would keep by these rules, hosts or paths notwithstanding.
fn restic_keeps(plain: &Plain, rules: &[&str], only: &[&str]) -> BTreeSet<String> {
    let words = ["forget", "--dry-run", "--json", "--no-lock", "--group-by", ""];
    let ran = plain.restic(&[&words, rules, only].concat());
    assert!(ran.success, "{}", ran.stderr);
    let groups: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    let groups = groups.as_array().expect("groups");
    assert_eq!(groups.len(), 1);
    let kept = groups[0]["keep"].as_array().expect("what is kept");
    kept.iter().map(|snapshot| snapshot["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn four_hundred_nights_leave_what_the_rules_say() {
    let plain = Plain::open();
    spend_the_nights(&plain);
    let nights: BTreeSet<String> = snapshot_ids(&plain.repository()).into_iter().collect();
    assert!(nights.len() > 395, "{}", nights.len());

    // From the laxest to the strictest, each on what the one before has left.
    for (settings, rules) in [
        (
            &[("BKP_KEEP_DAILY", "300"), ("BKP_KEEP_YEARLY", "5")][..],
            &["--keep-daily", "300", "--keep-yearly", "5"][..],
        ),
        (
            &[("RESTIC_DAYS_TO_KEEP", "30"), ("RESTIC_MONTHS_TO_KEEP", "12")],
            &["--keep-within", "30d", "--keep-monthly", "12"],
        ),
        (
            &[
                ("BKP_KEEP_MIN", "1"),
                ("BKP_KEEP_LAST", "2"),
                ("BKP_KEEP_WEEKLY", "6"),
                ("BKP_KEEP_MONTHLY", "4"),
                ("BKP_KEEP_YEARLY", "9"),
                ("BKP_KEEP_HOURLY", "5"),
            ],
            &[
                "--keep-last",
                "2",
                "--keep-weekly",
                "6",
                "--keep-monthly",
                "4",
                "--keep-yearly",
                "9",
                "--keep-hourly",
                "5",
            ],
        ),
    ] {
        let mut backup = plain.bkp(["backup"]);
        for (name, value) in settings {
            backup = backup.env(name, value);
        }
        // Tonight's comes first, so that restic judges what bkp will.
        plain.bkp(["backup"]).run().ok();
        let before: BTreeSet<String> = snapshot_ids(&plain.repository()).into_iter().collect();
        let ours = restic_keeps(&plain, rules, &["--tag", "bkp"]);
        let old: BTreeSet<String> = restic_keeps(&plain, rules, &[]);
        let tagged: BTreeSet<String> = restic_keeps(&plain, &["--keep-last", "10000"], &["--tag", "bkp"]);
        let expected: BTreeSet<String> = ours.iter().cloned().chain(old.difference(&tagged).cloned()).collect();

        let mut forget = plain.bkp(["forget"]);
        for (name, value) in settings {
            forget = forget.env(name, value);
        }
        forget.run().ok();
        let left: BTreeSet<String> = snapshot_ids(&plain.repository()).into_iter().collect();
        assert!(left.len() < before.len(), "{settings:?}: something goes");
        let told = |ids: std::collections::btree_set::Difference<'_, String>| {
            ids.map(|id| plain.restic(&["snapshots", "--compact", id]).text()).collect::<String>()
        };
        let (more, less) = (told(left.difference(&expected)), told(expected.difference(&left)));
        assert!(more.is_empty() && less.is_empty(), "{settings:?}\nstill there:\n{more}\nand gone:\n{less}");
        let count = left.len();
        // And the run that does both, with the next one's place already decided.
        backup.run().ok();
        let after = snapshot_ids(&plain.repository()).len();
        assert!(after == count || after == count + 1, "{settings:?}: {count}, then {after}");
    }
    assert!(plain.restic(&["check", "--read-data"]).success);
    plain.bkp(["restore"]).run().ok();
}
