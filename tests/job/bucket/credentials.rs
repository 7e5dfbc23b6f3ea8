//! Who asks Google's store: a pod's metadata server, or a key file with the real hosts behind a proxy.

use std::fs;
use std::process::Command;

use super::{Cloud, comes_back};
use crate::support::bkp::Bkp;
use crate::support::gcs::{BUCKET, Fault, Op, Proxy};
use crate::support::workdir::WorkDir;

#[test]
fn a_pod_with_the_old_names_uses_its_service_account() {
    let cloud = Cloud::open();
    cloud.gcs.require_token();
    let bkp = |arguments: &[&str]| {
        let bkp = Bkp::new(&cloud.shop.cluster).env("POSTGRES_DB", "shop").args(arguments);
        let bkp = bkp.env("GCP_BACKUP_BUCKET", format!("gs://{BUCKET}")).env("GCE_METADATA_HOST", cloud.gcs.host());
        bkp.env("STORAGE_EMULATOR_HOST", cloud.gcs.url())
    };
    // In its first seconds a pod's metadata server is not there.
    cloud.gcs.fail_next(Op::Token, Fault::Status(503));
    comes_back(&cloud.shop, bkp);
    assert!(cloud.gcs.objects()[0].starts_with("db/db_dump-"), "{:?}", cloud.gcs.objects());
    assert!(cloud.count("Token") > 0);
}

#[test]
fn a_pod_without_a_service_account_is_told() {
    let cloud = Cloud::open();
    cloud.gcs.require_token();
    cloud.gcs.fail_next(Op::Token, Fault::Refuse(404, "no service account here"));
    let out = cloud.bkp(["backup"]).env("GCE_METADATA_HOST", cloud.gcs.host()).run();
    out.fails_with(1).says("no service account here").says("GOOGLE_APPLICATION_CREDENTIALS");
    cloud.bkp(["backup"]).run().fails_with(1).says("GOOGLE_APPLICATION_CREDENTIALS");
    assert!(cloud.gcs.objects().is_empty());
}

/// A new key file of a service account, and the text of its key.
pub fn key_file(work: &WorkDir) -> (std::path::PathBuf, String) {
    let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let made = Command::new("openssl").args(arguments).output().expect("openssl runs");
    let key = String::from_utf8(made.stdout).expect("PEM");
    let file = serde_json::json!({"type": "service_account", "project_id": "p", "private_key_id": "1", "private_key": key,
        "client_email": "bkp@p.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token"});
    (work.file("key.json", file.to_string()), key)
}

/// bkp as behind a company's proxy, with a key file and no word of another endpoint.
pub fn behind(cloud: &Cloud, proxy: &Proxy, key_file: &std::path::Path) -> Bkp {
    let bkp = Bkp::new(&cloud.shop.cluster).env("POSTGRES_DB", "shop").env("BKP_BUCKET", format!("gs://{BUCKET}/a/b"));
    let bkp = bkp.env("HTTPS_PROXY", proxy.url()).env("CERTIFICATE_FILE", proxy.ca_file());
    bkp.env("GOOGLE_APPLICATION_CREDENTIALS", key_file)
}

#[test]
fn a_key_file_works_through_the_proxy_of_the_environment() {
    let cloud = Cloud::open();
    cloud.gcs.require_token();
    let proxy = Proxy::before(&cloud.gcs);
    let (file, _) = key_file(&cloud.shop.work);
    comes_back(&cloud.shop, |arguments| behind(&cloud, &proxy, &file).args(arguments));
    let hosts = proxy.hosts();
    for host in ["oauth2.googleapis.com:443", "storage.googleapis.com:443"] {
        assert!(hosts.iter().any(|asked| asked == host), "{hosts:?}");
    }
    assert_eq!(cloud.gcs.last_assertion().expect("signed")["iss"], "bkp@p.iam.gserviceaccount.com");

    // A certificate that nobody vouches for: no bucket is believed.
    let out = behind(&cloud, &proxy, &file).without("CERTIFICATE_FILE").args(["list"]).run();
    assert_ne!(out.code, 0, "{out:?}");
    assert!(out.stderr.contains("oauth2.googleapis.com") || out.stderr.contains("certificate"), "{out:?}");
}

#[test]
fn a_key_file_that_is_cut_is_told_before_anything_is_asked() {
    let cloud = Cloud::open();
    let (file, key) = key_file(&cloud.shop.work);
    let text = fs::read_to_string(&file).expect("the file");
    fs::write(&file, &text[..text.len() / 2]).expect("written");
    let out = cloud.bkp(["backup"]).env("GOOGLE_APPLICATION_CREDENTIALS", &file).run();
    out.fails_with(1).says("key.json").never_says(key.lines().nth(1).expect("a line"));
    assert!(cloud.gcs.log().is_empty());
}
