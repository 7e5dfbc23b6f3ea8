//! Which of the pods that a selector finds belong to an object, and still run.
//!
//! A selector alone is not enough: bkp's own pod may bear the application's labels, and would wait for itself.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::settings::scaled::{Kind, Object};

/// A pod that is not gone yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    node: Option<String>,
    is_ending: bool,
}

/// The most that a host name holds of a pod's name.
const HOST_NAME: usize = 63;

impl Pod {
    /// Whether it is the one that calls itself so: its host name is its name, cut off where that is too long.
    pub fn is_host(&self, host: &str) -> bool {
        match self.name.get(..HOST_NAME) {
            Some(cut) => cut.trim_end_matches(['-', '.']) == host,
            None => self.name == host,
        }
    }
}

/// For a message: which, where, and whether anybody has told it to end.
impl std::fmt::Display for Pod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = if self.is_ending { "ending" } else { "running" };
        match &self.node {
            Some(node) => write!(f, "{} ({state} on {node})", self.name),
            None => write!(f, "{} ({state})", self.name),
        }
    }
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    items: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    owner_references: Vec<Owner>,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Owner {
    kind: String,
    name: String,
    uid: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    phase: String,
}

/// Those of the list that are the object's own and may still do something.
///
/// # Errors
/// When it is no list of pods.
pub fn alive(object: &Object, uid: &str, body: &[u8]) -> Result<Vec<Pod>> {
    let list: List = serde_json::from_slice(body)
        .with_context(|| format!("what the Kubernetes API says of the pods of {object}"))?;
    let alive = list.items.into_iter().filter(|pod| is_of(object, uid, &pod.metadata) && !is_over(&pod.status));
    Ok(alive
        .map(|pod| Pod {
            name: pod.metadata.name,
            node: pod.spec.node_name,
            is_ending: pod.metadata.deletion_timestamp.is_some(),
        })
        .collect())
}

/// A Deployment's pods belong to its ReplicaSets, whose names are made of its own and of a hash that the pods bear too.
fn is_of(object: &Object, uid: &str, pod: &Metadata) -> bool {
    let set = pod.labels.get("pod-template-hash").map(|hash| format!("{}-{hash}", object.name));
    pod.owner_references.iter().any(|owner| match object.kind {
        Kind::StatefulSet => owner.kind == "StatefulSet" && owner.uid == uid,
        Kind::Deployment => owner.kind == "ReplicaSet" && Some(&owner.name) == set.as_ref(),
    })
}

/// All its containers have ended. A pod whose node is lost is `Unknown` or as it was, and may still write.
fn is_over(status: &Status) -> bool {
    matches!(status.phase.as_str(), "Succeeded" | "Failed")
}
