//! Applications that cannot be paused: by the Kubernetes API, by a command, by a file.

use super::Messages;
use crate::items::quick::Plain;
use crate::support::bkp::Bkp;
use crate::support::kube::{Kube, Op};

#[test]
fn pauses() {
    let (plain, kube) = (Plain::open(), Kube::start());
    plain.bkp(["backup"]).run().ok();
    let mut messages = Messages::of("pauses")
        .hide(plain.work.path().display(), "<work>")
        .hide(kube.account().display(), "<account>")
        .hide(format!("127.0.0.1:{}", kube.port()), "<api>");
    let restore = || plain.bkp(["restore"]);
    let scaled = |objects: &str| -> Bkp {
        let bkp = restore().env("BKP_QUIESCE", objects).env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
        bkp.env("KUBERNETES_SERVICE_PORT", kube.port().to_string()).env("BKP_SERVICE_ACCOUNT_DIR", kube.account())
    };
    messages.case("no_api", restore().env("BKP_QUIESCE", "deployment/web"));
    messages.case("no_such_object", scaled("deployment/gone"));
    kube.forbid(Op::Patch);
    messages.case("no_right_to_scale", scaled("deployment/web"));
    kube.allow();
    messages.case("no_account", scaled("deployment/web").env("BKP_SERVICE_ACCOUNT_DIR", plain.work.join("nowhere")));
    kube.account_of_another_cluster();
    messages.case("an_api_of_another_cluster", scaled("deployment/web"));

    let by = |pause: &str, resume: &str| {
        let bkp = restore().env("BKP_PAUSE_COMMAND", pause).env("BKP_RESUME_COMMAND", resume);
        bkp.env("BKP_QUIESCE_ON", "restore")
    };
    messages.case("a_pause_that_fails", by("/bin/sh -c 'echo the door is stuck >&2; exit 3'", "/bin/true"));
    messages.case("a_resume_that_fails", by("/bin/true", "/bin/sh -c 'echo the door is shut >&2; exit 3'"));
    plain.bkp(["resume"]).env("BKP_PAUSE_COMMAND", "/bin/true").env("BKP_RESUME_COMMAND", "/bin/true").run().ok();
    messages.case("a_command_that_is_not_there", by("/nonexistent/pause", "/bin/true"));
    let file = plain.work.file("maintenance", "somebody's own words");
    let maintained = restore().env("BKP_MAINTENANCE_FILE", file).env("BKP_QUIESCE_ON", "restore");
    messages.case("a_maintenance_file_of_somebody_else", maintained);
    messages.all_as_agreed();
}
