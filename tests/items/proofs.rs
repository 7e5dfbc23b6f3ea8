//! What a drill has proven in a restic repository is remembered there: shown, kept by retention, gone with its run, and no backup to
//! anybody, neither to bkp nor to scripts that drive restic themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::quick::{Mounted, Plain, lay_repository, restic_at, restic_that, snapshot_ids};
use super::{App, PASSWORD, quick, tree};
use crate::support::bkp::Bkp;
use crate::support::parts;
use crate::support::run::{Ran, run};

/// What restic lists.
fn snapshots(repository: &Path, words: &[&str]) -> Vec<Value> {
    let listed = restic_at(repository, &[&["snapshots", "--json"], words].concat());
    assert!(listed.success, "{}", listed.stderr);
    serde_json::from_slice(&listed.stdout).expect("JSON")
}

/// The proofs, as restic lists them.
fn proofs(repository: &Path) -> Vec<Value> {
    snapshots(repository, &["--tag", "bkp-drill-proof"])
}

fn id(snapshot: &Value) -> &str {
    snapshot["id"].as_str().expect("an id")
}

/// Which of the runs, newest first, are proven.
fn proven(listed: &[Value]) -> Vec<bool> {
    listed.iter().map(|row| row["proven"].is_string()).collect()
}

/// The restic of older systems, which reads what bkp leaves.
fn old_restic(repository: &Path, words: &[&str]) -> Ran {
    let mut old = Command::new(parts::cache().join("restic/0.14/restic"));
    old.env_clear().env("RESTIC_PASSWORD", PASSWORD).args(["--no-cache", "-r"]).arg(repository).args(words);
    run(&mut old, b"")
}

/// Leaves no room for one more snapshot in a repository, for as long as this lives.
fn full(repository: &Path) -> Mounted {
    let at = repository.join("snapshots");
    let held: Vec<_> =
        snapshot_ids(repository).iter().map(|id| (id.clone(), fs::read(at.join(id)).expect("it"))).collect();
    // A page for each.
    let mounted = Mounted::tmpfs(&at, &format!("size={}k", 4 * held.len()));
    held.iter().for_each(|(id, bytes)| fs::write(at.join(id), bytes).expect("a snapshot"));
    mounted
}

fn few(bkp: Bkp) -> Bkp {
    bkp.env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1")
}

#[test]
fn a_proven_run_is_shown_and_its_proof_is_no_backup_to_anybody() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    let first = plain.tree();
    plain.work.file("files/data/b", "more");
    plain.bkp(["backup"]).run().ok();
    let repository = plain.repository();
    let latest = |words: &[&str]| snapshots(&repository, &[&["--latest", "1"], words].concat());
    let (before, of_host) = (snapshots(&repository, &[]), latest(&["--host", "shop"]));
    assert_eq!(of_host.len(), 1);

    let evidence = plain.work.join("evidence.json");
    plain.bkp(["drill", "--evidence"]).args([&evidence]).run().ok();
    let shown: Value = serde_json::from_slice(&fs::read(&evidence).expect("evidence")).expect("JSON");
    assert_eq!(shown["remembered"], true);
    let listed = plain.listed();
    assert_eq!((proven(&listed), &listed[0]["proven_from"]), (vec![true, false], &serde_json::json!(["restic"])));
    let day = &listed[0]["proven"].as_str().expect("a time")[..10];
    let table = plain.bkp(["list"]).run().ok().stdout;
    assert_eq!(table.lines().filter(|line| line[20..].contains(day)).count(), 1, "{table}");

    // It is there, and holds the evidence.
    let proof = proofs(&repository);
    assert_eq!(proof.len(), 1);
    let dumped = plain.restic(&["dump", id(&proof[0]), "/bkp-drill-proof.json"]);
    let told: Value = serde_json::from_slice(&dumped.stdout).expect("JSON");
    assert_eq!((&told["result"], &told["backup"]["run"]), (&"proven".into(), &listed[0]["run"]));

    // Nobody's latest, whichever restic is asked, and however.
    assert_eq!(latest(&["--host", "shop"]), of_host);
    assert_eq!(latest(&["--path", plain.files().to_str().expect("a path")]), of_host);
    assert_eq!(latest(&[]).last(), of_host.last());
    assert_eq!(snapshots(&repository, &["latest"]), of_host);
    let others: Vec<Value> = snapshots(&repository, &[]).into_iter().filter(|one| id(one) != id(&proof[0])).collect();
    assert_eq!(others, before);
    for (number, restored) in [
        restic_at(&repository, &["restore", "latest", "--target", &plain.work.join("to0").display().to_string()]),
        old_restic(&repository, &["restore", "latest", "--target", &plain.work.join("to1").display().to_string()]),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(restored.success, "{}", restored.stderr);
        assert_eq!(tree(&plain.work.join(&format!("to{number}"))), plain.tree());
    }

    // Nor when somebody removes the run that it speaks of.
    assert!(plain.restic(&["forget", id(&of_host[0])]).success);
    assert_eq!(id(&snapshots(&repository, &["latest"])[0]), id(&before[0]));
    assert_eq!(proven(&plain.listed()), [false]);
    plain.bkp(["check", "--read-data"]).run().ok();
    plain.bkp(["restore"]).run().ok();
    assert_eq!(plain.tree(), first);
    plain.bkp(["backup"]).run().ok();
    let newest = snapshots(&repository, &["latest"]);
    assert_eq!(newest[0]["parent"], before[0]["id"], "files that did not change are not read again");
}

#[test]
fn the_newest_proven_run_in_restic_stays_until_a_newer_one_is_proven() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    plain.bkp(["drill"]).run().ok();
    let first = plain.listed()[0]["run"].clone();
    let runs = || plain.listed().iter().map(|row| row["run"].clone()).collect::<Vec<Value>>();
    for _ in 0..2 {
        few(plain.bkp(["backup"])).run().ok();
        assert_eq!((runs().len(), runs().last()), (2, Some(&first)));
    }
    few(plain.bkp(["forget"])).run().ok();
    assert_eq!((runs().len(), proofs(&plain.repository()).len()), (2, 1));

    plain.bkp(["drill"]).run().ok();
    assert_eq!(proven(&plain.listed()), [true, true]);
    few(plain.bkp(["forget", "--dry-run"])).run().ok().says("1 backups would be forgotten");
    assert_eq!(proofs(&plain.repository()).len(), 2, "nothing goes by trying");
    few(plain.bkp(["forget"])).run().ok();
    assert_eq!(proven(&plain.listed()), [true], "a newer one is proven");
    let left = proofs(&plain.repository());
    let of = |proof: &Value| proof["tags"].to_string().contains(runs()[0].as_str().expect("a run"));
    assert!(left.len() == 1 && of(&left[0]), "a proof goes with its run: {left:?}");

    // Of a run that somebody removed by hand, it goes with the next retention; another application's is not ours to judge.
    let last = snapshots(&plain.repository(), &["latest"]);
    assert!(plain.restic(&["forget", id(&last[0])]).success);
    save_proof(&plain, "bkp-drill-proof,run=x,app=other,proven=2026-01-01T00:00:00Z,snapshots=00000000");
    few(plain.bkp(["forget", "--dry-run"])).run().ok();
    assert_eq!(proofs(&plain.repository()).len(), 2);
    few(plain.bkp(["backup"])).run().ok();
    let left = proofs(&plain.repository());
    assert!(left.len() == 1 && left[0]["tags"].to_string().contains("app=other"), "{left:?}");
}

/// A snapshot by restic itself; its id.
fn save(plain: &Plain, arguments: &[&str], input: &[u8]) -> String {
    let mut restic = Command::new(parts::restic("0.18"));
    restic.env_clear().env("RESTIC_REPOSITORY", plain.repository()).env("RESTIC_PASSWORD", PASSWORD).env("TZ", "UTC");
    restic.current_dir(plain.files()).args(["--no-cache", "backup", "--json", "--force"]);
    let ran = run(restic.args(arguments), input);
    assert!(ran.success, "{}", ran.stderr);
    let said: Value = serde_json::from_str(ran.text().lines().last().expect("a summary")).expect("JSON");
    said["snapshot_id"].as_str().expect("an id").to_owned()
}

/// A proof as bkp makes them.
fn save_proof(plain: &Plain, tags: &str) {
    let words = ["--host", "bkp-drill-proof", "--time", "1970-01-01 00:00:00", "--tag", tags];
    save(plain, &[&words[..], &["--stdin", "--stdin-filename", "bkp-drill-proof.json"]].concat(), b"{}");
}

/// One night's run, and a proof of it, as bkp makes them: by restic itself, for the sake of the time.
fn night(plain: &Plain, ago: i64, is_proven: bool) -> String {
    let time = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * ago);
    let time = time.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let (run_id, item) = (format!("night-{ago}"), format!("files:{}", plain.files().display()));
    let tags = format!("bkp,run={run_id},app=shop,item={item},plan={item}");
    let saved = save(plain, &["--host", "shop", "--time", &time, "--tag", &tags, "."], b"");
    if is_proven {
        let short = &saved[..8];
        let tags = format!("bkp-drill-proof,run={run_id},app=shop,proven=2026-11-01T00:00:00Z,snapshots={short}");
        save_proof(plain, &tags);
    }
    saved
}

#[test]
fn proofs_take_no_place_in_any_rule() {
    let plain = Plain::open();
    let nights: Vec<String> = (0..12).map(|ago| night(&plain, ago, [4, 7, 11].contains(&ago))).collect();
    assert_eq!(proven(&plain.listed()).iter().filter(|proven| **proven).count(), 3);
    let rules = ["--keep-last", "1", "--keep-daily", "3", "--keep-yearly", "1"];
    let words = ["forget", "--dry-run", "--json", "--no-lock", "--group-by", "", "--host", "shop"];
    let judged = plain.restic(&[&words[..], &rules].concat());
    let groups: Value = serde_json::from_slice(&judged.stdout).expect("JSON");
    let kept = groups[0]["keep"].as_array().expect("what is kept").iter().map(|one| id(one).to_owned());
    let mut expected: BTreeSet<String> = kept.collect();
    assert!(!expected.contains(&nights[4]) && expected.len() == 3, "{expected:?}");
    expected.insert(nights[4].clone());

    let forget = plain.bkp(["forget"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_DAILY", "3");
    forget.env("BKP_KEEP_YEARLY", "1").env("BKP_KEEP_MIN", "1").run().ok();
    let left = proofs(&plain.repository());
    assert!(left.len() == 1 && left[0]["tags"].to_string().contains("run=night-4\""), "{left:?}");
    expected.insert(id(&left[0]).to_owned());
    assert_eq!(snapshot_ids(&plain.repository()).into_iter().collect::<BTreeSet<String>>(), expected);
}

#[test]
fn the_newest_proof_of_a_run_counts_and_a_drill_locks_nobody_out_to_remove_the_others() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    // Whatever removes something fails the drill; and a prune that goes on is waited for.
    let script = "case \" $* \" in *' forget '*|*' prune '*) exit 1;;
        *' backup '*) [ -e $D/tried ] || { touch $D/tried; echo locked >&2; exit 11; };; esac; exec $REAL \"$@\"";
    let drill = || plain.bkp(["drill"]).env("BKP_RESTIC_BIN", restic_that(&plain.work, script)).run().ok();
    drill();
    assert!(plain.work.join("faults/tried").exists());
    let first = plain.listed()[0]["proven"].clone();
    drill();
    let second = plain.listed()[0]["proven"].clone();
    assert!(first.as_str() < second.as_str() && proofs(&plain.repository()).len() == 2);
    plain.bkp(["forget"]).env("BKP_KEEP_DAILY", "7").env("BKP_RESTIC_BIN", restic_that(&plain.work, script)).run().ok();
    assert_eq!(proofs(&plain.repository()).len(), 2, "a repository to which one may only add");
    plain.bkp(["forget"]).env("BKP_KEEP_DAILY", "7").run().ok();
    assert_eq!((proofs(&plain.repository()).len(), &plain.listed()[0]["proven"]), (1, &second));
}

#[test]
fn a_store_that_takes_no_proof_changes_no_result() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    let evidence = plain.work.join("evidence.json");
    {
        let _full = full(&plain.repository());
        let out = plain.bkp(["drill", "--evidence"]).args([&evidence]).run().ok();
        out.says("the proof could not be kept").says("no space left on device");
    }
    let shown: Value = serde_json::from_slice(&fs::read(&evidence).expect("evidence")).expect("JSON");
    assert_eq!((&shown["result"], &shown["remembered"]), (&"proven".into(), &false.into()));
    assert_eq!(proven(&plain.listed()), [false]);
}

#[test]
fn a_run_in_several_repositories_has_one_proof_that_speaks_for_all_of_it() {
    let app = App::open();
    let places = ["files", "pg-database", "pg-role"].map(|place| app.repository().join(place));
    places.iter().for_each(|place| lay_repository(place));
    let split = |bkp: Bkp| bkp.env("BKP_RESTIC_LAYOUT", "split");
    let listed = || quick::listed(split(app.bkp(["list", "--json"])));
    let there = || places.iter().map(|place| proofs(place).len()).collect::<Vec<usize>>();
    split(app.bkp(["backup"])).run().ok();
    let roles = id(&snapshots(&places[2], &[])[0]).to_owned();
    split(app.bkp(["drill"])).run().ok();
    assert_eq!((proven(&listed()), there()), (vec![true], vec![1, 0, 0]));

    // Where the first takes nothing, the next one does.
    {
        let _full = full(&places[0]);
        split(app.bkp(["drill"])).run().ok();
    }
    assert_eq!((proven(&listed()), there()), (vec![true], vec![1, 1, 0]));
    split(app.bkp(["forget"])).env("BKP_KEEP_DAILY", "7").run().ok();
    assert_eq!((proven(&listed()), there()), (vec![true], vec![0, 1, 0]));
    let dumped = restic_at(&places[1], &["dump", "latest", "/stdin"]);
    assert!(dumped.success && dumped.text().contains("CREATE TABLE"), "{}", dumped.stderr);

    // The proof is of a whole run.
    assert!(restic_at(&places[2], &["forget", &roles]).success);
    assert_eq!(proven(&listed()), [false]);
    for _ in 0..2 {
        few(split(app.bkp(["backup"]))).run().ok();
    }
    assert_eq!((proven(&listed()), there()), (vec![false], vec![0, 0, 0]));
}

#[test]
fn a_run_that_lies_in_both_stores_is_proven_from_the_one_that_was_read() {
    let app = App::quick();
    let databases = |bkp: Bkp| bkp.bucket(&app.work.join("bucket")).without("BKP_FILES");
    let listed = || quick::listed(databases(app.bkp(["list", "--json"])));
    databases(app.bkp(["init"])).run().ok();
    databases(app.bkp(["backup"])).run().ok();
    databases(app.bkp(["drill"])).run().ok();
    assert_eq!(listed()[0]["proven_from"], serde_json::json!(["restic"]));
    databases(app.bkp(["list"])).run().ok().says("proven from restic");
    let alone = |bkp: Bkp| databases(bkp).without("RESTIC_REPOSITORY").without("RESTIC_PASSWORD_FILE");
    assert_eq!(proven(&quick::listed(alone(app.bkp(["list", "--json"])))), [false], "nobody has read that one");

    // In both stores it is one run, and stays as one.
    for _ in 0..2 {
        few(databases(app.bkp(["backup"]))).run().ok();
    }
    assert_eq!(proven(&listed()), [false, true]);
    assert!(listed()[1]["object"].is_string() && listed()[1]["snapshots"].is_array());

    alone(app.bkp(["drill"])).run().ok();
    databases(app.bkp(["drill"])).run().ok();
    assert_eq!(listed()[0]["proven_from"], serde_json::json!(["bucket", "restic"]));
    few(databases(app.bkp(["forget"]))).run().ok();
    assert_eq!(proven(&listed()), [true]);
    assert_eq!(proofs(&app.repository()).len(), 1);
    assert_eq!(fs::read_dir(app.work.join("bucket/proven")).expect("proofs").count(), 1);
}

#[test]
fn a_new_password_takes_no_proof_away_and_no_backup_that_is_tagged_like_one_of_its_own() {
    let plain = Plain::open();
    plain.bkp(["backup", "--tag", "bkp-password-proof"]).run().ok();
    plain.bkp(["drill"]).run().ok();
    let before = snapshot_ids(&plain.repository());
    let new = plain.work.file("new", "nouveau\n");
    plain.bkp(["change-password"]).env("RESTIC_NEW_PASSWORD_FILE", &new).run().ok();
    assert_eq!(snapshot_ids(&plain.repository()), before);
    let listed = quick::listed(plain.bkp(["list", "--json"]).env("RESTIC_PASSWORD_FILE", &new));
    assert_eq!(proven(&listed), [true]);
}

#[test]
fn a_backup_that_somebody_tags_like_a_proof_is_a_backup() {
    let plain = Plain::open();
    plain.bkp(["backup", "--tag", "bkp-drill-proof"]).run().ok();
    let listed = plain.listed();
    assert_eq!((listed[0]["sealed"].as_bool(), proven(&listed)), (Some(true), vec![false]));
    fs::remove_file(plain.files().join("config/app.php")).expect("removed");
    plain.bkp(["restore"]).run().ok();
    assert!(plain.files().join("config/app.php").exists());
}
