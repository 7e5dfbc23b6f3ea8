//! Where a run meets its fault: every step is announced here before it is taken, and one of them may be armed.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::fault::{Fault, Kind, Step};

/// What happens to the process and the world around it; it is given bkp's process id.
pub type Strike = Box<dyn FnOnce(u32) + Send>;

/// Shared by all that stands between bkp and the world.
#[derive(Clone, Default)]
pub struct Trap(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    counts: BTreeMap<(Kind, String), usize>,
    seen: Vec<Step>,
    armed: Option<(Step, Fault, Option<Strike>)>,
    pid: Option<u32>,
    is_reached: bool,
    /// Whose line says nothing.
    silent: Option<Kind>,
    /// Counts the runs that were disturbed: who hangs on a line hangs until the next.
    round: usize,
}

impl Trap {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to count anew, with one step armed or none.
    pub fn set(&self, armed: Option<(Step, Fault, Strike)>) {
        let armed = armed.map(|(step, fault, strike)| (step, fault, Some(strike)));
        let mut state = self.state();
        *state = State { armed, round: state.round + 1, ..State::default() };
        drop(state);
        self.0.1.notify_all();
    }

    /// Lets everything go on that a fault holds.
    pub fn let_go(&self) {
        let mut state = self.state();
        (state.silent, state.round) = (None, state.round + 1);
        drop(state);
        self.0.1.notify_all();
    }

    /// Nothing passes a line of this kind until [`Self::let_go`].
    pub fn hush(&self, kind: Kind) {
        self.state().silent = Some(kind);
    }

    /// Waits until lines of this kind let something pass.
    pub fn pass(&self, kind: Kind) {
        let is_silent = |state: &mut State| state.silent == Some(kind);
        drop(self.0.1.wait_while(self.state(), is_silent));
    }

    /// Waits until everything goes on.
    pub fn hang(&self) {
        let state = self.state();
        let round = state.round;
        drop(self.0.1.wait_while(state, |state| state.round == round));
    }

    /// Says whom a strike hits.
    pub fn hits(&self, pid: u32) {
        self.state().pid = Some(pid);
        self.0.1.notify_all();
    }

    /// Whether the armed step was taken, and its fault happened.
    pub fn is_reached(&self) -> bool {
        self.state().is_reached
    }

    /// All steps so far.
    pub fn seen(&self) -> Vec<Step> {
        self.state().seen.clone()
    }

    /// A step is about to be taken; what it has to do itself. What happens to the world has happened on return.
    pub fn reach(&self, kind: Kind, name: &str) -> Option<Fault> {
        let mut state = self.state();
        let count = state.counts.entry((kind, name.to_owned())).or_default();
        *count += 1;
        let step = Step { kind, name: name.to_owned(), nth: *count };
        let (armed, fault, strike) = state.armed.as_mut().map_or((false, None, None), |(armed, fault, strike)| {
            if *armed == step { (true, Some(*fault), strike.take()) } else { (false, None, None) }
        });
        state.seen.push(step);
        if !armed {
            return None;
        }
        if fault.is_some_and(Fault::is_of_the_step) {
            state.is_reached = true;
            return fault;
        }
        // The first step may be taken before the test knows of the process.
        while state.pid.is_none() {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let pid = state.pid;
        state.is_reached = true;
        drop(state);
        if let (Some(strike), Some(pid)) = (strike, pid) {
            strike(pid);
        }
        None
    }

    /// Whether children have to tell of their ends: somebody counts, or waits for one.
    pub fn wants_ends(&self) -> bool {
        self.state().armed.as_ref().is_none_or(|(step, ..)| step.kind == Kind::Ends)
    }
}
