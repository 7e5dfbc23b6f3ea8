//! Deployments and StatefulSets scaled to zero and given back, by way of a stand-in for the Kubernetes API that commits faults.

mod deaths;
mod faults;
mod pauses;

use std::time::Duration;

use bkp::pause::{Config, Scaled};
use bkp::settings::pause::Cluster;
use bkp::settings::scaled::{Kind, Object};
use serde_json::json;

use crate::support::kube::Kube;
use crate::support::workdir::WorkDir;

/// Runs to its end, or fails the test.
fn within<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), work).await }).expect("it hangs")
}

/// A pause of both objects, quick and of little patience.
fn config(kube: &Kube, work: &WorkDir) -> Config {
    let object = |kind, name: &str| Object { kind, name: name.to_owned() };
    Config {
        app: "shop".to_owned(),
        maintenance: None,
        commands: None,
        scaled: Some(Scaled {
            objects: vec![object(Kind::Deployment, "web"), object(Kind::StatefulSet, "queue")],
            cluster: Cluster { host: Some("127.0.0.1".to_owned()), port: kube.port(), account_dir: kube.account() },
            wait: Duration::from_secs(20),
            patience: Duration::from_secs(5),
            patience_back: Duration::from_secs(5),
            pace: Duration::from_millis(20),
            changing: std::sync::Arc::default(),
        }),
        state: work.join("state"),
        limit: Duration::from_secs(5),
        environment: Vec::new(),
    }
}

/// Both objects are as they were before anybody paused them.
#[track_caller]
fn is_as_before(kube: &Kube) {
    assert_eq!((kube.object("web"), kube.object("queue")), ((3, None), (2, None)));
}

/// Both are at zero, noted by that run.
#[track_caller]
fn is_paused(kube: &Kube, run: &str) {
    let note = |replicas: u32| Some(json!({"format": 1, "app": "shop", "run": run, "replicas": replicas}));
    assert_eq!((kube.object("web"), kube.object("queue")), ((0, note(3)), (0, note(2))));
}
