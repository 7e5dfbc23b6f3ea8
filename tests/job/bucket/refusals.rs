//! What the account may not do, and a bucket that is not there.

use super::{Cloud, NOTHING};
use crate::support::gcs::{Fault, Op};

const FORBIDDEN: Fault = Fault::Refuse(403, "bkp@p.iam.gserviceaccount.com does not have that access.");

#[test]
fn a_bucket_that_is_not_there_is_exit_10_and_named() {
    let cloud = Cloud::open();
    cloud.gcs.remove_bucket();
    cloud.bkp(["init"]).run().fails_with(10).says("gs://test-bucket").says("provider's tools");
    cloud.bkp(["backup"]).run().fails_with(10).says("gs://test-bucket").says("bkp init");
    for command in ["list", "restore", "check"] {
        cloud.bkp([command]).run().fails_with(10).says("gs://test-bucket");
    }
    assert_eq!(cloud.count("Start"), 0, "nothing is begun");
}

#[test]
fn an_account_that_may_not_create_is_told_which_right_it_lacks() {
    let cloud = Cloud::open();
    cloud.gcs.fail_next(Op::Start, FORBIDDEN);
    let out = cloud.bkp(["backup"]).run().fails_with(1);
    out.says("does not allow to create object").says("does not have that access").says("roles/storage.objectAdmin");
    cloud.holds_nothing();
}

#[test]
fn an_account_that_may_create_and_list_but_not_read_saves() {
    let cloud = Cloud::open();
    let asked = cloud.gcs.log().len();
    // Is the name taken? It may not look; the upload's own precondition decides.
    cloud.gcs.fail_next(Op::Stat, FORBIDDEN);
    cloud.bkp(["backup"]).run().ok();
    assert_eq!(cloud.gcs.objects().len(), 1);
    let looks = cloud.gcs.log()[asked..].iter().filter(|act| act.contains("Stat") || act.contains("Get")).count();
    assert_eq!(looks, 1, "{:?}", cloud.gcs.log());
}

#[test]
fn an_account_that_may_not_list_is_told_before_the_dump_begins() {
    let cloud = Cloud::open();
    cloud.gcs.fail_next(Op::List, FORBIDDEN);
    cloud.bkp(["backup"]).run().fails_with(1).says("does not allow to list the bucket").says("storage.objects.");
    assert_eq!(cloud.count("Start"), 0);
    cloud.gcs.fail_next(Op::List, FORBIDDEN);
    cloud.bkp(["list"]).run().fails_with(1).says("does not allow to list the bucket");
}

#[test]
fn an_account_that_may_not_read_is_told_and_nothing_is_called_damaged() {
    let cloud = Cloud::backed_up();
    cloud.old_data_serves(|| {
        // The seal first, then the dump.
        cloud.gcs.fail_next(Op::Get, FORBIDDEN);
        cloud.bkp(["restore"]).run().fails_with(1).says("does not allow to read object").says("storage.objects.");
        cloud.gcs.fail_next(Op::Get, NOTHING);
        cloud.gcs.fail_next(Op::Get, FORBIDDEN);
        cloud.bkp(["restore"]).run().fails_with(1).says("does not allow to read object").says("storage.objects.");
        cloud.gcs.fail_next(Op::Get, FORBIDDEN);
        cloud.bkp(["check"]).run().fails_with(1).says("0 are damaged").says("1 dumps could not be read");
        cloud.gcs.fail_next(Op::Get, FORBIDDEN);
        cloud.bkp(["list"]).run().ok().says("unreadable");
    });
}

#[test]
fn a_backup_whose_old_ones_cannot_be_deleted_is_there_and_exit_4() {
    let cloud = Cloud::backed_up();
    let older = cloud.gcs.objects();
    cloud.gcs.fail_next(Op::Delete, FORBIDDEN);
    let metrics = cloud.shop.work.join("bkp.prom");
    let keep_one = cloud.bkp(["backup"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1");
    let out = keep_one.env("BKP_METRICS_FILE", &metrics).run().fails_with(4);
    out.says("does not allow to delete object").says("storage.objects.");
    let told = std::fs::read_to_string(&metrics).expect("metrics");
    for line in ["bkp_retention_failing{app=\"shop\"} 1\n", "exit_status{app=\"shop\",command=\"backup\"} 4\n"] {
        assert!(told.contains(line), "{told}");
    }
    assert!(told.contains("bkp_last_success_timestamp_seconds{"), "what was saved is whole: {told}");
    assert_eq!(cloud.gcs.objects().len(), 2);
    cloud.bkp(["check", "--read-data"]).run().ok().says("2 dumps are as sealed");
    cloud.bkp(["forget"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1").run().ok();
    // Also when both were taken within one second.
    assert!(cloud.gcs.objects().len() == 1 && cloud.gcs.objects() != older, "{:?}", cloud.gcs.objects());
}
