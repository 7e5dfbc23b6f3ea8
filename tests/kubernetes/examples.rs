//! What is shown to be filled in or pasted is what the manifests take.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::manifests::{all, name, objects, pods, project, read, validate};
use super::{VERSIONS, chart};
use crate::support::workdir::WorkDir;

/// The keys of Secrets and ConfigMaps that a pod reads, as `NAME/KEY`, but the one that is there only while a password is changed.
fn keys(spec: &Value) -> BTreeSet<String> {
    let container = &spec["containers"][0];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut keys = BTreeSet::new();
    for entry in list(&container["env"]) {
        let from = &entry["valueFrom"]["configMapKeyRef"];
        if let (Some(map), Some(key)) = (from["name"].as_str(), from["key"].as_str()) {
            keys.insert(format!("{map}/{key}"));
        }
        // A path within a mount: its volume says of what.
        let Some((directory, key)) = entry["value"].as_str().and_then(|path| path.rsplit_once('/')) else { continue };
        for mount in list(&container["volumeMounts"]).iter().filter(|mount| mount["mountPath"] == directory) {
            let volume = list(&spec["volumes"]).into_iter().find(|volume| volume["name"] == mount["name"]);
            let volume = volume.expect("the mount's volume");
            let of = volume["secret"]["secretName"].as_str().or(volume["configMap"]["name"].as_str());
            keys.extend(of.map(|of| format!("{of}/{key}")));
        }
    }
    for volume in list(&spec["volumes"]) {
        for item in list(&volume["secret"]["items"]) {
            let of = volume["secret"]["secretName"].as_str().expect("a name");
            keys.insert(format!("{of}/{}", item["key"].as_str().expect("a key")));
        }
    }
    keys.remove("backup-secret/restic-new-password");
    keys
}

/// The base with the component that no application's overlay has.
fn with_certificate(work: &WorkDir) -> Vec<Value> {
    for place in ["k8s/base", "k8s/components/certificate"] {
        super::quiesce::copy(work, place);
    }
    let kustomization = json!({ "resources": ["k8s/base"], "components": ["k8s/components/certificate"] });
    work.file("kustomization.yaml", kustomization.to_string());
    objects(work.path())
}

#[test]
fn every_secret_and_setting_that_manifests_read_has_an_example() {
    let file = project().join("k8s/examples/objects.yaml");
    let ran = validate(VERSIONS[1], std::slice::from_ref(&file));
    assert!(ran.success, "{}{}", ran.text(), ran.stderr);
    let mut shown = BTreeSet::new();
    for object in read(&fs::read(&file).expect("the examples")) {
        let values = object["stringData"].as_object().or(object["data"].as_object()).expect("values").clone();
        shown.extend(values.keys().map(|key| format!("{}/{key}", name(&object))));
    }
    let work = WorkDir::new();
    let mut wanted = BTreeSet::new();
    for objects in all().into_iter().map(|(_, objects)| objects).chain([with_certificate(&work)]) {
        pods(&objects).into_iter().for_each(|(_, spec)| wanted.extend(keys(spec)));
    }
    assert_eq!(shown, wanted);
}

#[test]
fn an_authority_of_ones_own_comes_to_every_pod_by_kustomize_and_by_the_chart() {
    let work = WorkDir::new();
    let file = work.file("values.yaml", "components: [certificate]");
    let mut chart = chart::rendered("shop", &[file]);
    for object in &mut chart {
        object["metadata"].as_object_mut().expect("metadata").remove("namespace");
    }
    let kustomize = with_certificate(&work);
    for (pod, spec) in pods(&kustomize) {
        assert!(keys(spec).contains("backup-certificate/ca.crt"), "{pod}");
    }
    chart::assert_same("certificate", chart, kustomize);
}

#[test]
fn the_affinity_beside_the_run_book_is_valid_and_for_the_pods_that_have_the_volume() {
    let readme = fs::read_to_string(project().join("k8s/README.md")).expect("the run book");
    let (_, shown) = readme.split_once("```yaml\n").expect("a block");
    let (shown, _) = shown.split_once("```").expect("its end");
    let work = WorkDir::new();
    let chart = chart::rendered("shop", &[work.file("values.yaml", shown)]);
    for (pod, spec) in pods(&chart) {
        let wanted = ["backup", "backup-restore"].contains(&pod);
        assert_eq!(spec["affinity"]["podAffinity"].is_object(), wanted, "{pod}");
    }
    let text: String = chart.iter().map(|object| format!("---\n{object}\n")).collect();
    let ran = validate(VERSIONS[1], &[work.file("affinity.yaml", text)]);
    assert!(ran.success, "{}{}", ran.text(), ran.stderr);
}
