//! Uploads that meet faults: either the whole object appears, or nothing and an error that says why.

use std::time::Duration;

use bkp::repository::bucket::error::StoreError;
use bkp::repository::bucket::options::StoreOptions;

use super::{bytes, open, open_gcs, quick, upload};
use crate::support::gcs::{BUCKET, Fault, Gcs, Op};

const CHUNK: usize = 8 << 20;

/// Uploads 2 chunks and a bit while the fault strikes, and expects the object whole.
async fn survives(op: Op, fault: Fault) {
    let gcs = Gcs::start();
    gcs.fail_next(op, fault.clone());
    let content = bytes(2 * CHUNK + 12_345);
    let result = upload(&open_gcs(&gcs), "dump", &content).await;
    let object = result.unwrap_or_else(|err| panic!("{op:?} {fault:?}: {err} {err:?}"));
    assert_eq!(object.bytes, content.len() as u64);
    assert!(gcs.get("dump").as_ref() == Some(&content), "{op:?} {fault:?}: other bytes arrived");
    assert_eq!(gcs.faults_left(), 0, "{op:?} {fault:?} was not reached");
}

/// The same, and expects an error, nothing in the bucket and nothing half-way.
async fn fails(op: Op, fault: Fault) -> StoreError {
    let gcs = Gcs::start();
    gcs.fail_next(op, fault.clone());
    let result = upload(&open_gcs(&gcs), "dump", &bytes(2 * CHUNK + 12_345)).await;
    let err = result.err().unwrap_or_else(|| panic!("{op:?} {fault:?} went unnoticed"));
    assert_eq!(gcs.objects(), Vec::<String>::new(), "{op:?} {fault:?}: something is visible");
    assert_eq!(gcs.open_uploads(), 0, "{op:?} {fault:?}: an upload was left open");
    err
}

#[tokio::test]
async fn an_answer_that_says_later_is_asked_again() {
    for op in [Op::Start, Op::Chunk, Op::Finish] {
        for status in [408, 429, 500, 502, 503, 504] {
            survives(op, Fault::Status(status)).await;
        }
    }
}

#[tokio::test]
async fn a_broken_connection_costs_no_byte() {
    for op in [Op::Start, Op::Chunk, Op::Finish] {
        survives(op, Fault::Reset).await;
    }
    for kept in [0, 1, 300_000, 5 << 20] {
        survives(Op::Chunk, Fault::ResetInBody(kept)).await;
    }
    survives(Op::Finish, Fault::ResetInBody(5_000)).await;
    survives(Op::Chunk, Fault::KeepOnly(3 << 20)).await;
}

#[tokio::test]
async fn a_lost_answer_is_no_lost_upload() {
    for op in [Op::Start, Op::Chunk, Op::Finish] {
        survives(op, Fault::LostReply).await;
    }
}

#[tokio::test]
async fn an_upload_whose_last_answer_is_lost_for_good_is_found_again() {
    let gcs = Gcs::start();
    gcs.fail_next(Op::Finish, Fault::LostReply);
    for _ in 0..3 {
        gcs.fail_next(Op::Query, Fault::Reset);
    }
    let content = bytes(12_345);
    let object = upload(&open_gcs(&gcs), "dump", &content).await.expect("found");
    assert_eq!(object.bytes, content.len() as u64);
    assert_eq!(gcs.get("dump"), Some(content));
}

#[tokio::test]
async fn a_connection_that_stands_still_is_given_up_and_tried_again() {
    let gcs = Gcs::start();
    gcs.fail_next(Op::Chunk, Fault::Stall(Duration::from_secs(30)));
    let options = StoreOptions { gcs_endpoint: Some(gcs.url()), op_timeout: Duration::from_secs(2), ..quick() };
    let content = bytes(CHUNK + 1);
    let store = open(&format!("gs://{BUCKET}"), &options);
    upload(&store, "dump", &content).await.expect("uploaded");
    assert_eq!(gcs.get("dump"), Some(content));
}

#[tokio::test]
async fn a_store_that_never_answers_is_unavailable() {
    for op in [Op::Stat, Op::Start, Op::Chunk, Op::Finish] {
        let gcs = Gcs::start();
        for _ in 0..4 {
            gcs.fail_next(op, Fault::Status(503));
        }
        let result = upload(&open_gcs(&gcs), "dump", &bytes(CHUNK + 1)).await;
        assert!(matches!(result, Err(StoreError::Unavailable { .. })), "{op:?}: {result:?}");
        assert_eq!(gcs.objects(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_damaged_upload_is_refused_before_it_is_visible() {
    for op in [Op::Chunk, Op::Finish] {
        let gcs = Gcs::start();
        gcs.fail_next(op, Fault::FlipBit(1000));
        let result = upload(&open_gcs(&gcs), "dump", &bytes(2 * CHUNK)).await;
        assert!(matches!(result, Err(StoreError::Corrupt { .. })), "{op:?}: {result:?}");
        assert!(gcs.objects().is_empty() && gcs.open_uploads() == 0);
        assert!(!gcs.log().contains(&"Delete".to_owned()), "it was never there to be deleted");
    }
}

#[tokio::test]
async fn a_damaged_upload_that_the_store_took_is_found_and_removed() {
    let err = fails(Op::Finish, Fault::FlipUnchecked(1000)).await;
    assert!(matches!(err, StoreError::Corrupt { .. }), "{err:?}");
    assert!(err.to_string().contains("MD5"), "{err}");
}

#[tokio::test]
async fn a_refusal_is_final_and_told() {
    for op in [Op::Start, Op::Chunk, Op::Finish] {
        let err = fails(op, Fault::Refuse(403, "bkp does not have storage.objects.create access")).await;
        assert!(matches!(err, StoreError::Forbidden { .. }), "{op:?}: {err:?}");
        let cause = std::error::Error::source(&err).expect("a cause").to_string();
        assert_eq!(cause, "HTTP 403: bkp does not have storage.objects.create access");
        let err = fails(op, Fault::Status(401)).await;
        assert!(matches!(err, StoreError::Credentials { .. }), "{op:?}: {err:?}");
        for status in [413, 507] {
            let err = fails(op, Fault::Status(status)).await;
            assert!(matches!(err, StoreError::Full { .. }), "{op:?}: {err:?}");
        }
    }
}

#[tokio::test]
async fn an_upload_that_the_store_forgot_is_no_missing_bucket() {
    for status in [404, 410] {
        for op in [Op::Chunk, Op::Finish] {
            let err = fails(op, Fault::Status(status)).await;
            assert!(matches!(err, StoreError::Unavailable { .. }), "{op:?} {status}: {err:?}");
        }
    }
}

#[tokio::test]
async fn a_bucket_that_vanished_is_told() {
    let gcs = Gcs::start();
    let store = open_gcs(&gcs);
    gcs.remove_bucket();
    for result in [upload(&store, "dump", b"x").await.map(drop), store.ensure().await.map(drop)] {
        assert!(matches!(result, Err(StoreError::BucketMissing { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn a_name_taken_by_other_bytes_is_not_ours() {
    let gcs = Gcs::start();
    let store = open_gcs(&gcs);
    let mut late = store.upload("dump").await.expect("begun");
    late.write(bytes(100).into()).await.expect("written");
    gcs.put("dump", bytes(101));
    let result = late.commit().await;
    assert!(matches!(result, Err(StoreError::Exists { .. })), "{result:?}");
    assert_eq!(gcs.get("dump"), Some(bytes(101)));
}

#[tokio::test]
async fn an_account_that_may_only_create_can_upload() {
    let gcs = Gcs::start();
    gcs.fail_next(Op::Stat, Fault::Status(403));
    upload(&open_gcs(&gcs), "dump", b"x").await.expect("uploaded");
}

#[tokio::test]
async fn an_object_is_gzip_and_never_encoded() {
    let gcs = Gcs::start();
    upload(&open_gcs(&gcs), "dump", b"x").await.expect("uploaded");
    assert_eq!(gcs.content_type("dump").as_deref(), Some("application/gzip"));
}

#[tokio::test]
async fn a_key_of_the_users_own_is_named_to_the_store() {
    let gcs = Gcs::start();
    let key = "projects/p/locations/eu/keyRings/r/cryptoKeys/k";
    let options = StoreOptions { gcs_endpoint: Some(gcs.url()), kms_key: Some(key.to_owned()), ..quick() };
    upload(&open(&format!("gs://{BUCKET}"), &options), "dump", b"x").await.expect("uploaded");
    let sent = gcs.last_start();
    assert!(sent.ends_with("&kmsKeyName=projects%2Fp%2Flocations%2Feu%2FkeyRings%2Fr%2FcryptoKeys%2Fk"), "{sent}");
}

#[tokio::test]
async fn an_upload_holds_a_few_chunks_and_no_more() {
    let gcs = Gcs::start();
    let store = open_gcs(&gcs);
    let mut upload = store.upload("dump").await.expect("begun");
    for sent in 1..=20_u32 {
        upload.write(bytes(4 << 20).into()).await.expect("written");
        let chunks = gcs.log().iter().filter(|op| *op == "Chunk").count();
        let held = sent as usize * (4 << 20) - chunks * CHUNK;
        assert!(held <= 4 * CHUNK, "{held} bytes are held after {sent} pieces");
    }
    upload.abort().await.expect("aborted");
    assert_eq!(gcs.open_uploads(), 0);
}
