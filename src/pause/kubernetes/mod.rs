//! Deployments and StatefulSets scaled to zero through the Kubernetes API, and back to what they were.
//!
//! What they were stands in an annotation on each ([`seen::ANNOTATION`]), which is written and removed together with the number of
//! replicas, in one act: so any pod, after any death, finds what is to be given back where it must be given back.
//!
//! A HorizontalPodAutoscaler leaves alone what is at zero, and goes on when it is scaled back. Whoever else scales an object meanwhile (a
//! GitOps tool that knows another number, an operator) is named, and then:
//! - while its pods are waited for, and before a restore puts its work in the application's place, it is scaled to zero again, at most
//!   [`AGAIN`] times; if that does not help, the run fails, and nothing is exchanged;
//! - when it is given back, it stays as it is found, and only the annotation goes.

mod answer;
mod api;
mod pods;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use self::api::{Api, Unanswered};
use self::pods::Pod;
use self::seen::{Hold, Release, Workload};
use crate::error::{self, Failure};
use crate::settings::pause::Cluster;
use crate::settings::scaled::{Kind, Object};

/// How often an object that somebody scales again is scaled to zero again.
const AGAIN: u32 = 3;

/// How often a change is decided anew because somebody else changed the object meanwhile; its controller does so many times as it starts or ends pods.
const DECISIONS: u32 = 20;

/// What to do when pods do not go.
const NOT_GONE: &str = "wait longer with BKP_QUIESCE_WAIT; a pod on a node that is lost goes when the node is back, or is deleted from the cluster";

/// The same for StatefulSets. A controller ends their pods one by one, from the last, and waits where one is not ready that has such a one before it.
const NOT_READY: &str = "pods of a StatefulSet that are not ready keep each other from ending: kubectl delete pod them, or let it have podManagementPolicy: Parallel";

/// What is scaled, where, and how long everything may take.
#[derive(Debug, Clone)]
pub struct Scaled {
    /// What, in the order of the pause; it is given back in reverse.
    pub objects: Vec<Object>,
    /// The API.
    pub cluster: Cluster,
    /// The longest that pods may take to be gone.
    pub wait: Duration,
    /// How long a question is repeated that the API cannot answer.
    pub patience: Duration,
    /// The same where the application is given back, or a restore's work is done: worth more than a prompt failure.
    pub patience_back: Duration,
    /// How often pods are looked for.
    pub pace: Duration,
    /// Held while a change is under way: one whose run is cancelled still arrives, and must not do so after it was given back.
    pub changing: Arc<Mutex<Known>>,
}

/// What this process has scaled to zero, and how many replicas there were: for a note that somebody takes away.
pub type Known = BTreeMap<String, u32>;

/// What a dead run left scaled to zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The object.
    pub object: Object,
    /// The run.
    pub run: String,
}

/// What a rehearsal does with an object that is at zero already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Nothing: a pause would not change it.
    LetBe,
    /// It tries the right all the same: another night it runs.
    TryToo,
}

/// How one object stands, of those that are waited for.
enum Standing {
    /// At zero, and no pod of it is there.
    Gone,
    /// At zero, with these pods; or its controller has not looked yet.
    Ending(Vec<Pod>),
    /// Somebody has scaled it.
    Again(Box<Workload>),
}

impl Scaled {
    /// Finds everything that would keep the objects from being scaled; changes nothing.
    ///
    /// # Errors
    /// All that there is, at once.
    pub async fn ready(&self, app: &str, run: &str) -> Result<()> {
        let answers = self.rehearse(app, run, Idle::LetBe).await?;
        let faults: Vec<anyhow::Error> = answers.into_iter().filter_map(|(_, answer)| answer.err()).collect();
        all_well(&faults).with_context(|| format!("application {app} cannot be scaled to zero"))
    }

    /// Rehearses what a pause would send: the API judges it and does nothing. One answer for each object, in order.
    ///
    /// # Errors
    /// When the API cannot be opened.
    pub async fn rehearse(&self, app: &str, run: &str, idle: Idle) -> Result<Vec<(Object, Result<()>)>> {
        let api = Api::open(&self.cluster, self.patience)?;
        let mut answers = Vec::new();
        for object in &self.objects {
            answers.push((object.clone(), ready(&api, object, app, run, idle).await));
        }
        Ok(answers)
    }

    /// Scales all to zero and waits until their pods are gone. May be cancelled.
    ///
    /// # Errors
    /// When that cannot be done, or not in time.
    pub async fn hold(&self, app: &str, run: &str) -> Result<()> {
        let api = Api::open(&self.cluster, self.patience)?;
        for object in &self.objects {
            match self.scale_to_zero(&api, object, app, run).await? {
                Some(0) | None => {}
                Some(from) => tracing::info!("scaled {object} from {from} to 0"),
            }
        }
        self.until_gone(&api, app, run).await
    }

    /// The same again for what somebody has scaled since.
    ///
    /// # Errors
    /// When it cannot be brought to rest again.
    pub async fn still(&self, app: &str, run: &str) -> Result<()> {
        // Hours of work hang on it.
        let api = Api::open(&self.cluster, self.patience_back)?;
        self.until_gone(&api, app, run).await
    }

    /// Scales back whatever of this application is paused; every object is tried. Never cancel it.
    ///
    /// # Errors
    /// All of what could not be given back; its annotation stays.
    pub async fn release(&self, app: &str) -> Result<()> {
        // Has a limit, since every change has one.
        let settled = self.changing.lock().await;
        drop(settled);
        let api = Api::open(&self.cluster, self.patience_back)?;
        let mut faults = Vec::new();
        for object in self.objects.iter().rev() {
            faults.extend(self.give_back(&api, object, app).await.err());
        }
        all_well(&faults)
    }

    /// What dead runs of this application left, and why something could not be looked at: that keeps nothing else from being given back.
    /// The application's lock is held.
    pub async fn left(&self, app: &str) -> (Vec<Left>, Vec<anyhow::Error>) {
        let api = match Api::open(&self.cluster, self.patience) {
            Ok(api) => api,
            Err(error) => return (Vec::new(), vec![error]),
        };
        let (mut left, mut faults) = (Vec::new(), Vec::new());
        for object in &self.objects {
            match api.look(object).await {
                Ok(workload) => {
                    let note = workload.note.filter(|note| note.app == app);
                    left.extend(note.map(|note| Left { object: object.clone(), run: note.run }));
                }
                // What is not there is not paused.
                Err(Unanswered::Missing(_)) => {}
                Err(unanswered) => faults.push(unanswered.into()),
            }
        }
        (left, faults)
    }

    /// Scales one to zero, and says how many replicas it had; nothing where it is at zero without us.
    async fn scale_to_zero(&self, api: &Api, object: &Object, app: &str, run: &str) -> Result<Option<u32>> {
        for _ in 0..DECISIONS {
            let Hold::Scale { patch, from, was } = api.look(object).await?.hold(object, app, run)? else {
                return Ok(None);
            };
            match self.change(api, object, patch, Some(was)).await {
                Err(Unanswered::Conflict) => {}
                changed => return Ok(changed.map(|()| Some(from))?),
            }
        }
        Err(anyhow::Error::from(Unanswered::Conflict).context(format!("scaling {object}")))
    }

    /// Sends a change to its end, whatever becomes of whoever asks for it. `was` is what it had, if this scales it to zero.
    async fn change(
        &self,
        api: &Api,
        object: &Object,
        patch: serde_json::Value,
        was: Option<u32>,
    ) -> Result<(), Unanswered> {
        let mut known = self.changing.clone().lock_owned().await;
        let (api, object) = (api.clone(), object.clone());
        let sent = tokio::spawn(async move {
            let changed = api.change(&object, &patch).await;
            match was {
                // No answer is no proof that it did not arrive.
                Some(was) if !matches!(changed, Err(Unanswered::Conflict)) => known.insert(object.to_string(), was),
                None if changed.is_ok() => known.remove(&object.to_string()),
                _ => None,
            };
            changed
        });
        sent.await.map_err(|error| Unanswered::Failed(error.into()))?
    }

    async fn until_gone(&self, api: &Api, app: &str, run: &str) -> Result<()> {
        let until = Instant::now() + self.wait;
        let mut again = vec![0; self.objects.len()];
        let mut is_told = false;
        loop {
            let mut waiting = Vec::new();
            for (object, again) in self.objects.iter().zip(&mut again) {
                match standing(api, object, app, run).await? {
                    Standing::Gone => {}
                    Standing::Ending(pods) => waiting.push(shown(object, &pods)),
                    Standing::Again(workload) => {
                        *again += 1;
                        self.again(api, object, &workload, *again, (app, run)).await?;
                        waiting.push(shown(object, &[]));
                    }
                }
            }
            if waiting.is_empty() {
                return Ok(());
            }
            let waiting = waiting.join("; ");
            if Instant::now() >= until {
                return Err(Failure::new(format!("not gone after {} s: {waiting}", self.wait.as_secs()))
                    .hints([NOT_GONE].into_iter().chain(self.has_sets().then_some(NOT_READY)))
                    .into());
            }
            if !std::mem::replace(&mut is_told, true) {
                tracing::info!("waiting for pods to be gone, {} s at most: {waiting}", self.wait.as_secs());
            }
            sleep(self.pace).await;
        }
    }

    fn has_sets(&self) -> bool {
        self.objects.iter().any(|object| object.kind == Kind::StatefulSet)
    }

    async fn again(
        &self,
        api: &Api,
        object: &Object,
        seen: &Workload,
        times: u32,
        (app, run): (&str, &str),
    ) -> Result<()> {
        let (who, wanted) = (seen.scaler(), seen.wanted);
        if times > AGAIN {
            bail!(
                Failure::new(format!("{object} does not stay at zero: {who} scaled it to {wanted} again")).hint(format!(
                    "suspend what scales it while the application is paused, or let it not care for the replicas of {object}"
                ))
            );
        }
        tracing::warn!("{object} was scaled to {wanted} by {who} while it is paused; scaling it to zero again");
        self.scale_to_zero(api, object, app, run).await.map(|_| ())
    }

    async fn give_back(&self, api: &Api, object: &Object, app: &str) -> Result<()> {
        for _ in 0..DECISIONS {
            let workload = match api.look(object).await {
                Ok(workload) => workload,
                Err(Unanswered::Missing(_)) => {
                    tracing::warn!("{object} is not there any more, so it is not scaled back");
                    return Ok(());
                }
                Err(unanswered) => return Err(unanswered.into()),
            };
            let known = self.changing.lock().await.get(&object.to_string()).copied();
            let (patch, to) = match workload.release(app, known) {
                Release::Nothing => return Ok(()),
                Release::Back { patch, to } => (patch, Some(to)),
                Release::AsFound { patch } => (patch, None),
            };
            match (self.change(api, object, patch, None).await, to) {
                (Err(Unanswered::Conflict), _) => {}
                (Err(unanswered), _) => return Err(unanswered.into()),
                (Ok(()), Some(to)) => {
                    if workload.note.is_none() {
                        tracing::warn!("somebody took the note away from {object} while it was paused");
                    }
                    tracing::info!("scaled {object} back to {to}");
                    return Ok(());
                }
                (Ok(()), None) => {
                    let (who, wanted) = (workload.scaler(), workload.wanted);
                    tracing::warn!(
                        "{object} was scaled to {wanted} by {who} while it was paused, and stays so: it was not at rest all the time"
                    );
                    return Ok(());
                }
            }
        }
        Err(anyhow::Error::from(Unanswered::Conflict).context(format!("scaling {object} back")))
    }
}

/// All faults of several objects as one.
///
/// # Errors
/// When there is any.
pub fn all_well(faults: &[anyhow::Error]) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = faults.iter().map(|fault| format!("{fault:#}")).collect();
    Err(Failure::new(told.join("; ")).hints(faults.iter().flat_map(error::hints_of)).into())
}

async fn ready(api: &Api, object: &Object, app: &str, run: &str, idle: Idle) -> Result<()> {
    let workload = api.look(object).await?;
    let patch = match workload.hold(object, app, run)? {
        Hold::Scale { patch, .. } => Some(patch),
        Hold::Held | Hold::Idle => (idle == Idle::TryToo).then(|| workload.unchanged()),
    };
    if let Some(patch) = patch {
        api.rehearse(object, &patch).await?;
    }
    let pods = api.pods(object, &workload).await?;
    let own = rustix::system::uname();
    if pods.iter().any(|pod| pod.is_host(&own.nodename().to_string_lossy())) {
        bail!(
            Failure::new(format!("{object} is what this pod belongs to: scaled to zero, nobody would scale it back"))
                .hint("take it out of BKP_QUIESCE")
        );
    }
    Ok(())
}

async fn standing(api: &Api, object: &Object, app: &str, run: &str) -> Result<Standing> {
    let workload = api.look(object).await?;
    workload.hold(object, app, run)?;
    if workload.wanted > 0 {
        return Ok(Standing::Again(Box::new(workload)));
    }
    let pods = api.pods(object, &workload).await?;
    Ok(if pods.is_empty() && workload.is_settled_at_zero { Standing::Gone } else { Standing::Ending(pods) })
}

fn shown(object: &Object, pods: &[Pod]) -> String {
    match pods {
        [] => format!("{object}, whose controller has not looked yet"),
        _ => format!("{object}: {}", pods.iter().map(Pod::to_string).collect::<Vec<_>>().join(", ")),
    }
}
