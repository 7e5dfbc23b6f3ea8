//! What an account may do in a bucket, tried; and what it means that it may not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::Told;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::gcs::{Gcs, Op};
use crate::support::workdir::WorkDir;

const PROBE: &str = ".bkp-doctor";

fn on_google(cluster: &Cluster, gcs: &Gcs) -> Bkp {
    Bkp::new(cluster).google(gcs, "/shop")
}

#[test]
fn every_permission_is_tried_and_the_probe_is_gone_afterwards() {
    let (cluster, gcs) = (Cluster::start(15), Gcs::start());
    Told::by(on_google(&cluster, &gcs), 0).all_ok_in(&["bucket"]);
    assert_eq!(gcs.objects(), Vec::<String>::new());
    assert_eq!(gcs.open_uploads(), 0);
    let log = gcs.log();
    for op in ["List", "Get", "Delete"] {
        assert!(log.iter().any(|entry| entry.contains(op)), "{op}: {log:?}");
    }
}

#[test]
fn what_an_account_may_not_do_is_told_by_what_will_not_work() {
    let (cluster, gcs) = (Cluster::start(15), Gcs::start());
    gcs.forbid([Op::Start, Op::Finish]);
    let told = Told::by(on_google(&cluster, &gcs), 2);
    told.has("fault", "bucket", &["does not allow to create", "storage.objects."]).all_ok_in(&["server"]);
    gcs.forbid([Op::List]);
    Told::by(on_google(&cluster, &gcs), 2).has("fault", "bucket", &["does not allow to list", "storage.objects."]);

    // To save and no more is a good idea; to ask it for retention is none.
    gcs.forbid([Op::Get, Op::Stat]);
    let told = Told::by(on_google(&cluster, &gcs), 0);
    told.has("warning", "bucket", &["does not allow to", "nor restore"]);
    Told::by(on_google(&cluster, &gcs).env("BKP_KEEP_DAILY", "7"), 2).has("fault", "bucket", &["exit code 4"]);
    gcs.forbid([Op::Delete]);
    for _ in 0..3 {
        let told = Told::by(on_google(&cluster, &gcs), 0);
        told.has("warning", "bucket", &["does not allow to delete", "retention cannot work", PROBE]);
    }
    assert_eq!(gcs.objects(), [format!("shop/{PROBE}")], "one, however often");
    Told::by(on_google(&cluster, &gcs).env("BKP_KEEP_DAILY", "7"), 2).has("fault", "bucket", &["exit code 4"]);
    on_google(&cluster, &gcs).args(["list"]).run().ok().says("no backups yet");
    gcs.forbid([]);
    Told::by(on_google(&cluster, &gcs), 0);
    assert_eq!(gcs.objects(), Vec::<String>::new());
}

#[test]
fn a_bucket_that_is_not_there_is_told_with_what_makes_it() {
    let (cluster, gcs, work) = (Cluster::start(15), Gcs::start(), WorkDir::new());
    let told = Told::by(on_google(&cluster, &gcs).env("BKP_BUCKET", "gs://another-bucket"), 2);
    told.has("fault", "bucket", &["gs://another-bucket", "correct BKP_BUCKET"]);
    let told = Told::by(Bkp::new(&cluster).bucket(&work.join("nowhere")), 2);
    told.has("fault", "bucket", &["bkp init"]).all_ok_in(&["server"]);
    assert!(!work.join("nowhere").exists());
}

#[test]
fn a_directory_that_cannot_be_written_is_a_fault_and_one_that_keeps_what_it_has_a_warning() {
    let (cluster, work) = (Cluster::start(15), WorkDir::new());
    let dumps = work.dir("dumps");
    let as_nobody = || Bkp::new(&cluster).bucket(&dumps).user(65532);
    let mode = |mode| fs::set_permissions(&dumps, fs::Permissions::from_mode(mode)).expect("chmod");
    mode(0o755);
    Told::by(as_nobody(), 2).has("fault", "bucket", &["does not allow to create"]);
    mode(0o777);
    Told::by(as_nobody(), 0).all_ok_in(&["bucket", "room"]);
    assert_eq!(fs::read_dir(&dumps).expect("a directory").count(), 0);
}

#[test]
fn a_dump_of_the_future_is_told_here_and_by_the_backup_that_is_held_against_it() {
    let (cluster, work) = (Cluster::start(15), WorkDir::new());
    let bkp = || Bkp::new(&cluster).bucket(&work.join("bucket"));
    work.file("bucket/db/db_dump-21310101_000000.bak.gz", "of a clock that ran ahead");
    let says = "db/db_dump-21310101_000000.bak.gz says that it is of 2131-01-01";
    Told::by(bkp(), 0).has("warning", "bucket", &[says, "set the clock right"]);
    let backup = bkp().args(["backup"]).run();
    assert!(backup.stderr.contains(says), "{}", backup.stderr);
}
