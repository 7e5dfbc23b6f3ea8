//! Restores from a store that breaks: either every byte, or the old data serves.

use super::{Cloud, NOTHING};
use crate::support::bkp::Output;
use crate::support::gcs::{Fault, Op};

/// A restore whose downloads meet faults, one each: of the seal, of the dump that is proven, of the dump that is loaded.
/// What makes them is told the dump's length; the seal comes with all of a dump that is as small as this one.
fn is_refused(faults: impl FnOnce(usize) -> Vec<Fault>) -> Output {
    let cloud = Cloud::backed_up();
    let bytes = cloud.gcs.get(&cloud.gcs.objects()[0]).expect("the dump").len();
    let mut out = None;
    cloud.old_data_serves(|| {
        for fault in faults(bytes) {
            cloud.gcs.fail_next(Op::Get, fault);
        }
        out = Some(cloud.bkp(["restore"]).run());
        assert_eq!(cloud.gcs.faults_left(), 0);
    });
    let out = out.expect("it ran");
    assert_ne!(out.code, 0, "{out:?}");
    out
}

#[test]
fn a_bit_flipped_on_the_way_is_refused_at_each_reading() {
    is_refused(|bytes| vec![Fault::FlipBit(bytes - 60)]).fails_with(5);
    is_refused(|_| vec![NOTHING, Fault::FlipBit(3000)]).fails_with(5);
    is_refused(|_| vec![NOTHING, NOTHING, Fault::FlipBit(3000)]).fails_with(5);
}

#[test]
fn a_newest_dump_that_does_not_come_is_not_passed_over_for_an_older_one() {
    let cloud = Cloud::backed_up();
    let older = cloud.gcs.objects();
    cloud.bkp(["backup"]).run().ok();
    let newer = cloud.gcs.objects().into_iter().find(|name| !older.contains(name)).expect("two dumps");
    // Only its end is another, where the seal is.
    let mut bytes = cloud.gcs.get(&newer).expect("the newer");
    let at = bytes.len() - 60;
    bytes[at] ^= 1;
    cloud.gcs.put(&newer, bytes);
    cloud.old_data_serves(|| {
        let older = older[0].trim_start_matches("some/prefix/");
        cloud.bkp(["restore"]).run().fails_with(5).says("cannot be read").says(&format!("bkp restore {older}"));
        cloud.bkp(["restore", "0s ago"]).run().fails_with(5);
        cloud.bkp(["check"]).run().fails_with(5).says("1 are damaged");
    });
    let orders = cloud.shop.orders();
    cloud.bkp(["restore", &older[0].replace("some/prefix/", "")]).run().ok();
    assert_ne!(cloud.shop.orders(), orders);
}

#[test]
fn a_dump_that_is_replaced_while_it_is_restored_is_refused() {
    is_refused(|_| vec![NOTHING, Fault::ReplaceAfter]).fails_with(1).says("replaced by another");
}

#[test]
fn what_breaks_is_resumed_and_what_says_later_is_asked_again() {
    let cloud = Cloud::open_with_much();
    let orders = cloud.shop.orders();
    cloud.bkp(["backup"]).run().ok();
    cloud.shop.lose_orders();
    cloud.gcs.fail_next(Op::List, Fault::Reset);
    for fault in [
        Fault::Status(503),
        Fault::Cut(100),
        NOTHING,
        Fault::Cut(5_000_000),
        Fault::Reset,
        Fault::Cut(1),
        Fault::Status(429),
        NOTHING,
        Fault::Cut(9_000_000),
    ] {
        cloud.gcs.fail_next(Op::Get, fault);
    }
    cloud.bkp(["restore"]).run().ok();
    assert_eq!((cloud.gcs.faults_left(), cloud.shop.orders()), (0, orders));
    let log = cloud.gcs.log();
    assert!(log.contains(&"Get bytes=5000000-".to_owned()), "resumed, not begun again: {log:?}");
}

#[test]
fn an_answer_that_ends_early_is_never_taken_for_the_whole() {
    let cloud = Cloud::backed_up();
    let orders = cloud.shop.orders();
    cloud.shop.lose_orders();
    cloud.gcs.fail_next(Op::Get, NOTHING);
    cloud.gcs.fail_next(Op::Get, Fault::Short(2000));
    let out = cloud.bkp(["restore"]).run();
    // Either it fetched the rest, or it refused.
    let restored = cloud.shop.orders() == orders;
    assert_eq!(out.code == 0, restored, "{out:?}");
}
