//! The manifests of `k8s/` as kustomize renders them: valid in several versions of Kubernetes, as shut in as they can be, and of
//! one mind with the images. `make test-kubernetes` gives them to a cluster.

mod chart;
mod examples;
mod field;
mod manifests;
mod pages;
mod pods;
mod quiesce;

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::parts;
use crate::support::workdir::WorkDir;

use manifests::{overlays, project, render, validate};

/// The oldest that CronJobs of `batch/v1` and these fields are meant for, one between, and the newest that there are schemas of.
const VERSIONS: [&str; 3] = ["1.25", "1.32", "1.37"];

#[test]
fn every_manifest_is_valid_in_old_and_new_versions_of_kubernetes() {
    let work = WorkDir::new();
    let rendered: Vec<PathBuf> = overlays().iter().map(|overlay| render(&work, overlay)).collect();
    for version in VERSIONS {
        let ran = validate(version, &rendered);
        assert!(ran.success, "{version}: {}{}", ran.text(), ran.stderr);
    }
}

#[test]
fn a_fault_in_a_manifest_is_found() {
    let work = WorkDir::new();
    let rendered = render(&work, &project().join("k8s/base"));
    let text = fs::read_to_string(&rendered).expect("rendered");
    let wrong = work.file("wrong.yaml", text.replace("concurrencyPolicy", "concurencyPolicy"));
    assert!(!validate(VERSIONS[0], &[wrong]).success);
}

#[test]
fn each_old_name_in_the_image_is_one_that_bkp_answers_to() {
    let dockerfile = fs::read_to_string(project().join("images/Dockerfile")).expect("the Dockerfile");
    let names: Vec<&str> = dockerfile
        .split(|character: char| character.is_whitespace() || character == ';')
        .filter(|word| Path::new(word).extension().is_some_and(|kind| kind == "sh" || kind == "bb"))
        .collect();
    assert_eq!(names.len(), 14, "{names:?}");
    for name in names {
        assert!(bkp::aliases::arguments(name.as_ref(), &[]).is_some(), "{name}");
    }
}

/// A program of those that `tests/support/install-manifest-tools` fetched.
fn tool(name: &str) -> PathBuf {
    let program = parts::cache().join("manifest-tools").join(name);
    assert!(program.exists(), "no {}: run `make install-parts`", program.display());
    program
}
