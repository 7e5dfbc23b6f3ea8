//! The chart beside the manifests: of the same files, and so the same objects.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Map, Value};

use super::manifests::{applications, name, objects, project, read, validate};
use super::{VERSIONS, tool};
use crate::support::run::{Ran, run};
use crate::support::workdir::WorkDir;

fn chart() -> PathBuf {
    project().join("k8s/chart")
}

/// The values of an application, where the chart has some.
fn values(app: &str) -> PathBuf {
    chart().join("apps").join(format!("{app}.yaml"))
}

/// `helm template`, in a namespace, with files of values. What helm itself keeps goes to a directory of the test's.
fn template(work: &WorkDir, namespace: &str, files: &[PathBuf]) -> Ran {
    let mut helm = Command::new(tool("helm"));
    helm.env("HOME", work.path()).args(["template", "backup-restore"]).arg(chart()).args(["--namespace", namespace]);
    for file in files {
        helm.arg("--values").arg(file);
    }
    run(&mut helm, b"")
}

/// The objects that the chart becomes.
pub fn rendered(namespace: &str, files: &[PathBuf]) -> Vec<Value> {
    let work = WorkDir::new();
    let ran = template(&work, namespace, files);
    assert!(ran.success, "{}", ran.stderr);
    read(&ran.stdout)
}

/// By kind and name, with what has a name in an order of its own: it means the same in any.
fn comparable(objects: Vec<Value>) -> Map<String, Value> {
    fn ordered(value: &mut Value) {
        match value {
            Value::Object(map) => map.values_mut().for_each(ordered),
            Value::Array(list) => {
                list.iter_mut().for_each(ordered);
                if list.iter().all(|entry| entry["name"].is_string()) {
                    list.sort_by_key(Value::to_string);
                }
            }
            _ => {}
        }
    }
    let named = objects.into_iter().map(|mut object| {
        ordered(&mut object);
        (format!("{} {}", object["kind"].as_str().expect("a kind"), name(&object)), object)
    });
    named.collect()
}

/// Fails unless both are the same objects, in whatever order.
pub fn assert_same(place: &str, chart: Vec<Value>, kustomize: Vec<Value>) {
    let (chart, kustomize) = (comparable(chart), comparable(kustomize));
    let names = |objects: &Map<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&chart), names(&kustomize), "{place}");
    for (name, object) in &chart {
        assert_eq!(object, &kustomize[name], "{place}: {name}");
    }
}

#[test]
fn the_chart_as_it_is_renders_the_base() {
    let mut chart = rendered("shop", &[]);
    for object in &mut chart {
        // The base is of no namespace.
        assert_eq!(object["metadata"].as_object_mut().expect("metadata").remove("namespace"), Some("shop".into()));
    }
    assert_same("k8s/base", chart, objects(&project().join("k8s/base")));
}

#[test]
fn an_applications_values_render_its_overlay() {
    let with_values: Vec<String> = applications().into_iter().filter(|app| values(app).exists()).collect();
    assert!(with_values.len() >= 4, "{with_values:?}");
    for app in with_values {
        let overlay = objects(&project().join("k8s/apps").join(&app));
        assert_same(&app, rendered(&app, &[values(&app)]), overlay);
    }
}

#[test]
fn what_is_scaled_gets_a_role_for_these_names_and_a_token_where_it_is_used() {
    let work = WorkDir::new();
    let file = work.file("values.yaml", "quiesce: [deployment/web, statefulset/queue, deployment/front]");
    let chart = comparable(rendered("shop", &[file]));
    let rules = chart["Role backup-restore"]["rules"].as_array().expect("rules");
    let names = |resource: &str| {
        let of =
            rules.iter().filter(|rule| rule["resources"].as_array().is_some_and(|all| all.contains(&resource.into())));
        of.map(|rule| rule["resourceNames"].to_string()).collect::<Vec<_>>()
    };
    assert!(names("deployments").contains(&r#"["web","front"]"#.to_owned()), "{rules:?}");
    assert_eq!(chart["RoleBinding backup-restore"]["subjects"][0]["namespace"], "shop");
    for (object, token) in
        [("CronJob backup", true), ("CronJob backup-drill", false), ("Deployment backup-restore", true)]
    {
        let spec = super::manifests::template(&chart[object]).expect("a template")["spec"].clone();
        assert_eq!(spec["automountServiceAccountToken"], token, "{object}");
        let env = spec["containers"][0]["env"].to_string();
        assert_eq!(env.contains("deployment/web,statefulset/queue,deployment/front"), token, "{object}: {env}");
    }
}

#[test]
fn values_that_are_wrong_are_refused() {
    let wrong = [
        "schedule: every night",
        "runAs: 0",
        "components: [postgresql]",
        "quiesce: [web]",
        "files: {claim: data, path: /data}",
        "backupp: nightly",
        "image: ''",
    ];
    for text in wrong {
        let work = WorkDir::new();
        let file = work.file("values.yaml", text);
        let ran = template(&work, "shop", &[file]);
        assert!(
            !ran.success && ran.stderr.contains("don't meet the specifications of the schema"),
            "{text}: {}",
            ran.stderr
        );
    }
}

#[test]
fn the_chart_is_clean_and_what_it_renders_is_valid() {
    let work = WorkDir::new();
    let mut lint = Command::new(tool("helm"));
    let ran = run(lint.env("HOME", work.path()).args(["lint", "--strict"]).arg(chart()), b"");
    assert!(ran.success, "{}{}", ran.text(), ran.stderr);
    let text = template(&work, "shop", &[]).stdout;
    let file = work.file("chart.yaml", text);
    let ran = validate(VERSIONS[1], &[file]);
    assert!(ran.success, "{}{}", ran.text(), ran.stderr);
}

#[test]
fn a_package_of_the_chart_holds_what_it_reads_of_the_manifests() {
    let work = WorkDir::new();
    let mut helm = Command::new(tool("helm"));
    let ran = run(helm.env("HOME", work.path()).arg("package").arg(chart()).arg("--destination").arg(work.path()), b"");
    assert!(ran.success, "{}", ran.stderr);
    let entries = fs::read_dir(work.path()).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut archives = entries.filter(|path| path.extension().is_some_and(|kind| kind == "tgz"));
    let archive = archives.next().expect("an archive");
    let mut helm = Command::new(tool("helm"));
    let ran = run(helm.env("HOME", work.path()).args(["template", "backup-restore"]).arg(archive), b"");
    assert!(ran.success, "{}", ran.stderr);
    assert_eq!(read(&ran.stdout).len(), objects(&project().join("k8s/base")).len());
}
