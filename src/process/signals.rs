//! INT, TERM and HUP, as what they ask of us.
//!
//! HUP is what a closed terminal and a lost connection send, the kernel and a shell perhaps one each: nobody insists by it. Whoever started us with
//! HUP ignored (`nohup`) wants us to go on without a terminal, and so it stays ignored.

use std::future::pending;

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// What a signal asks of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To clean up and end.
    ToEnd(Exit),
    /// To end at once: a person or the kubelet has asked for an end twice.
    AtOnce(Exit),
}

/// Hears them.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
    so_far: SoFar,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn listen() -> Result<Signals> {
        let hangup = (!ignores_hangup()).then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
            so_far: SoFar::default(),
        })
    }

    /// The next thing that is asked; one who is cancelled has missed nothing.
    pub async fn next(&mut self) -> Asked {
        loop {
            let hung_up = async {
                match &mut self.hangup {
                    Some(hangup) => hangup.recv().await,
                    None => pending().await,
                }
            };
            let exit = tokio::select! {
                _ = self.interrupt.recv() => Exit::Interrupted,
                _ = self.terminate.recv() => Exit::Terminated,
                _ = hung_up => Exit::HungUp,
            };
            if let Some(asked) = self.so_far.hear(exit) {
                return asked;
            }
        }
    }
}

#[derive(Default)]
struct SoFar {
    to_end: bool,
    by_hand: bool,
}

impl SoFar {
    /// What a signal means after those before it, if anything: only INT or TERM, for the second time, is more than the first one said.
    fn hear(&mut self, exit: Exit) -> Option<Asked> {
        let is_first = !std::mem::replace(&mut self.to_end, true);
        if exit != Exit::HungUp && std::mem::replace(&mut self.by_hand, true) {
            return Some(Asked::AtOnce(exit));
        }
        is_first.then_some(Asked::ToEnd(exit))
    }
}

/// Whether we were started with HUP ignored. Where nobody can tell, we were not.
fn ignores_hangup() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_hangup_in(&status))
}

/// The mask of what is ignored: the lowest bit is signal 1, which is HUP.
fn is_hangup_in(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_int_or_term_for_the_second_time_ends_at_once() {
        use Exit::{HungUp, Interrupted, Terminated};
        let heard = |signals: &[Exit]| {
            let mut so_far = SoFar::default();
            signals.iter().filter_map(|exit| so_far.hear(*exit)).collect::<Vec<_>>()
        };
        assert_eq!(heard(&[HungUp, HungUp, HungUp]), [Asked::ToEnd(HungUp)]);
        assert_eq!(heard(&[HungUp, Terminated]), [Asked::ToEnd(HungUp)]);
        assert_eq!(heard(&[HungUp, Terminated, Terminated]), [Asked::ToEnd(HungUp), Asked::AtOnce(Terminated)]);
        assert_eq!(heard(&[Interrupted, HungUp]), [Asked::ToEnd(Interrupted)]);
        assert_eq!(heard(&[Terminated, Interrupted]), [Asked::ToEnd(Terminated), Asked::AtOnce(Interrupted)]);
    }

    #[test]
    fn what_is_ignored_is_read_from_what_the_kernel_says() {
        for (mask, hangup) in [("0000000000000001", true), ("0000000000001001", true), ("0000000000001000", false)] {
            assert_eq!(is_hangup_in(&format!("Name:\tbkp\nSigIgn:\t{mask}\nSigCgt:\t1\n")), hangup, "{mask}");
        }
        assert!(!is_hangup_in(""));
    }
}
