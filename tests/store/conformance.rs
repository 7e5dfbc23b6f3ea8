//! One suite for every kind of store. What a server of the tests ignores is listed where it is started.

use bkp::repository::bucket::error::StoreError;
use bkp::repository::bucket::options::StoreOptions;
use bkp::repository::bucket::store::{Made, Object, Store};
use bytes::Bytes;

use super::{bytes, download, download_version, names, open, quick, servers, upload};
use crate::support::gcs::Gcs;
use crate::support::workdir::WorkDir;

/// What a server does not do, though the real store does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ignores {
    /// Conditions on the object that is there: two uploads at once both win; a pinned version is not compared.
    Preconditions,
    /// That there is no such bucket: it is made by the first upload.
    MissingBucket,
}

struct Subject<'a> {
    /// Everything of the address before the bucket's name.
    scheme: &'a str,
    bucket: &'a str,
    options: StoreOptions,
    ignores: &'a [Ignores],
}

impl Subject<'_> {
    fn below(&self, prefix: &str) -> Store {
        open(&format!("{}{}{prefix}", self.scheme, self.bucket), &self.options)
    }

    fn heeds(&self, what: Ignores) -> bool {
        !self.ignores.contains(&what)
    }
}

#[tokio::test]
async fn a_directory_is_a_store() {
    let directory = WorkDir::new();
    std::fs::create_dir(directory.path().join("bucket")).expect("made");
    let scheme = format!("file://{}/", directory.path().display());
    suite(&Subject { scheme: &scheme, bucket: "bucket", options: quick(), ignores: &[] }).await;
}

#[tokio::test]
async fn googles_protocol_is_a_store() {
    let gcs = Gcs::start();
    gcs.page_size(3);
    let options = StoreOptions { gcs_endpoint: Some(gcs.url()), ..quick() };
    suite(&Subject { scheme: "gs://", bucket: "test-bucket", options, ignores: &[] }).await;
    assert_eq!(gcs.open_uploads(), 0, "every upload is finished or cancelled");
}

#[tokio::test]
async fn fake_gcs_server_is_a_store() {
    let server = servers::fake_gcs();
    let ignores = &[Ignores::Preconditions];
    suite(&Subject { scheme: "gs://", bucket: "test-bucket", options: server.options.clone(), ignores }).await;
}

#[tokio::test]
async fn seaweedfs_is_a_store() {
    let server = servers::seaweedfs();
    let ignores = &[Ignores::MissingBucket];
    let subject = Subject { scheme: "s3://", bucket: "test-bucket", options: server.options.clone(), ignores };
    suite(&subject).await;
    the_parts_of_a_killed_run_are_swept_away(&subject).await;
}

#[tokio::test]
async fn azurite_is_a_store() {
    let server = servers::azurite();
    suite(&Subject { scheme: "az://", bucket: "test-bucket", options: server.options.clone(), ignores: &[] }).await;
}

async fn suite(subject: &Subject<'_>) {
    let store = subject.below("");
    assert_eq!(store.ensure().await.expect("there"), Made::AlreadyThere);
    assert_eq!(names(&store).await, Vec::<String>::new());
    what_is_uploaded_is_downloaded(&store).await;
    what_is_not_committed_is_never_seen(&store).await;
    nothing_is_overwritten(&store, subject).await;
    a_range_is_read(&store).await;
    odd_names_are_kept(&store).await;
    lists_are_whole_and_in_order(&store).await;
    what_is_missing_is_told(&store).await;
    a_version_is_pinned(&store, subject).await;
    a_prefix_is_a_bucket_of_its_own(subject).await;
    a_missing_bucket_is_told(subject).await;
}

async fn what_is_uploaded_is_downloaded(store: &Store) {
    for length in [0, 1, 8 << 20, (8 << 20) + 1, (20 << 20) + 3] {
        let name = format!("sizes/{length}");
        let content = bytes(length);
        let object = upload(store, &name, &content).await.unwrap_or_else(|err| panic!("{length}: {err} {err:?}"));
        assert_eq!((object.name.as_str(), object.bytes), (name.as_str(), length as u64));
        let age = jiff::Timestamp::now().duration_since(object.modified).as_secs();
        assert!((-5..120).contains(&age), "modified {}", object.modified);
        assert_eq!(store.stat(&name).await.expect("looked at").bytes, length as u64);
        let back = download(store, &name).await.unwrap_or_else(|err| panic!("{length}: {err} {err:?}"));
        assert!(back == content, "{length} bytes came back as others");
        store.delete(&name).await.expect("deleted");
        store.delete(&name).await.expect("deleted again");
    }
    assert_eq!(names(store).await, Vec::<String>::new());
}

async fn what_is_not_committed_is_never_seen(store: &Store) {
    for length in [10, 17 << 20] {
        let mut aborted = store.upload("aborted").await.expect("begun");
        aborted.write(bytes(length).into()).await.expect("written");
        assert_eq!(names(store).await, Vec::<String>::new());
        aborted.abort().await.expect("aborted");
        let mut dropped = store.upload("dropped").await.expect("begun");
        dropped.write(bytes(length).into()).await.expect("written");
        drop(dropped);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert_eq!(names(store).await, Vec::<String>::new());
    }
}

async fn nothing_is_overwritten(store: &Store, subject: &Subject<'_>) {
    let mut late = store.upload("taken").await.expect("begun");
    late.write(bytes(9 << 20).into()).await.expect("written");
    upload(store, "taken", b"first").await.expect("uploaded");
    if subject.heeds(Ignores::Preconditions) {
        let refused = late.commit().await;
        assert!(matches!(refused, Err(StoreError::Exists { .. })), "{refused:?}");
    } else {
        late.abort().await.expect("aborted");
    }
    let refused = upload(store, "taken", b"second").await;
    assert!(matches!(refused, Err(StoreError::Exists { .. })), "{refused:?}");
    assert_eq!(download(store, "taken").await.expect("read"), b"first");
    store.delete("taken").await.expect("deleted");
}

async fn a_range_is_read(store: &Store) {
    let content = bytes(100_000);
    upload(store, "ranged", &content).await.expect("uploaded");
    for range in [0..10, 99_990..100_000, 5..5, 50_000..200_000, 100_000..100_010] {
        let mut part = store.read("ranged", Some(range.clone()), None).await.expect("opened");
        let mut got = Vec::new();
        while let Some(bytes) = part.next().await.expect("read") {
            got.extend_from_slice(&bytes);
        }
        let (start, end) = (range.start.min(100_000) as usize, range.end.min(100_000) as usize);
        assert!(got == content[start..end], "{range:?}");
    }
    store.delete("ranged").await.expect("deleted");
}

async fn odd_names_are_kept(store: &Store) {
    let odd = ["a b/c+d", "ünï/cödé", "100%25", "q&a=1#x", "dots.and-dashes_~", "2026m11d20h23m10.sql.gz"];
    for name in odd {
        upload(store, name, name.as_bytes()).await.unwrap_or_else(|err| panic!("{name}: {err} {err:?}"));
        assert_eq!(download(store, name).await.unwrap_or_else(|err| panic!("{name}: {err}")), name.as_bytes());
    }
    let mut expected: Vec<_> = odd.iter().map(|name| (*name).to_owned()).collect();
    expected.sort();
    assert_eq!(names(store).await, expected);
    for name in odd {
        store.delete(name).await.expect("deleted");
    }
    for name in ["", "/a", "a/", "a//b", "../a", "a/./b", "a\nb"] {
        assert!(store.upload(name).await.is_err(), "{name:?} was taken for a name");
    }
}

async fn lists_are_whole_and_in_order(store: &Store) {
    let mut expected = Vec::new();
    for number in 0..8 {
        for name in [format!("run/{number:02}/db.gz"), format!("running-{number}")] {
            upload(store, &name, &bytes(number)).await.expect("uploaded");
            expected.push(name);
        }
    }
    expected.sort();
    assert_eq!(names(store).await, expected);
    for prefix in ["run/", "run", "running-3", "run/03", "nothing"] {
        let listed: Vec<_> = store.list(prefix).await.expect("listed").into_iter().map(|o| o.name).collect();
        let wanted: Vec<_> = expected.iter().filter(|name| name.starts_with(prefix)).cloned().collect();
        assert_eq!(listed, wanted, "{prefix}");
    }
    let one = store.list("run/05").await.expect("listed").remove(0);
    assert_eq!(one.bytes, 5);
    let looked_at = store.stat("run/05/db.gz").await.expect("looked at");
    assert_eq!((one.version, one.bytes), (looked_at.version, looked_at.bytes));
    for name in expected {
        store.delete(&name).await.expect("deleted");
    }
}

async fn what_is_missing_is_told(store: &Store) {
    let looked = store.stat("missing").await;
    assert!(matches!(looked, Err(StoreError::NotFound { .. })), "{looked:?}");
    let read = download(store, "missing").await;
    assert!(matches!(read, Err(StoreError::NotFound { .. })), "{read:?}");
}

/// The last three bytes of what a listing told.
async fn end_of(store: &Store, listed: &Object) -> Result<Vec<u8>, StoreError> {
    let mut download = store.read_listed(listed, listed.bytes - 3..listed.bytes).await?;
    let mut end = Vec::new();
    while let Some(bytes) = download.next().await? {
        end.extend_from_slice(&bytes);
    }
    Ok(end)
}

async fn a_version_is_pinned(store: &Store, subject: &Subject<'_>) {
    let first = upload(store, "pinned", b"first").await.expect("uploaded");
    let content = download_version(store, "pinned", first.version.as_ref()).await.expect("read");
    assert_eq!(content, b"first");
    let listed = store.list("pinned").await.expect("listed").remove(0);
    assert_eq!(end_of(store, &listed).await.expect("read"), b"rst");
    store.delete("pinned").await.expect("deleted");
    upload(store, "pinned", b"other").await.expect("uploaded");
    if subject.heeds(Ignores::Preconditions) {
        let read = download_version(store, "pinned", first.version.as_ref()).await;
        assert!(matches!(read, Err(StoreError::Changed { .. })), "{read:?}");
        let read = end_of(store, &listed).await;
        assert!(matches!(read, Err(StoreError::Changed { .. })), "{read:?}");
    }
    store.delete("pinned").await.expect("deleted");
    // Some say of what is gone that it is not what was asked for.
    let read = end_of(store, &listed).await;
    assert!(matches!(read, Err(StoreError::NotFound { .. } | StoreError::Changed { .. })), "{read:?}");
}

async fn a_prefix_is_a_bucket_of_its_own(subject: &Subject<'_>) {
    let (inner, outer) = (subject.below("/prod/db"), subject.below(""));
    if subject.scheme.starts_with("file:") {
        assert_eq!(inner.ensure().await.expect("made"), Made::New);
    }
    upload(&outer, "prod/dbx", b"beside").await.expect("uploaded");
    let mut written = inner.upload("one").await.expect("begun");
    written.write(Bytes::from_static(b"1")).await.expect("written");
    written.commit().await.expect("committed");
    assert_eq!(names(&inner).await, ["one"]);
    assert_eq!(names(&outer).await, ["prod/db/one", "prod/dbx"]);
    assert_eq!(download(&inner, "one").await.expect("read"), b"1");
    inner.delete("one").await.expect("deleted");
    outer.delete("prod/dbx").await.expect("deleted");
}

async fn the_parts_of_a_killed_run_are_swept_away(subject: &Subject<'_>) {
    let (inner, outer) = (subject.below("/a prefix"), subject.below(""));
    for (store, name) in [(&inner, "ours/ü&x"), (&inner, "theirs"), (&outer, "beside")] {
        let mut killed = store.upload(name).await.expect("begun");
        killed.write(bytes(17 << 20).into()).await.expect("written");
        // As kill -9 does it: nothing is given back.
        std::mem::forget(killed);
    }
    let now = jiff::Timestamp::now();
    let (before, after) = (now - jiff::SignedDuration::from_hours(1), now + jiff::SignedDuration::from_hours(1));
    let ours = |name: &str| name.starts_with("ours/");
    assert_eq!(inner.sweep(before, &ours).await.expect("swept"), 0, "what is young may be alive");
    assert_eq!(inner.sweep(after, &ours).await.expect("swept"), 1);
    assert_eq!(inner.sweep(after, &ours).await.expect("swept"), 0);
    assert_eq!(outer.sweep(after, &|_| true).await.expect("swept"), 2);
    assert_eq!(outer.sweep(after, &|_| true).await.expect("swept"), 0);
}

async fn a_missing_bucket_is_told(subject: &Subject<'_>) {
    let missing = open(&format!("{}no-such-bucket", subject.scheme), &subject.options);
    let listed = missing.list("").await;
    assert!(matches!(listed, Err(StoreError::BucketMissing { .. })), "{listed:?}");
    if subject.heeds(Ignores::MissingBucket) {
        let uploaded = upload(&missing, "a", b"b").await;
        assert!(matches!(uploaded, Err(StoreError::BucketMissing { .. })), "{uploaded:?}");
    }
}
