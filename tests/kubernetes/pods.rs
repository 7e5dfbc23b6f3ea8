//! What the manifests' pods may do, and that they are what the images and the run book say.

use std::fs;

use serde_json::{Value, json};

use super::manifests::{applications, name, objects, project, template};
use crate::support::pod::image_env;
use crate::support::workdir::WorkDir;

/// The objects of `k8s/base` and of each overlay.
fn all() -> Vec<(String, Vec<Value>)> {
    let apps = applications().into_iter().map(|app| format!("k8s/apps/{app}"));
    let places = apps.chain(["k8s/base".to_owned()]);
    places.map(|place| (place.clone(), objects(&project().join(&place)))).collect()
}

fn pods(objects: &[Value]) -> Vec<(&str, &Value)> {
    objects.iter().filter_map(|object| Some((name(object), &template(object)?["spec"]))).collect()
}

#[test]
fn every_pod_is_restricted_and_has_a_root_that_is_read_only() {
    for (place, objects) in all() {
        let pods = pods(&objects);
        assert_eq!(pods.len(), 4, "{place}");
        for (pod, spec) in pods {
            let (context, container) = (&spec["securityContext"], &spec["containers"][0]);
            assert_eq!(context["runAsNonRoot"], true, "{place} {pod}");
            assert_ne!(context["runAsUser"], 0, "{place} {pod}");
            assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault", "{place} {pod}");
            let shut = json!({
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
            });
            assert_eq!(container["securityContext"], shut, "{place} {pod}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{place} {pod}");
        }
    }
}

#[test]
fn every_job_has_an_end_and_none_runs_beside_another() {
    for (place, objects) in all() {
        for object in objects.iter().filter(|object| object["kind"] == "CronJob") {
            let (spec, job) = (&object["spec"], &object["spec"]["jobTemplate"]["spec"]);
            assert_eq!(spec["concurrencyPolicy"], "Forbid", "{place} {}", name(object));
            assert!(job["activeDeadlineSeconds"].is_u64() && job["backoffLimit"].is_u64(), "{place} {}", name(object));
            assert_eq!(job["template"]["spec"]["restartPolicy"], "Never", "{place} {}", name(object));
        }
    }
}

#[test]
fn the_pods_of_one_application_differ_in_their_command_alone() {
    for (_, objects) in all() {
        let common: Vec<Value> = pods(&objects)
            .into_iter()
            .map(|(_, spec)| {
                let mut spec = spec.clone();
                spec.as_object_mut().expect("a pod").remove("restartPolicy");
                let container = spec["containers"][0].as_object_mut().expect("a container");
                container.remove("args");
                // The volume of files is where files are, and the drill has room of its own.
                container.remove("volumeMounts");
                let entries = container.get_mut("env").and_then(Value::as_array_mut);
                let entries = entries.map(std::mem::take).unwrap_or_default();
                let entries = entries.into_iter().filter(|entry| entry["name"] != "BKP_DRILL_SCRATCH");
                let entries: Vec<Value> = entries.collect();
                container.insert("env".into(), entries.into());
                let volumes = spec["volumes"].as_array_mut().expect("volumes");
                volumes.retain(|volume| volume["persistentVolumeClaim"].is_null() && volume["name"] != "scratch");
                spec
            })
            .collect();
        assert!(common.windows(2).all(|two| two[0] == two[1]), "{common:#?}");
    }
}

#[test]
fn nothing_speaks_to_the_api_server_unless_it_scales_the_application() {
    for (place, objects) in all() {
        assert!(objects.iter().all(|object| object["kind"] != "Role"), "{place}");
        for (pod, spec) in pods(&objects) {
            assert_eq!(spec["automountServiceAccountToken"], false, "{place} {pod}");
        }
    }
    let work = WorkDir::new();
    let kustomization = json!({ "resources": ["base"], "components": ["quiesce"] });
    work.file("kustomization.yaml", kustomization.to_string());
    for (place, target) in [("k8s/base", "base"), ("k8s/components/quiesce", "quiesce")] {
        for entry in fs::read_dir(project().join(place)).expect("manifests") {
            let path = entry.expect("an entry").path();
            let name = format!("{target}/{}", path.file_name().expect("a name").to_string_lossy());
            work.file(&name, fs::read(&path).expect("a manifest"));
        }
    }
    let objects = objects(work.path());
    assert!(pods(&objects).iter().all(|(_, spec)| spec["automountServiceAccountToken"] == true));
    let role = objects.iter().find(|object| object["kind"] == "Role").expect("a role");
    let mut granted: Vec<String> = Vec::new();
    for rule in role["rules"].as_array().expect("rules") {
        for resource in rule["resources"].as_array().expect("resources") {
            granted.push(format!("{} {}", resource.as_str().expect("a name"), rule["verbs"]));
        }
    }
    granted.sort();
    let wanted = [
        r#"deployments ["get","patch"]"#,
        r#"deployments/scale ["get","patch"]"#,
        r#"pods ["list"]"#,
        r#"statefulsets ["get","patch"]"#,
        r#"statefulsets/scale ["get","patch"]"#,
    ];
    assert_eq!(granted, wanted);
}

#[test]
fn an_application_is_saved_from_its_volume_by_the_account_that_owns_it() {
    for app in applications() {
        let objects = objects(&project().join("k8s/apps").join(&app));
        let settings = image_env(&app);
        let setting = |key: &str| settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        let dockerfile = fs::read_to_string(project().join("images").join(&app).join("Dockerfile")).expect("an image");
        let user = dockerfile.lines().find_map(|line| line.strip_prefix("USER ")).unwrap_or("65532:65532");
        for (pod, spec) in pods(&objects) {
            let context = &spec["securityContext"];
            assert_eq!(format!("{}:{}", context["runAsUser"], context["runAsGroup"]), user, "{app} {pod}");
            assert_eq!(spec["containers"][0]["image"], format!("backup-restore-{app}"), "{app} {pod}");
        }
        if let Some(owner) = setting("BKP_FILES_OWNER") {
            assert_eq!(owner, user, "{app}");
        }
        let Some(files) = setting("BKP_FILES") else { continue };
        let own_volume = |object: &&Value| !["backup-drill", "backup-init"].contains(&name(object));
        for template in objects.iter().filter(own_volume).filter_map(template) {
            let mounts = template["spec"]["containers"][0]["volumeMounts"].as_array().expect("mounts");
            assert!(mounts.iter().any(|mount| mount["mountPath"] == files.as_str()), "{app}: {files}");
        }
    }
}

#[test]
fn operators_find_the_idle_pod_and_never_a_job() {
    for (place, objects) in all() {
        for object in &objects {
            let Some(template) = template(object) else { continue };
            let label = template["metadata"]["labels"]["app"].as_str();
            assert_eq!(label, (object["kind"] == "Deployment").then_some("backup-restore"), "{place} {}", name(object));
        }
    }
}

#[test]
fn what_watches_is_told_by_every_pod_and_can_be_reached() {
    let objects = objects(&project().join("tests/kubernetes/watched"));
    for (pod, spec) in pods(&objects) {
        let env = spec["containers"][0]["env"].as_array().expect("variables");
        for name in ["BKP_PUSHGATEWAY_URL", "BKP_HEARTBEAT_URL", "BKP_DRILL_HEARTBEAT_URL"] {
            let variable =
                env.iter().find(|variable| variable["name"] == name).unwrap_or_else(|| panic!("{pod}: {name}"));
            assert!(
                variable["value"].is_null() && variable["valueFrom"]["secretKeyRef"]["optional"] == true,
                "{pod}: {name}"
            );
        }
    }
    let policies = objects.iter().filter(|object| object["kind"] == "NetworkPolicy");
    let ports: Vec<String> = policies.map(|policy| policy["spec"]["egress"].to_string()).collect();
    assert!(ports.iter().any(|ports| ports.contains("9091")), "{ports:?}");
}
