//! Pods whose names are different each night.

use super::quick::{Plain, listed};
use crate::support::bkp::Bkp;

#[test]
fn pods_with_random_names_are_one_application_to_restic_and_to_the_retention() {
    let plain = Plain::open();
    // As a CronJob's pods are: each in a host of another name.
    let by = |pod: &str, arguments: &[&str]| -> Bkp {
        let script = format!("hostname {pod}; exec \"$0\" \"$@\"");
        let bkp = plain.bkp([]).args(arguments).env("BKP_KEEP_LAST", "2").env("BKP_KEEP_MIN", "1");
        bkp.by_way_of(["unshare", "--uts", "sh", "-c", &script])
    };
    for pod in ["shop-backup-29384756-x7f3k", "shop-backup-29384757-q2m9d", "shop-backup-29384758-zz81p"] {
        by(pod, &["backup"]).run().ok();
    }
    let kept = listed(by("shop-restore-5d8f", &["list", "--json"]));
    assert_eq!(kept.len(), 2, "older ones expire: {kept:#?}");
    let said = plain.restic(&["snapshots", "--json"]).text();
    let snapshots: Vec<serde_json::Value> = serde_json::from_str(&said).expect("JSON");
    let hosts: Vec<&str> = snapshots.iter().filter_map(|one| one["hostname"].as_str()).collect();
    assert!(hosts.iter().all(|host| *host == hosts[0] && !host.contains("29384")), "{hosts:?}");
    assert!(snapshots.iter().all(|one| one["parent"].is_string()), "each has its parent: {snapshots:#?}");
    by("shop-restore-6e9a", &["restore"]).run().ok();
}
