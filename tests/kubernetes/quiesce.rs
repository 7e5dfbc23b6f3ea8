//! Who may speak to the API server, and what it lets them do there: `k8s/components/quiesce`, and nothing without it.

use std::path::Path;

use serde_json::{Value, json};

use super::manifests::{all, name, objects, pods, project, template};
use crate::support::workdir::WorkDir;

/// Overlays that use the component.
const USERS: [&str; 2] = ["k8s/apps/forgejo", "k8s/apps/taiga"];

/// What the API lets an account do with objects that it names, whatever they are called.
const SCALING: [&str; 2] = ["get", "patch"];

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// Objects that a Role lets be scaled, as BKP_QUIESCE names them; fails for a rule that lets anything else be done.
fn granted(role: &Value) -> Vec<String> {
    let mut named = Vec::new();
    let mut lists_pods = false;
    for rule in role["rules"].as_array().expect("rules") {
        let kind = match rule["resources"][0].as_str().expect("a resource") {
            "deployments" => "deployment",
            "statefulsets" => "statefulset",
            _ => {
                assert_eq!(*rule, json!({ "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] }));
                lists_pods = true;
                continue;
            }
        };
        let names = rule["resourceNames"].as_array().expect("names: without any, all are meant");
        assert!(!names.is_empty(), "{rule}");
        let whole = json!({
            "apiGroups": ["apps"], "resources": [format!("{kind}s")], "resourceNames": names, "verbs": SCALING,
        });
        assert_eq!(*rule, whole);
        named.extend(names.iter().map(|name| format!("{kind}/{}", name.as_str().expect("a name"))));
    }
    assert!(lists_pods, "{role}");
    named.retain(|object| !object.ends_with("/named-by-the-overlay"));
    named
}

/// What a pod is told to scale.
fn told(pod: &Value) -> Option<&str> {
    let entries = pod["containers"][0]["env"].as_array()?;
    entries.iter().find(|entry| entry["name"] == "BKP_QUIESCE")?["value"].as_str()
}

/// What makes a pod, by its part in the backup, whatever an overlay calls it.
fn component(object: &Value) -> &str {
    object["metadata"]["labels"]["app.kubernetes.io/component"].as_str().expect("a component")
}

/// Checks an overlay that uses the component: exactly two of its pods may scale, and what they are told to is what they may.
fn is_least(place: &str, objects: &[Value]) {
    for object in objects.iter().filter(|object| template(object).is_some() && name(object).contains("backup")) {
        let pod = &template(object).expect("a template")["spec"];
        let scales = ["backup", "operator"].contains(&component(object));
        assert_eq!(pod["automountServiceAccountToken"], scales, "{place} {}", name(object));
        assert_eq!(told(pod).is_some(), scales, "{place} {}", name(object));
        let [role] = of_kind(objects, "Role")[..] else { panic!("{place}: not one role") };
        if let Some(told) = told(pod) {
            assert_eq!(told.split(',').collect::<Vec<_>>(), granted(role), "{place} {}", name(object));
        }
    }
    let [binding] = of_kind(objects, "RoleBinding")[..] else { panic!("{place}: not one binding") };
    let accounts: Vec<&Value> = binding["subjects"].as_array().expect("subjects").iter().collect();
    assert!(accounts.len() == 1 && accounts[0]["name"] == "backup-restore", "{place}: {accounts:?}");
    assert!(of_kind(objects, "ClusterRole").is_empty() && of_kind(objects, "ClusterRoleBinding").is_empty());
}

/// The ports that a policy opens to any address, for the pods of one component.
fn ports(objects: &[Value], part: &str) -> Vec<u64> {
    let mut ports = Vec::new();
    for policy in of_kind(objects, "NetworkPolicy") {
        let selected = &policy["spec"]["podSelector"]["matchExpressions"][0]["values"];
        if selected.as_array().is_some_and(|parts| !parts.contains(&part.into())) {
            continue;
        }
        for rule in policy["spec"]["egress"].as_array().expect("rules").iter().filter(|rule| rule["to"].is_null()) {
            ports.extend(rule["ports"].as_array().expect("ports").iter().filter_map(|port| port["port"].as_u64()));
        }
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[test]
fn nothing_speaks_to_the_api_server_unless_it_scales_the_application() {
    for (place, objects) in all() {
        if USERS.contains(&place.as_str()) {
            is_least(&place, &objects);
            continue;
        }
        assert!(of_kind(&objects, "Role").is_empty() && of_kind(&objects, "RoleBinding").is_empty(), "{place}");
        for (pod, spec) in pods(&objects) {
            assert_eq!(spec["automountServiceAccountToken"], false, "{place} {pod}");
            assert_eq!(told(spec), None, "{place} {pod}");
        }
        assert_eq!(ports(&objects, "backup"), [53, 443], "{place}");
    }
}

#[test]
fn taiga_comes_to_rest_from_its_door_inwards() {
    let objects = objects(&project().join("k8s/apps/taiga"));
    let [role] = of_kind(&objects, "Role")[..] else { panic!("not one role") };
    let parts = ["gateway", "front", "back", "async"];
    assert_eq!(granted(role), parts.map(|part| format!("deployment/taiga-{part}-deployment")));
}

#[test]
fn a_shop_that_lives_may_be_scaled_by_who_saves_it_and_nobody_else() {
    is_least("tests/kubernetes/live", &objects(&project().join("tests/kubernetes/live")));
}

#[test]
fn the_component_finds_a_job_by_its_part_and_lets_nothing_be_touched_that_nobody_named() {
    let work = WorkDir::new();
    for place in ["k8s/base", "k8s/components/quiesce"] {
        copy(&work, place);
    }
    // Renamed below the component, as by an overlay of an application's overlay.
    work.file("renamed/kustomization.yaml", renamed());
    let kustomization = json!({ "resources": ["renamed"], "components": ["k8s/components/quiesce"] });
    work.file("kustomization.yaml", kustomization.to_string());
    let objects = objects(work.path());
    let with_token = pods(&objects).into_iter().filter(|(_, spec)| spec["automountServiceAccountToken"] == true);
    let mut with_token: Vec<&str> = with_token.map(|(name, _)| name).collect();
    with_token.sort_unstable();
    assert_eq!(with_token, ["backup-restore", "cloud-backup"]);
    let [role] = of_kind(&objects, "Role")[..] else { panic!("not one role") };
    assert_eq!(granted(role), Vec::<String>::new());
    for part in ["backup", "operator"] {
        assert_eq!(ports(&objects, part), [53, 443, 6443], "{part}");
    }
    for part in ["drill", "init"] {
        assert_eq!(ports(&objects, part), [53, 443], "{part}");
    }
}

/// A directory of manifests, as kustomize wants it: below the one that it renders.
pub fn copy(work: &WorkDir, place: &str) {
    for entry in std::fs::read_dir(project().join(place)).expect("manifests") {
        let path = entry.expect("an entry").path();
        let name = Path::new(place).join(path.file_name().expect("a name"));
        work.file(&name.to_string_lossy(), std::fs::read(&path).expect("a manifest"));
    }
}

fn renamed() -> String {
    json!({
        "resources": ["../k8s/base"],
        "patches": [{
            "target": { "kind": "CronJob", "name": "backup" },
            "options": { "allowNameChange": true },
            "patch": r#"[{"op": "replace", "path": "/metadata/name", "value": "cloud-backup"}]"#,
        }],
    })
    .to_string()
}
