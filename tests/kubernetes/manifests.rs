//! Rendering manifests, and reading what was rendered.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::tool;
use crate::support::run::{Ran, run};
use crate::support::workdir::WorkDir;

/// The project's directory.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The applications that have an overlay.
pub fn applications() -> Vec<String> {
    let entries = fs::read_dir(project().join("k8s/apps")).expect("overlays");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, ["forgejo", "jira", "nextcloud", "quetzal", "taiga"]);
    names
}

/// Everything that is rendered by itself: the base, each application, what the cluster's tests use, and a component that no
/// application has.
pub fn overlays() -> Vec<PathBuf> {
    let apps = applications().into_iter().map(|name| format!("k8s/apps/{name}"));
    let others =
        ["k8s/base", "tests/kubernetes/shop", "tests/kubernetes/live", "tests/kubernetes/watched"].map(str::to_owned);
    others.into_iter().chain(apps).map(|path| project().join(path)).collect()
}

/// The file that an overlay becomes.
pub fn render(work: &WorkDir, overlay: &Path) -> PathBuf {
    let ran = run(Command::new(tool("kubectl")).arg("kustomize").arg(overlay), b"");
    // It warns of what is out of date on standard error alone.
    assert!(ran.success && ran.stderr.is_empty(), "{}: {}", overlay.display(), ran.stderr);
    let name = overlay.file_name().expect("a name").to_string_lossy().into_owned();
    work.file(&format!("{name}.yaml"), &ran.stdout)
}

/// The objects that an overlay becomes.
pub fn objects(overlay: &Path) -> Vec<Value> {
    let work = WorkDir::new();
    read(&fs::read(render(&work, overlay)).expect("rendered"))
}

/// The objects of such a file.
pub fn read(text: &[u8]) -> Vec<Value> {
    let script = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)";
    let ran = run(Command::new(tool("venv/bin/python")).args(["-c", script]), text);
    assert!(ran.success, "{}", ran.stderr);
    serde_json::from_slice(&ran.stdout).expect("a list of objects")
}

/// What the schemas of a version say of these files.
pub fn validate(version: &str, files: &[PathBuf]) -> Ran {
    let mut command = Command::new(tool("venv/bin/kubernetes-validate"));
    run(command.args(["--quiet", "--strict", "--kubernetes-version", version]).args(files), b"")
}

/// A pod's template in a CronJob or a Deployment; nothing of any other object.
pub fn template(object: &Value) -> Option<&Value> {
    match object["kind"].as_str()? {
        "CronJob" => Some(&object["spec"]["jobTemplate"]["spec"]["template"]),
        "Deployment" => Some(&object["spec"]["template"]),
        _ => None,
    }
}

/// The objects of `k8s/base` and of each application's overlay, with where they are from.
pub fn all() -> Vec<(String, Vec<Value>)> {
    let apps = applications().into_iter().map(|app| format!("k8s/apps/{app}"));
    let places = apps.chain(["k8s/base".to_owned()]);
    places.map(|place| (place.clone(), objects(&project().join(&place)))).collect()
}

/// The pods of these objects, each with the name of what makes it.
pub fn pods(objects: &[Value]) -> Vec<(&str, &Value)> {
    objects.iter().filter_map(|object| Some((name(object), &template(object)?["spec"]))).collect()
}

/// What an object is called.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().expect("a name")
}
