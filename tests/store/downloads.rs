//! Downloads that meet faults: either every byte, or an error; never other bytes, and never fewer in silence.

use std::time::Duration;

use bkp::repository::bucket::error::StoreError;
use bkp::repository::bucket::options::StoreOptions;

use super::{bytes, download, names, open, open_gcs, quick};
use crate::support::gcs::{BUCKET, Fault, Gcs, Op};

const LENGTH: usize = 3_000_000;

async fn with(op: Op, faults: &[Fault]) -> Result<(), StoreError> {
    let gcs = Gcs::start();
    gcs.put("dump", bytes(LENGTH));
    for fault in faults {
        gcs.fail_next(op, fault.clone());
    }
    let content = download(&open_gcs(&gcs), "dump").await?;
    assert!(content == bytes(LENGTH), "{op:?} {faults:?}: other bytes came");
    assert_eq!(gcs.faults_left(), 0, "{op:?} {faults:?} was not reached");
    Ok(())
}

#[tokio::test]
async fn a_broken_download_is_resumed_where_it_broke() {
    let cuts = [0, 1, 1_000_000, LENGTH - 1].map(Fault::Cut);
    for cut in cuts {
        with(Op::Get, &[cut]).await.expect("resumed");
    }
    with(Op::Get, &[Fault::Cut(100_000), Fault::Cut(50_000), Fault::Reset, Fault::Cut(200_000)])
        .await
        .expect("resumed");
    let gcs = Gcs::start();
    gcs.put("dump", bytes(LENGTH));
    gcs.fail_next(Op::Get, Fault::Cut(1_000_000));
    download(&open_gcs(&gcs), "dump").await.expect("resumed");
    assert_eq!(gcs.log(), ["Stat", "Get", "Get bytes=1000000-"], "nothing comes twice");
}

#[tokio::test]
async fn a_connection_that_breaks_often_but_always_brings_something_is_enough() {
    with(Op::Get, &[const { Fault::Cut(100_000) }; 20]).await.expect("resumed");
}

#[tokio::test]
async fn an_answer_that_says_later_is_asked_again() {
    for op in [Op::Stat, Op::Get] {
        for status in [408, 429, 500, 503] {
            with(op, &[Fault::Status(status)]).await.expect("answered");
        }
        with(op, &[Fault::LostReply]).await.expect("answered");
    }
}

#[tokio::test]
async fn a_flipped_bit_is_found() {
    for at in [0, 1_500_000, LENGTH - 1] {
        let result = with(Op::Get, &[Fault::FlipBit(at)]).await;
        assert!(matches!(result, Err(StoreError::Corrupt { .. })), "{at}: {result:?}");
    }
}

#[tokio::test]
async fn a_download_that_is_short_is_found() {
    for length in [0, 1, LENGTH - 1] {
        let result = with(Op::Get, &[Fault::Short(length)]).await;
        assert!(matches!(result, Err(StoreError::Corrupt { .. })), "{length}: {result:?}");
    }
}

#[tokio::test]
async fn an_object_replaced_meanwhile_is_not_mixed_in() {
    // Between the look and the first byte.
    let result = with(Op::Stat, &[Fault::ReplaceAfter]).await;
    assert!(matches!(result, Err(StoreError::Changed { .. })), "{result:?}");
    // Between two halves.
    let gcs = Gcs::start();
    gcs.put("dump", bytes(LENGTH));
    gcs.fail_next(Op::Get, Fault::Cut(1_000_000));
    let store = open_gcs(&gcs);
    let mut reading = store.read("dump", None, None).await.expect("opened");
    let first = reading.next().await.expect("read");
    assert!(first.is_some());
    gcs.put("dump", bytes(LENGTH - 1));
    let mut result = Ok(first);
    while matches!(result, Ok(Some(_))) {
        result = reading.next().await;
    }
    assert!(matches!(result, Err(StoreError::Changed { .. })), "{result:?}");
}

#[tokio::test]
async fn a_download_that_stands_still_is_tried_again() {
    let gcs = Gcs::start();
    gcs.put("dump", bytes(LENGTH));
    gcs.fail_next(Op::Get, Fault::Stall(Duration::from_secs(30)));
    let options = StoreOptions { gcs_endpoint: Some(gcs.url()), op_timeout: Duration::from_secs(1), ..quick() };
    let content = download(&open(&format!("gs://{BUCKET}"), &options), "dump").await.expect("read");
    assert_eq!(content.len(), LENGTH);
}

#[tokio::test]
async fn a_refusal_is_final_and_told() {
    for op in [Op::Stat, Op::Get] {
        let result = with(op, &[Fault::Status(403)]).await;
        assert!(matches!(result, Err(StoreError::Forbidden { .. })), "{result:?}");
        let result = with(op, &[Fault::Status(401)]).await;
        assert!(matches!(result, Err(StoreError::Credentials { .. })), "{result:?}");
        let result = with(op, &[Fault::Status(404)]).await;
        assert!(matches!(result, Err(StoreError::NotFound { .. })), "{result:?}");
        let result = with(op, &[const { Fault::Status(503) }; 4]).await;
        assert!(matches!(result, Err(StoreError::Unavailable { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn a_list_that_fails_is_never_a_shorter_list() {
    let gcs = Gcs::start();
    for number in 0..10 {
        gcs.put(&format!("o{number}"), "x");
    }
    gcs.page_size(4);
    let store = open_gcs(&gcs);
    for fault in [Fault::Reset, Fault::Status(503), Fault::LostReply] {
        gcs.fail_next(Op::List, fault);
        assert_eq!(names(&store).await.len(), 10);
    }
    for status in [401, 403, 404] {
        gcs.fail_next(Op::List, Fault::Status(status));
        assert!(store.list("").await.is_err(), "{status}");
    }
}

#[tokio::test]
async fn a_delete_that_fails_is_told() {
    let gcs = Gcs::start();
    gcs.put("dump", "x");
    let store = open_gcs(&gcs);
    gcs.fail_next(Op::Delete, Fault::Status(403));
    let result = store.delete("dump").await;
    assert!(matches!(result, Err(StoreError::Forbidden { .. })), "{result:?}");
    gcs.fail_next(Op::Delete, Fault::LostReply);
    store.delete("dump").await.expect("deleted");
    assert!(gcs.objects().is_empty());
}

#[tokio::test]
#[should_panic(expected = "never reached")]
async fn a_fault_that_is_never_reached_fails_the_test() {
    let gcs = Gcs::start();
    gcs.fail_next(Op::Delete, Fault::Reset);
    drop(gcs);
}
