//! What an answer of the API that is no success means, and what the operator does about it.

use serde::Deserialize;

use crate::error::Failure;
use crate::settings::scaled::Object;

/// One question to the API.
#[derive(Debug, Clone)]
pub enum Ask<'a> {
    /// How an object is.
    Look(&'a Object),
    /// To change it.
    Change(&'a Object),
    /// What a change of it would say, without doing it.
    Rehearse(&'a Object),
    /// Its pods.
    Pods(&'a Object),
}

impl Ask<'_> {
    /// What is asked, for a message.
    pub fn what(&self) -> String {
        match self {
            Ask::Look(object) => format!("looking at {object}"),
            Ask::Change(object) | Ask::Rehearse(object) => format!("scaling {object}"),
            Ask::Pods(object) => format!("looking for the pods of {object}"),
        }
    }

    /// The rule that a Role must have for it.
    pub fn rule(&self) -> String {
        let (group, resource, verb, name) = match self {
            Ask::Look(object) => ("apps", object.kind.resource(), "get", Some(&object.name)),
            Ask::Change(object) | Ask::Rehearse(object) => {
                ("apps", object.kind.resource(), "patch", Some(&object.name))
            }
            Ask::Pods(_) => ("", "pods", "list", None),
        };
        let names = name.map(|name| format!(", resourceNames: [\"{name}\"]")).unwrap_or_default();
        format!("{{apiGroups: [\"{group}\"], resources: [\"{resource}\"]{names}, verbs: [\"{verb}\"]}}")
    }
}

/// What to do after an answer that is no success.
#[derive(Debug)]
pub enum Refused {
    /// Ask again a little later: nothing is wrong with the question.
    Passing(String),
    /// Ask again with a token that is read anew; for good after a few times.
    Token(Failure),
    /// Read the object again and decide anew: somebody changed it meanwhile.
    Conflict,
    /// There is no such object.
    Missing(Failure),
    /// It cannot be rehearsed: only doing it tells.
    Unrehearsed,
    /// Give up.
    Final(Failure),
}

/// The API's own form of an error, as far as it tells something.
#[derive(Deserialize)]
struct Status {
    kind: String,
    #[serde(default)]
    message: String,
}

/// Reads an answer whose code is no success.
pub fn refused(ask: &Ask<'_>, namespace: &str, code: u16, body: &[u8]) -> Refused {
    let words = words(code, body);
    let failure = || Failure::new(format!("the Kubernetes API refuses {}: {words}", ask.what()));
    match code {
        401 => Refused::Token(failure().hint(
            "the pod's service account is not accepted: look whether it was deleted or made anew, then start the pod anew",
        )),
        // An admission webhook that would do something elsewhere.
        400 if matches!(ask, Ask::Rehearse(_)) && words.contains("does not support dry run") => Refused::Unrehearsed,
        // Every authorizer's refusal is worded so by the API server; the rest is said by what admits changes.
        403 if !words.contains(" cannot ") => Refused::Final(
            failure().hint("a policy of the cluster refuses it: let that policy allow it, or take it out of BKP_QUIESCE"),
        ),
        403 => Refused::Final(failure().hint(format!(
            "give the pod's service account a Role in namespace {namespace} with the rule {}",
            ask.rule()
        ))),
        404 => Refused::Missing(
            failure().hint(format!("correct BKP_QUIESCE: it names what is not in namespace {namespace}")),
        ),
        409 => Refused::Conflict,
        408 | 429 | 500 | 502..=504 => Refused::Passing(words),
        _ => Refused::Final(failure()),
    }
}

/// What it says of itself, on one line; never more than a line of what some proxy between says.
fn words(code: u16, body: &[u8]) -> String {
    match serde_json::from_slice::<Status>(body) {
        Ok(status) if status.kind == "Status" && !status.message.is_empty() => {
            format!("{} ({code})", status.message.lines().collect::<Vec<_>>().join(" "))
        }
        _ => format!("it answers {code}"),
    }
}
