//! What the API says of a Deployment or StatefulSet, and what to send: pure, so that every case is a test.
//!
//! The number of replicas and the note of what it was change in **one** patch, which the API takes only if nobody has changed the object
//! since it was read. So there is no moment at which it is at zero without a note, and nobody's change is overwritten unseen.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Failure, plain};
use crate::settings::scaled::Object;

/// Where on the object the note stands.
pub const ANNOTATION: &str = "bkp/paused";

/// Whom the API names as the owner of what we change.
pub const MANAGER: &str = "bkp";

const FORMAT: u32 = 1;

/// The longest part of a note that is shown.
const SHOWN: usize = 200;

/// What was there before the pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    format: u32,
    /// The application.
    pub app: String,
    /// The run that pauses.
    pub run: String,
    /// How many replicas were wanted before.
    pub replicas: u32,
}

/// One object, as far as a pause cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its identity: one that was deleted and made anew has another.
    pub uid: String,
    /// Which pods it looks for, as the API's query takes it.
    pub selector: String,
    /// How many replicas are wanted.
    pub wanted: u32,
    /// What a pause has noted.
    pub note: Option<Note>,
    /// Who else said last how many replicas are wanted; Kubernetes 1.20 does not tell of `kubectl scale` and of others that scale in its way.
    pub scaled_by: Option<String>,
    version: String,
    /// Whether its controller has seen what is wanted, and has no pods but those that end.
    pub is_settled_at_zero: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    metadata: Metadata,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    namespace: String,
    uid: String,
    resource_version: String,
    #[serde(default)]
    generation: i64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    managed_fields: Vec<Managed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Managed {
    #[serde(default)]
    manager: String,
    /// In RFC 3339 and UTC, so its order is that of text.
    #[serde(default)]
    time: String,
    #[serde(default, rename = "fieldsV1")]
    fields: Value,
}

#[derive(Deserialize)]
struct Spec {
    replicas: Option<u32>,
    selector: Selector,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Expression>,
}

#[derive(Deserialize)]
struct Expression {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    observed_generation: i64,
    #[serde(default)]
    replicas: u32,
}

impl Workload {
    /// Reads the API's answer.
    ///
    /// # Errors
    /// When it is not such an object, or its note is not one of ours.
    pub fn read(object: &Object, body: &[u8]) -> Result<Workload> {
        let told: Told =
            serde_json::from_slice(body).with_context(|| format!("what the Kubernetes API says of {object}"))?;
        let Metadata { namespace, uid, resource_version, generation, annotations, managed_fields } = told.metadata;
        let note = annotations.get(ANNOTATION).map(|text| read_note(object, &namespace, text)).transpose()?;
        // The API's default, should it ever leave it out.
        let wanted = told.spec.replicas.unwrap_or(1);
        Ok(Workload {
            uid,
            selector: told.spec.selector.query(),
            wanted,
            note,
            scaled_by: scaler(&managed_fields),
            version: resource_version,
            is_settled_at_zero: wanted == 0
                && told.status.observed_generation >= generation
                && told.status.replicas == 0,
        })
    }

    /// Its state is ours to change: it has no note, or one of this application. The application's lock is held, so another run's is a
    /// dead one's.
    ///
    /// # Errors
    /// When another application has paused it.
    pub fn hold(&self, object: &Object, app: &str, run: &str) -> Result<Hold> {
        if let Some(note) = self.note.as_ref().filter(|note| note.app != app) {
            bail!(Failure::new(format!("{object} is paused by run {} of application {}", note.run, note.app)).hint(
                format!("wait for that run; if it is dead, its next start or its bkp resume gives {object} back")
            ));
        }
        let replicas = match (&self.note, self.wanted) {
            (None, 0) => return Ok(Hold::Idle),
            (Some(note), 0) if note.run == run => return Ok(Hold::Held),
            // What it had before the first of them.
            (Some(note), _) => note.replicas,
            (None, wanted) => wanted,
        };
        let note = Note { format: FORMAT, app: app.to_owned(), run: run.to_owned(), replicas };
        let text = serde_json::to_string(&note).context("writing the note of a pause")?;
        Ok(Hold::Scale { patch: self.patch(Some(text), Some(0)), from: self.wanted, was: replicas })
    }

    /// What gives back what this application has paused. `known` is how many replicas there were, if this very process scaled it: who
    /// replaces the whole object, or tidies up annotations, takes the note away.
    pub fn release(&self, app: &str, known: Option<u32>) -> Release {
        let was = match &self.note {
            Some(note) => Some(note.replicas).filter(|_| note.app == app),
            None => known,
        };
        match was {
            Some(to) if self.wanted == 0 => Release::Back { patch: self.patch(None, Some(to)), to },
            Some(_) => Release::AsFound { patch: self.patch(None, None) },
            None => Release::Nothing,
        }
    }

    /// A patch that changes nothing.
    pub fn unchanged(&self) -> Value {
        json!({"metadata": {"resourceVersion": self.version}})
    }

    /// Who scaled it meanwhile, in words.
    pub fn scaler(&self) -> &str {
        self.scaled_by.as_deref().unwrap_or("somebody")
    }

    fn patch(&self, note: Option<String>, replicas: Option<u32>) -> Value {
        let mut patch = json!({"metadata": {"resourceVersion": self.version, "annotations": {ANNOTATION: note}}});
        if let Some(replicas) = replicas {
            patch["spec"] = json!({"replicas": replicas});
        }
        patch
    }
}

/// What a pause does with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Sends this.
    Scale {
        /// The patch.
        patch: Value,
        /// How many replicas are wanted now; zero if a dead run scaled it.
        from: u32,
        /// How many are wanted when it is given back.
        was: u32,
    },
    /// Nothing: this run has scaled it.
    Held,
    /// Nothing: somebody keeps it at zero, and goes on doing so.
    Idle,
}

/// What a resume does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// Sends this, which scales it back.
    Back {
        /// The patch.
        patch: Value,
        /// How many replicas it has again.
        to: u32,
    },
    /// Sends this, which only takes the note away: somebody scaled it meanwhile, and knows why.
    AsFound {
        /// The patch.
        patch: Value,
    },
    /// Nothing: it is not ours.
    Nothing,
}

/// The note. One that cannot be read is shown, since only a person can tell now how many replicas there were.
fn read_note(object: &Object, namespace: &str, text: &str) -> Result<Note> {
    let fault = match serde_json::from_str::<Note>(text) {
        Ok(note) if note.format == FORMAT => return Ok(note),
        Ok(note) => anyhow!("it is of form {}, and this program knows form {FORMAT}", note.format),
        Err(error) => error.into(),
    };
    let shown: String = plain(text).chars().take(SHOWN).collect();
    let kubectl = format!("kubectl -n {namespace}");
    let hint = format!(
        "if it is at zero, give it the replicas that it had: {kubectl} scale {object} --replicas=NUMBER; then take the note away: {kubectl} annotate {object} {ANNOTATION}-"
    );
    Err(Failure::new(format!("the annotation {ANNOTATION} of {object} is none of this program's: {shown}"))
        .hint(hint)
        .because(fault)
        .into())
}

/// Who else owns the number of replicas, the latest of them.
fn scaler(managed: &[Managed]) -> Option<String> {
    let owners =
        managed.iter().filter(|entry| entry.manager != MANAGER && entry.fields["f:spec"].get("f:replicas").is_some());
    owners.max_by(|a, b| a.time.cmp(&b.time)).map(|entry| entry.manager.clone())
}

impl Selector {
    /// As `labelSelector` in a query, before it is escaped.
    fn query(&self) -> String {
        let labels = self.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
        let expressions = self.match_expressions.iter().map(|Expression { key, operator, values }| {
            let values = values.join(",");
            match operator.as_str() {
                "In" => format!("{key} in ({values})"),
                "NotIn" => format!("{key} notin ({values})"),
                "DoesNotExist" => format!("!{key}"),
                _ => key.clone(),
            }
        });
        labels.chain(expressions).collect::<Vec<_>>().join(",")
    }
}
