//! What is sent and what an answer means, by answers as the API gives them.

use serde_json::{Value, json};

use super::answer::{Ask, Refused, refused};
use super::pods::alive;
use super::seen::{ANNOTATION, Hold, Release, Workload};
use crate::error::{Failure, hints_of};
use crate::settings::scaled::{Kind, Object};

fn deployment() -> Object {
    Object { kind: Kind::Deployment, name: "taiga-back".to_owned() }
}

/// A Deployment as the API gives it.
fn told(replicas: u32, note: Option<Value>) -> Value {
    let annotations = match note {
        Some(note) => json!({"deployment.kubernetes.io/revision": "4", ANNOTATION: note.to_string()}),
        None => json!({"deployment.kubernetes.io/revision": "4"}),
    };
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "taiga-back", "namespace": "taiga", "uid": "6b2a0ed5", "resourceVersion": "4711", "generation": 7,
            "annotations": annotations,
            "managedFields": [
                {"manager": "bkp", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-11-20T23:10:09Z", "fieldsType": "FieldsV1",
                 "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "argocd-controller", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-11-20T23:10:08Z", "fieldsType": "FieldsV1",
                 "fieldsV1": {"f:metadata": {}, "f:spec": {"f:replicas": {}, "f:selector": {}}}},
                {"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "time": "2025-01-01T00:00:00Z", "fieldsType": "FieldsV1",
                 "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-11-20T23:11:08Z",
                 "fieldsType": "FieldsV1", "subresource": "status", "fieldsV1": {"f:status": {"f:replicas": {}}}}
            ]
        },
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "taiga"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["back", "async"]}, {"key": "canary", "operator": "DoesNotExist"}]}},
        "status": {"observedGeneration": 7, "replicas": replicas}
    })
}

fn seen(told: &Value) -> Workload {
    Workload::read(&deployment(), told.to_string().as_bytes()).unwrap()
}

fn note(app: &str, run: &str, replicas: u32) -> Option<Value> {
    Some(json!({"format": 1, "app": app, "run": run, "replicas": replicas}))
}

/// The note that a patch writes, and the replicas that it asks for.
fn sent(hold: Hold) -> (Value, Value) {
    let Hold::Scale { patch, .. } = hold else { panic!("{hold:?}") };
    assert_eq!(patch["metadata"]["resourceVersion"], "4711", "it must not overwrite what it has not seen");
    let note = patch["metadata"]["annotations"][ANNOTATION].as_str().unwrap();
    (serde_json::from_str(note).unwrap(), patch["spec"]["replicas"].clone())
}

#[test]
fn one_patch_notes_what_was_and_scales() {
    let workload = seen(&told(3, None));
    assert_eq!(workload.selector, "app=taiga,tier in (back,async),!canary");
    let sent = sent(workload.hold(&deployment(), "taiga", "r1").unwrap());
    assert_eq!(sent, (note("taiga", "r1", 3).unwrap(), json!(0)));
}

#[test]
fn what_was_before_a_dead_run_is_what_counts() {
    let object = deployment();
    for replicas in [0, 1] {
        let sent = sent(seen(&told(replicas, note("taiga", "dead", 3))).hold(&object, "taiga", "r2").unwrap());
        assert_eq!(sent, (note("taiga", "r2", 3).unwrap(), json!(0)), "{replicas}");
    }
    let held = seen(&told(0, note("taiga", "r2", 3)));
    assert_eq!(held.hold(&object, "taiga", "r2").unwrap(), Hold::Held);
}

#[test]
fn what_somebody_keeps_at_zero_stays_there() {
    let workload = seen(&told(0, None));
    assert_eq!(workload.hold(&deployment(), "taiga", "r1").unwrap(), Hold::Idle);
    assert_eq!(workload.release("taiga", None), Release::Nothing);
}

#[test]
fn what_another_application_has_paused_is_not_touched() {
    let workload = seen(&told(0, note("jira", "r9", 2)));
    let error = workload.hold(&deployment(), "taiga", "r1").unwrap_err();
    assert!(error.to_string().contains("run r9 of application jira"), "{error}");
    assert_eq!(workload.release("taiga", None), Release::Nothing);
}

#[test]
fn it_is_given_back_unless_somebody_has_scaled_it() {
    let Release::Back { patch, to } = seen(&told(0, note("taiga", "r1", 3))).release("taiga", None) else { panic!() };
    let gone = json!({"resourceVersion": "4711", "annotations": {ANNOTATION: null}});
    assert_eq!((to, patch), (3, json!({"metadata": gone, "spec": {"replicas": 3}})));

    let scaled = seen(&told(5, note("taiga", "r1", 3)));
    assert_eq!(scaled.release("taiga", None), Release::AsFound { patch: json!({"metadata": gone}) });
    assert_eq!(scaled.scaler(), "argocd-controller");
}

#[test]
fn a_note_that_somebody_took_away_is_remembered_by_who_wrote_it() {
    let Release::Back { patch, to } = seen(&told(0, None)).release("taiga", Some(3)) else { panic!() };
    assert_eq!((to, &patch["spec"]), (3, &json!({"replicas": 3})));
    assert!(matches!(seen(&told(2, None)).release("taiga", Some(3)), Release::AsFound { .. }), "replaced as a whole");
    assert_eq!(seen(&told(0, note("jira", "r9", 2))).release("taiga", Some(3)), Release::Nothing);
}

#[test]
fn a_note_of_another_form_is_no_note_to_act_on_but_shown_with_the_way_to_mend_it() {
    for note in [json!({"format": 2, "app": "taiga", "run": "r1", "replicas": 3}), json!("3\u{1b}[2J")] {
        let text = told(0, Some(note.clone())).to_string();
        let error = Workload::read(&deployment(), text.as_bytes()).unwrap_err();
        let what = format!("{error:#}");
        assert!(what.contains("bkp/paused of deployment/taiga-back") && what.contains('3'), "{what}");
        assert!(!what.contains('\u{1b}'), "{what}");
        let hint = hints_of(&error).concat();
        assert!(hint.contains("kubectl -n taiga scale deployment/taiga-back --replicas="), "{hint}");
        assert!(hint.contains("kubectl -n taiga annotate deployment/taiga-back bkp/paused-"), "{hint}");
    }
}

#[test]
fn zero_counts_when_the_controller_has_seen_it() {
    assert!(seen(&told(0, None)).is_settled_at_zero);
    let mut unseen = told(0, None);
    unseen["status"]["observedGeneration"] = json!(6);
    assert!(!seen(&unseen).is_settled_at_zero);
    let mut ending = told(0, None);
    ending["status"]["replicas"] = json!(1);
    assert!(!seen(&ending).is_settled_at_zero);
    let mut new = told(0, None);
    new["status"] = json!({});
    assert!(!seen(&new).is_settled_at_zero);
}

fn pod(name: &str, owner: Value, phase: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "taiga", "pod-template-hash": "5d4f8c7b9"}, "ownerReferences": [owner]},
        "spec": {"nodeName": "node1"}, "status": {"phase": phase}})
}

#[test]
fn only_its_own_pods_are_waited_for_and_only_while_they_run() {
    let set = |name: &str| json!({"kind": "ReplicaSet", "name": name, "uid": "u1", "controller": true});
    let mut ending = pod("ending", set("taiga-back-5d4f8c7b9"), "Running");
    ending["metadata"]["deletionTimestamp"] = json!("2026-11-20T23:10:09Z");
    let list = json!({"kind": "PodList", "items": [
        pod("runs", set("taiga-back-5d4f8c7b9"), "Running"),
        ending,
        pod("lost", set("taiga-back-5d4f8c7b9"), "Unknown"),
        pod("evicted", set("taiga-back-5d4f8c7b9"), "Failed"),
        pod("other", set("taiga-back-async-5d4f8c7b9"), "Running"),
        pod("bkp", json!({"kind": "Job", "name": "bkp-1", "uid": "u2"}), "Running"),
        {"metadata": {"name": "bare", "labels": {"app": "taiga"}}, "status": {"phase": "Running"}}
    ]});
    let shown: Vec<String> = alive(&deployment(), "6b2a0ed5", list.to_string().as_bytes())
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(shown, ["runs (running on node1)", "ending (ending on node1)", "lost (running on node1)"]);

    let object = Object { kind: Kind::StatefulSet, name: "db".to_owned() };
    let owned = |uid: &str| json!({"kind": "StatefulSet", "name": "db", "uid": uid, "controller": true});
    let list = json!({"items": [pod("db-0", owned("6b2a0ed5"), "Pending"), pod("db-1", owned("older"), "Running")]});
    let pods = alive(&object, "6b2a0ed5", list.to_string().as_bytes()).unwrap();
    assert_eq!(pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(), ["db-0"]);
}

#[test]
fn a_host_name_is_its_pods_name_or_as_much_of_it_as_fits() {
    let name = format!("{}-bkp-6f8f5bdc7c-rm9j5", "a".repeat(62));
    let list = json!({"items": [pod(&name, json!({"kind": "StatefulSet", "name": "db", "uid": "u"}), "Running")]});
    let object = Object { kind: Kind::StatefulSet, name: "db".to_owned() };
    let pods = alive(&object, "u", list.to_string().as_bytes()).unwrap();
    assert!(pods[0].is_host(&"a".repeat(62)) && !pods[0].is_host(&"a".repeat(61)));
}

/// A refusal as the API words it.
fn status(code: u16, reason: &str, message: &str) -> Vec<u8> {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code})
        .to_string()
        .into_bytes()
}

fn told_of(failure: Failure) -> (String, String) {
    let error = anyhow::Error::from(failure);
    (error.to_string(), hints_of(&error).concat())
}

#[test]
fn a_right_that_is_missing_is_told_as_the_rule_to_add() {
    let object = deployment();
    let message = "deployments.apps \"taiga-back\" is forbidden: User \"system:serviceaccount:taiga:bkp\" cannot patch resource \"deployments\" in API group \"apps\" in the namespace \"taiga\"";
    let answer = refused(&Ask::Change(&object), "taiga", 403, &status(403, "Forbidden", message));
    let Refused::Final(failure) = answer else { panic!("{answer:?}") };
    let (what, hint) = told_of(failure);
    assert!(what.contains("scaling deployment/taiga-back") && what.contains("cannot patch resource"), "{what}");
    let rule =
        "{apiGroups: [\"apps\"], resources: [\"deployments\"], resourceNames: [\"taiga-back\"], verbs: [\"patch\"]}";
    assert!(hint.contains("namespace taiga") && hint.contains(rule), "{hint}");
    assert_eq!(Ask::Pods(&object).rule(), "{apiGroups: [\"\"], resources: [\"pods\"], verbs: [\"list\"]}");
}

#[test]
fn what_a_policy_refuses_is_not_told_as_a_missing_right() {
    let object = deployment();
    let words = "admission webhook \"replicas.policy.example\" denied the request: never less than one";
    let answer = refused(&Ask::Rehearse(&object), "taiga", 403, &status(403, "Forbidden", words));
    let Refused::Final(failure) = answer else { panic!("{answer:?}") };
    let (what, hint) = told_of(failure);
    assert!(what.contains("never less than one") && hint.contains("policy") && !hint.contains("Role"), "{what} {hint}");

    let words = "admission webhook \"audit.policy.example\" does not support dry run";
    let body = status(400, "BadRequest", words);
    assert!(matches!(refused(&Ask::Rehearse(&object), "taiga", 400, &body), Refused::Unrehearsed));
    assert!(matches!(refused(&Ask::Change(&object), "taiga", 400, &body), Refused::Final(_)));
}

#[test]
fn each_answer_has_its_meaning() {
    let object = deployment();
    let answer = |code, body: &[u8]| refused(&Ask::Look(&object), "taiga", code, body);
    assert!(matches!(answer(409, &status(409, "Conflict", "the object has been modified")), Refused::Conflict));
    assert!(matches!(answer(401, &status(401, "Unauthorized", "Unauthorized")), Refused::Token(_)));
    assert!(matches!(answer(422, &status(422, "Invalid", "is invalid")), Refused::Final(_)));
    for code in [408, 429, 500, 502, 503, 504] {
        assert!(matches!(answer(code, b"<html>"), Refused::Passing(_)), "{code}");
    }
    let Refused::Missing(failure) = answer(404, &status(404, "NotFound", "deployments.apps \"taiga-back\" not found"))
    else {
        panic!()
    };
    assert!(told_of(failure).1.contains("BKP_QUIESCE"));
    let Refused::Final(failure) = answer(400, b"<html>a proxy's long page</html>") else { panic!() };
    let what = told_of(failure).0;
    assert!(what.ends_with("it answers 400") && !what.contains("html"), "{what}");
}
