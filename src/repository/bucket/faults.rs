//! Faults between a test and a store: at one act of a run the store refuses, does it and its answer is lost, or whoever asked dies
//! or is held up there. The acts that really happened are written down.

use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::error::StoreError;

/// What is asked of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    List,
    Read,
    /// An upload of this name begins.
    Create(String),
    Write,
    /// What is under this name appears.
    Commit(String),
    Delete(String),
}

/// What happens at an act instead of what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and the store says so.
    Refused,
    /// It is done, and the store's answer does not arrive.
    AnswerLost,
    /// Whoever asks is not there any more; nothing is done.
    Death,
    /// Whoever asks is not there any more; it is done.
    DeathAfter,
    /// Nothing is done before [`Faults::go_on`].
    Held,
}

/// What one run meets. Clones are the same.
#[derive(Clone, Default)]
pub struct Faults(Arc<Planned>);

#[derive(Default)]
struct Planned {
    plan: Mutex<Plan>,
    /// The run is dead, or held up.
    stopped: Notify,
    goes_on: Notify,
}

#[derive(Default)]
struct Plan {
    /// How many acts come before the fault.
    before: usize,
    fault: Option<Fault>,
    happened: Vec<Asked>,
    was_met: bool,
}

impl Faults {
    /// A fault at the act that comes after so many others.
    pub fn after(before: usize, fault: Fault) -> Faults {
        let faults = Faults::default();
        (faults.plan().before, faults.plan().fault) = (before, Some(fault));
        faults
    }

    /// The acts that happened, in order, since this was asked last.
    pub fn happened(&self) -> Vec<Asked> {
        std::mem::take(&mut self.plan().happened)
    }

    /// Whether the fault was met: a fault that lies behind a run's last act is none.
    pub fn was_met(&self) -> bool {
        self.plan().was_met
    }

    /// Waits until the run is dead or held up.
    pub async fn stopped(&self) {
        self.0.stopped.notified().await;
    }

    /// Lets a run go on that is held up.
    pub fn go_on(&self) {
        self.0.goes_on.notify_one();
    }

    /// Does what is asked, or what is planned.
    pub(super) async fn around<T>(
        &self,
        act: Asked,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let lost = |how: &str| StoreError::Unavailable { what: format!("made up: {how}"), cause: None };
        let fault = self.next();
        match fault {
            Some(Fault::Refused) => return Err(lost("refused")),
            Some(Fault::Death) => self.die().await,
            Some(Fault::Held) => {
                self.0.stopped.notify_one();
                self.0.goes_on.notified().await;
            }
            Some(Fault::AnswerLost | Fault::DeathAfter) | None => {}
        }
        let done = asked.await?;
        self.plan().happened.push(act);
        match fault {
            Some(Fault::AnswerLost) => Err(lost("its answer is lost")),
            Some(Fault::DeathAfter) => {
                self.die().await;
                Ok(done)
            }
            _ => Ok(done),
        }
    }

    async fn die(&self) {
        self.0.stopped.notify_one();
        pending::<()>().await;
    }

    fn next(&self) -> Option<Fault> {
        let mut plan = self.plan();
        if plan.before == 0 {
            let fault = plan.fault.take();
            plan.was_met |= fault.is_some();
            return fault;
        }
        plan.before -= 1;
        None
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
