//! What the manifests' pods may do, and that they are what the images and the run book say.

use std::fs;

use serde_json::{Value, json};

use super::manifests::{all, applications, name, objects, pods, project, template};
use crate::support::pod::image_env;

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
fn a_backup_is_not_tried_again_where_that_saves_nothing() {
    use bkp::exit::Exit;
    let pointless =
        [Exit::Usage, Exit::Partial, Exit::RetentionFailed, Exit::NoRepository, Exit::WrongPassword].map(Exit::code);
    for (place, objects) in all() {
        for object in objects.iter().filter(|object| object["kind"] == "CronJob") {
            let job = &object["spec"]["jobTemplate"]["spec"];
            let codes = &job["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"];
            let wanted = if job["backoffLimit"] == 0 { Value::Null } else { json!(pointless) };
            assert_eq!(*codes, wanted, "{place} {}", name(object));
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
                // Who may scale the application (super::quiesce) has a token.
                spec.as_object_mut().expect("a pod").remove("automountServiceAccountToken");
                let container = spec["containers"][0].as_object_mut().expect("a container");
                container.remove("args");
                // The volume of files is where files are, and the drill has room of its own.
                container.remove("volumeMounts");
                let entries = container.get_mut("env").and_then(Value::as_array_mut);
                let entries = entries.map(std::mem::take).unwrap_or_default();
                let entries = entries
                    .into_iter()
                    .filter(|entry| !["BKP_DRILL_SCRATCH", "BKP_QUIESCE"].map(Value::from).contains(&entry["name"]));
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
