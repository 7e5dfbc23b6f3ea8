//! Object stores that are not there, or do not let us.

use super::Messages;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::fixtures;
use crate::support::gcs::{BUCKET, Fault, Gcs, Op};
use crate::support::workdir::WorkDir;

#[test]
fn buckets() {
    let (cluster, gcs, work) = (Cluster::start(15), Gcs::start(), WorkDir::new());
    fixtures::shop(&cluster);
    let mut messages = Messages::of("stores").hide(gcs.host(), "<store>").hide(work.path().display(), "<work>");
    let bkp = |arguments: &[&str]| {
        let bkp = Bkp::new(&cluster).env("POSTGRES_DB", "shop").env("BKP_BUCKET", format!("gs://{BUCKET}/shop"));
        bkp.env("STORAGE_EMULATOR_HOST", gcs.url()).args(arguments)
    };
    messages.case("no_such_bucket", bkp(&["backup"]).env("BKP_BUCKET", "gs://another-bucket"));
    gcs.forbid([Op::List]);
    messages.case("no_right_to_list", bkp(&["backup"]));
    gcs.forbid([Op::Start]);
    messages.case("no_right_to_create", bkp(&["backup"]));
    gcs.forbid([]);
    bkp(&["backup"]).run().ok();
    bkp(&["backup"]).run().ok();
    gcs.forbid([Op::Delete]);
    messages.case("no_right_to_delete", bkp(&["backup"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1"));
    gcs.forbid([Op::Get]);
    messages.case("no_right_to_read", bkp(&["restore"]));
    gcs.forbid([Op::List]);
    messages.result("no_right_told_by_doctor", bkp(&["doctor"]));
    gcs.forbid([]);
    gcs.require_token();
    gcs.fail_next(Op::Token, Fault::Refuse(404, "no service account here"));
    messages.case("a_pod_without_an_account", bkp(&["backup"]).env("GCE_METADATA_HOST", gcs.host()));
    let cut = work.file("key.json", "{\"type\": \"service_account\", \"private_key\": \"canary");
    messages.case("a_key_file_that_is_cut", bkp(&["backup"]).env("GOOGLE_APPLICATION_CREDENTIALS", cut));
    let file = work.file("a-file", "");
    messages.case("a_directory_that_is_a_file", bkp(&["backup"]).bucket(&file));
    messages.all_as_agreed();
}
