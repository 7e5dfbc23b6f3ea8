//! Whether the application could be paused, by the Kubernetes API's own word and without pausing it.

use super::Told;
use crate::items::quick::Plain;
use crate::support::bkp::Bkp;
use crate::support::kube::{Kube, Op};

fn scaled(plain: &Plain, kube: &Kube) -> Bkp {
    let bkp = plain
        .bkp([])
        .env("BKP_QUIESCE", "deployment/web,statefulset/queue")
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    bkp.env("KUBERNETES_SERVICE_PORT", kube.port().to_string()).env("BKP_SERVICE_ACCOUNT_DIR", kube.account())
}

#[track_caller]
fn is_untouched(kube: &Kube) {
    assert_eq!((kube.object("web"), kube.object("queue")), ((3, None), (2, None)));
}

#[test]
fn every_object_is_tried_as_a_pause_would_and_none_is_changed() {
    let (plain, kube) = (Plain::open(), Kube::start());
    let told = Told::by(scaled(&plain, &kube), 0).all_ok_in(&["pause"]);
    told.has("ok", "pause", &["deployment/web"]).has("ok", "pause", &["statefulset/queue"]);
    is_untouched(&kube);
    let seen = kube.seen();
    assert!(seen.contains(&"Rehearse web".to_owned()) && seen.contains(&"Rehearse queue".to_owned()), "{seen:?}");
}

#[test]
fn a_right_that_is_lacking_is_told_with_the_role_that_gives_it() {
    let (plain, kube) = (Plain::open(), Kube::start());
    for (op, verb) in [(Op::Get, "get"), (Op::Patch, "patch"), (Op::List, "list")] {
        kube.forbid(op);
        let told = Told::by(scaled(&plain, &kube), 2).has("fault", "pause", &["forbidden", verb, "mend:"]);
        told.all_ok_in(&["restic", "files"]);
        is_untouched(&kube);
    }
    kube.allow();
    let told = Told::by(scaled(&plain, &kube).env("BKP_QUIESCE", "deployment/gone"), 2);
    told.has("fault", "pause", &["deployment/gone"]);
    let told = Told::by(plain.bkp([]).env("BKP_QUIESCE", "deployment/web"), 2);
    told.has("fault", "pause", &["KUBERNETES_SERVICE_HOST", "unset BKP_QUIESCE"]);
}

#[test]
fn commands_that_cannot_be_run_are_told_and_none_is_run() {
    let plain = Plain::open();
    let touch = format!("touch {}", plain.work.join("paused").display());
    let with =
        |pause: &str, resume: &str| plain.bkp([]).env("BKP_PAUSE_COMMAND", pause).env("BKP_RESUME_COMMAND", resume);
    Told::by(with(&touch, "/nonexistent/resume now"), 2).has("fault", "pause", &["/nonexistent/resume", "whole path"]);
    Told::by(with(&touch, "/bin/true"), 0).all_ok_in(&["pause"]);
    assert!(!plain.work.join("paused").exists());
}
