//! Who asks: the metadata server, workload identity federation, key files, and words when none of them works.

use std::path::{Path, PathBuf};
use std::process::Command;

use bkp::repository::bucket::error::StoreError;
use bkp::repository::bucket::options::StoreOptions;
use bkp::repository::bucket::store::Store;
use bkp::settings::address::BucketAddress;
use serde_json::{Value, json};

use super::{download, names, open, quick, upload};
use crate::support::gcs::{BUCKET, Fault, Gcs, Op, Proxy};
use crate::support::workdir::WorkDir;

fn with_metadata_server(gcs: &Gcs) -> Store {
    let options = StoreOptions { gcs_endpoint: Some(gcs.url()), gce_metadata_host: Some(gcs.host()), ..quick() };
    open(&format!("gs://{BUCKET}"), &options)
}

fn with_file(gcs: &Gcs, file: &Path) -> Result<Store, StoreError> {
    let options =
        StoreOptions { gcs_endpoint: Some(gcs.url()), gcs_credentials_file: Some(file.to_owned()), ..quick() };
    let address: BucketAddress = format!("gs://{BUCKET}").parse().expect("an address");
    Store::open(&address, &options)
}

/// All that an error says, down to its cause.
fn words(err: &StoreError) -> String {
    let cause = std::error::Error::source(err).map(|cause| cause.to_string()).unwrap_or_default();
    format!("{err}: {cause}")
}

#[tokio::test]
async fn a_pod_gets_its_token_from_the_metadata_server() {
    let gcs = Gcs::start();
    gcs.require_token();
    let store = with_metadata_server(&gcs);
    upload(&store, "dump", b"x").await.expect("uploaded");
    assert_eq!(download(&store, "dump").await.expect("read"), b"x");
    let tokens = gcs.log().iter().filter(|op| *op == "Token").count();
    assert_eq!(tokens, 1, "one token serves all");
}

#[tokio::test]
async fn a_metadata_server_that_is_not_there_yet_is_waited_for() {
    let gcs = Gcs::start();
    gcs.require_token();
    for fault in [Fault::Reset, Fault::Status(503), Fault::Status(429)] {
        gcs.fail_next(Op::Token, fault);
    }
    assert_eq!(names(&with_metadata_server(&gcs)).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_machine_without_an_account_is_told() {
    let gcs = Gcs::start();
    gcs.require_token();
    gcs.fail_next(Op::Token, Fault::Refuse(404, "no service account here"));
    let err = with_metadata_server(&gcs).list("").await.expect_err("refused");
    assert!(matches!(err, StoreError::Credentials { .. }), "{err:?}");
    assert!(words(&err).ends_with("answered 404: no service account here"), "{}", words(&err));
    assert!(err.hint().is_some());
}

#[tokio::test]
async fn a_metadata_server_that_never_comes_is_named() {
    let gcs = Gcs::start();
    let options = StoreOptions {
        gcs_endpoint: Some(gcs.url()),
        gce_metadata_host: Some("127.0.0.1:1".to_owned()),
        credential_wait: std::time::Duration::from_millis(50),
        ..quick()
    };
    let err = open(&format!("gs://{BUCKET}"), &options).list("").await.expect_err("refused");
    assert!(matches!(err, StoreError::Credentials { .. }), "{err:?}");
    assert!(words(&err).contains("127.0.0.1:1 does not answer"), "{}", words(&err));
}

#[tokio::test]
async fn a_token_that_is_worth_nothing_is_told() {
    let gcs = Gcs::start();
    gcs.require_token();
    let store = with_metadata_server(&gcs);
    assert!(names(&store).await.is_empty());
    gcs.revoke_tokens();
    let err = store.list("").await.expect_err("refused");
    assert!(matches!(err, StoreError::Credentials { .. }), "{err:?}");
    assert!(words(&err).contains("Invalid Credentials") && !words(&err).contains("ya29"), "{}", words(&err));
}

/// A federation file as Google's console writes it: without `format`.
fn federation(gcs: &Gcs, directory: &Path, token: &str, more: Value) -> PathBuf {
    let subject = directory.join("token");
    std::fs::write(&subject, token).expect("written");
    let mut file = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k8s",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/v1/token", gcs.url()),
        "credential_source": {"file": subject},
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        file[name] = value.clone();
    }
    let path = directory.join("credentials.json");
    std::fs::write(&path, file.to_string()).expect("written");
    path
}

#[tokio::test]
async fn a_federated_identity_is_exchanged_for_a_token() {
    let gcs = Gcs::start();
    let directory = WorkDir::new();
    gcs.require_token();
    gcs.accept_subject("eyJhbGciOi.subject");
    let plain = federation(&gcs, directory.path(), "eyJhbGciOi.subject", json!({}));
    upload(&with_file(&gcs, &plain).expect("opened"), "plain", b"x").await.expect("uploaded");
    let url = format!("{}/v1/projects/-/serviceAccounts/bkp@p.iam.gserviceaccount.com:generateAccessToken", gcs.url());
    let more = json!({"service_account_impersonation_url": url});
    let impersonating = federation(&gcs, directory.path(), "eyJhbGciOi.subject", more);
    upload(&with_file(&gcs, &impersonating).expect("opened"), "impersonating", b"x").await.expect("uploaded");
    assert_eq!(gcs.objects(), ["impersonating", "plain"]);
}

#[tokio::test]
async fn a_federated_identity_that_is_refused_is_told_without_the_token() {
    let gcs = Gcs::start();
    let directory = WorkDir::new();
    gcs.require_token();
    gcs.accept_subject("eyJhbGciOi.subject");
    let file = federation(&gcs, directory.path(), "SECRET-other", json!({}));
    let err = with_file(&gcs, &file).expect("opened").list("").await.expect_err("refused");
    assert!(matches!(err, StoreError::Credentials { .. }), "{err:?}");
    let told = words(&err);
    assert!(told.contains("answered 400: The given credential is rejected.") && !told.contains("SECRET"), "{told}");
}

#[tokio::test]
async fn a_federation_file_whose_token_is_gone_is_refused_at_once() {
    let gcs = Gcs::start();
    let directory = WorkDir::new();
    let file = federation(&gcs, directory.path(), "x", json!({"credential_source": {"file": "/nowhere/token"}}));
    let err = with_file(&gcs, &file).err().expect("refused");
    assert!(words(&err).contains("/nowhere/token"), "{}", words(&err));
}

/// A new RSA key, as Google's key files hold it.
fn private_key() -> String {
    let output = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .output()
        .expect("openssl runs");
    String::from_utf8(output.stdout).expect("PEM")
}

fn key_file(directory: &Path, key: &str) -> PathBuf {
    let path = directory.join("key.json");
    let file = json!({"type": "service_account", "project_id": "p", "private_key_id": "1", "private_key": key,
        "client_email": "bkp@p.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token"});
    std::fs::write(&path, file.to_string()).expect("written");
    path
}

#[tokio::test]
async fn a_key_file_that_is_damaged_is_refused_at_once() {
    let gcs = Gcs::start();
    let directory = WorkDir::new();
    let key = private_key();
    let lines: Vec<_> = key.lines().collect();
    let cut = [&lines[..5], &lines[lines.len() - 1..]].concat().join("\n");
    for (damaged, reason) in [(cut.as_str(), "no whole RSA key"), (&key.replace('\n', " "), "line ends")] {
        let err = with_file(&gcs, &key_file(directory.path(), damaged)).err().expect("refused");
        assert!(matches!(err, StoreError::Credentials { .. }), "{err:?}");
        let told = words(&err);
        assert!(told.contains("key.json") && told.contains(reason) && !told.contains(lines[1]), "{told}");
    }
    let missing = with_file(&gcs, Path::new("/conf/credentials.json")).err().expect("refused");
    assert!(words(&missing).contains("/conf/credentials.json"), "{}", words(&missing));
}

#[tokio::test]
async fn a_whole_key_file_asks_googles_own_token_host() {
    let gcs = Gcs::start();
    gcs.require_token();
    let directory = WorkDir::new();
    // Nothing leaves the machine: the proxy is a port that nobody listens on.
    let options = StoreOptions {
        gcs_endpoint: Some(gcs.url()),
        gcs_credentials_file: Some(key_file(directory.path(), &private_key())),
        proxy: Some("http://127.0.0.1:1".to_owned()),
        credential_wait: std::time::Duration::from_millis(50),
        ..quick()
    };
    let err = open(&format!("gs://{BUCKET}"), &options).list("").await.expect_err("refused");
    assert!(matches!(err, StoreError::Credentials { .. }), "{err:?}");
    assert!(words(&err).contains("oauth2.googleapis.com does not answer"), "{}", words(&err));
}

#[tokio::test]
async fn a_key_file_signs_for_a_token_through_a_proxy() {
    let gcs = Gcs::start();
    gcs.require_token();
    let proxy = Proxy::before(&gcs);
    let directory = WorkDir::new();
    // No endpoint: the real hosts' names, as in production.
    let options = StoreOptions {
        gcs_credentials_file: Some(key_file(directory.path(), &private_key())),
        proxy: Some(proxy.url()),
        ca_file: Some(proxy.ca_file()),
        ..quick()
    };
    let store = open(&format!("gs://{BUCKET}"), &options);
    upload(&store, "dump", b"x").await.expect("uploaded");
    assert_eq!(download(&store, "dump").await.expect("read"), b"x");
    let claims = gcs.last_assertion().expect("signed");
    assert_eq!(claims["iss"], "bkp@p.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], "https://oauth2.googleapis.com/token");
    let hosts = proxy.hosts();
    assert!(hosts.contains(&"oauth2.googleapis.com:443".to_owned()), "{hosts:?}");
    assert!(hosts.contains(&"storage.googleapis.com:443".to_owned()), "{hosts:?}");
}

#[tokio::test]
async fn a_server_with_a_certificate_of_nobody_is_not_trusted() {
    let gcs = Gcs::start();
    let proxy = Proxy::before(&gcs);
    let options = StoreOptions { gcs_anonymous: true, proxy: Some(proxy.url()), ..quick() };
    let err = open(&format!("gs://{BUCKET}"), &options).list("").await.expect_err("refused");
    assert!(matches!(err, StoreError::Unavailable { .. }), "{err:?}");
    assert!(words(&err).contains("certificate"), "{}", words(&err));
    assert!(gcs.log().is_empty());
}
