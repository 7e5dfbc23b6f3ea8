//! What the API does wrong, and what it refuses.

use std::time::{Duration, Instant};

use bkp::error::hints_of;
use bkp::pause::{Maintenance, Pause};

use super::{config, is_as_before, is_paused, within};
use crate::support::kube::{Fault, Kube, Op};
use crate::support::workdir::WorkDir;

/// Pauses while this happens, and resumes.
fn is_unmoved_by_the_first(faults: &[(Op, Fault)]) {
    is_unmoved(faults, &[]);
}

/// Pauses and resumes while this happens; nothing of it may be seen.
fn is_unmoved_by(faults: &[(Op, Fault)]) {
    is_unmoved(faults, faults);
}

fn is_unmoved(pausing: &[(Op, Fault)], resuming: &[(Op, Fault)]) {
    let (kube, work) = (Kube::start(), WorkDir::new());
    let config = config(&kube, &work);
    within(async {
        let mut pause = Pause::new(&config, "r1");
        pausing.iter().for_each(|(op, fault)| kube.fault(*op, fault.clone()));
        pause.pause().await.unwrap();
        is_paused(&kube, "r1");
        resuming.iter().for_each(|(op, fault)| kube.fault(*op, fault.clone()));
        // Nobody looks for pods when it is given back.
        let lists = resuming.iter().any(|(op, _)| *op == Op::List);
        if lists {
            pause.still().await.unwrap();
        }
        pause.resume().await.unwrap();
    });
    is_as_before(&kube);
}

#[test]
fn an_object_that_changes_meanwhile_is_read_again() {
    is_unmoved_by(&[(Op::Patch, Fault::Changed), (Op::Patch, Fault::Changed)]);
}

#[test]
fn a_connection_that_is_cut_before_or_after_a_change_is_no_matter() {
    is_unmoved_by(&[(Op::Patch, Fault::Cut)]);
    is_unmoved_by(&[(Op::Patch, Fault::LostReply)]);
    is_unmoved_by(&[(Op::Get, Fault::Cut), (Op::List, Fault::LostReply)]);
}

#[test]
fn an_api_that_is_away_for_a_moment_is_asked_again() {
    is_unmoved_by(&[
        (Op::Get, Fault::Status(503, "apiserver is shutting down")),
        (Op::Patch, Fault::Status(429, "too many requests")),
        (Op::List, Fault::Status(500, "etcdserver: leader changed")),
    ]);
}

#[test]
fn an_api_that_stays_away_is_given_up_once_and_not_for_each_object() {
    let (kube, work) = (Kube::start(), WorkDir::new());
    let mut config = config(&kube, &work);
    let scaled = config.scaled.as_mut().unwrap();
    scaled.patience = Duration::from_secs(1);
    scaled.cluster.port = 1;
    let begun = Instant::now();
    let error = within(async {
        let mut pause = Pause::new(&config, "r1");
        pause.pause().await.unwrap_err()
    });
    let told = format!("{error:#}");
    assert!(told.contains("looking at statefulset/queue") && told.contains("Connection refused"), "{told}");
    assert!(hints_of(&error).concat().contains("network policy"), "{error:#}");
    assert!(begun.elapsed() < Duration::from_millis(1900), "{:?}", begun.elapsed());
}

#[test]
fn a_token_that_is_replaced_between_two_requests_or_within_one_is_read_anew() {
    is_unmoved_by(&[(Op::Get, Fault::Rotated), (Op::Patch, Fault::Rotated)]);
}

/// What a pause that is refused says; it must have changed nothing.
fn refusal(kube: &Kube) -> (String, Vec<String>) {
    let work = WorkDir::new();
    work.dir("app");
    let mut config = config(kube, &work);
    let path = work.join("app/maintenance");
    config.maintenance = Some(Maintenance { path: path.clone(), content: "on".to_owned() });
    let error = within(async {
        let mut pause = Pause::new(&config, "r1");
        let error = pause.pause().await.unwrap_err();
        assert!(!path.exists(), "paused before it was known that all can be");
        pause.resume().await.unwrap();
        error
    });
    is_as_before(kube);
    (format!("{error:#}"), hints_of(&error))
}

#[test]
fn a_missing_right_is_told_as_the_rule_to_add_before_anything_is_paused() {
    let kube = Kube::start();
    kube.forbid(Op::Get);
    let (told, hints) = refusal(&kube);
    assert!(told.contains("cannot get resource"), "{told}");
    for rule in [
        "resources: [\"deployments\"], resourceNames: [\"web\"], verbs: [\"get\"]",
        "resources: [\"statefulsets\"], resourceNames: [\"queue\"], verbs: [\"get\"]",
    ] {
        assert!(hints.iter().any(|hint| hint.contains(rule)), "{hints:?}");
    }
    kube.forbid(Op::List);
    let (_, hints) = refusal(&kube);
    assert!(hints.concat().contains("{apiGroups: [\"\"], resources: [\"pods\"], verbs: [\"list\"]}"), "{hints:?}");
    assert!(!kube.seen().iter().any(|seen| seen.starts_with("Patch")));
    kube.forbid(Op::Patch);
    let (_, hints) = refusal(&kube);
    assert!(hints.concat().contains("verbs: [\"patch\"]"), "{hints:?}");
    assert!(!kube.seen().iter().any(|seen| seen.starts_with("Patch")));
}

#[test]
fn what_cannot_be_rehearsed_is_done_and_what_a_policy_refuses_is_not_begun() {
    let unrehearsed = Fault::Status(400, "admission webhook \"audit.policy.example\" does not support dry run");
    is_unmoved_by_the_first(&[(Op::Rehearse, unrehearsed), (Op::Rehearse, Fault::Changed)]);
    let kube = Kube::start();
    kube.fault(Op::Rehearse, Fault::Status(403, "admission webhook \"replicas.policy.example\" denied the request"));
    let (told, hints) = refusal(&kube);
    assert!(told.contains("replicas.policy.example") && hints.concat().contains("policy"), "{told} {hints:?}");
    assert!(!kube.seen().iter().any(|seen| seen.starts_with("Patch")));
}

#[test]
fn a_name_that_is_not_there_is_told() {
    let kube = Kube::start();
    let work = WorkDir::new();
    let mut config = config(&kube, &work);
    config.scaled.as_mut().unwrap().objects[0].name = "wbe".to_owned();
    let error = within(async {
        let pause = &mut Pause::new(&config, "r1");
        pause.pause().await.unwrap_err()
    });
    let told = format!("{error:#}");
    assert!(told.contains("deployment/wbe") && hints_of(&error).concat().contains("BKP_QUIESCE"), "{told}");
    is_as_before(&kube);
}

#[test]
fn no_token_goes_to_who_is_not_the_clusters_api() {
    let kube = Kube::start();
    kube.account_of_another_cluster();
    let (told, hints) = refusal(&kube);
    assert!(told.contains("this is not the cluster's Kubernetes API"), "{told}");
    assert!(hints.concat().contains("ca.crt"), "{hints:?}");
    assert_eq!(kube.seen(), Vec::<String>::new());
}

#[test]
fn an_application_that_cannot_be_given_back_stays_noted_for_the_next_start() {
    let (kube, work) = (Kube::start(), WorkDir::new());
    let config = config(&kube, &work);
    within(async {
        let mut pause = Pause::new(&config, "r1");
        pause.pause().await.unwrap();
        kube.forbid(Op::Patch);
        let error = pause.resume().await.unwrap_err();
        assert!(error.to_string().contains("still paused"), "{error:#}");
        let hints = hints_of(&error).concat();
        assert!(hints.contains("verbs: [\"patch\"]") && hints.contains("bkp resume"), "{hints}");
        is_paused(&kube, "r1");
        kube.allow();
        let left = bkp::pause::left_scaled(&config).await.unwrap();
        bkp::pause::resume_scaled(&config, &left).await.unwrap();
    });
    is_as_before(&kube);
}
