//! `bkp wait`: the entrypoint that idles, so that an operator can `kubectl exec` a command beside it. As process 1 it reaps what
//! such commands leave behind.
//!
//! It ends on TERM, INT or HUP: at once when nothing runs beside it. As process 1 it is the only one that the kubelet tells of a pod's end, and
//! its own end is death to all others: so it passes TERM on to the commands of bkp beside it, and stays until they have cleaned up.
//! TERM or INT for the second time ends it at once, and so does the kubelet when the pod's grace period is over.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Result;
use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;
use crate::process::{self, Signals};

/// How often is looked whether the others are gone. They are not our children: nothing tells us.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Idles until a signal ends it, and what runs beside it.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub async fn wait_for_signal() -> Result<Exit> {
    let mut heard = Heard { child: signal(SignalKind::child())?, signals: Signals::listen()? };
    tracing::info!("idle; run commands beside me, for example: kubectl exec -it deploy/backup-restore -- bkp restore");
    heard.an_end().await;
    if process::is_first() {
        tokio::select! {
            () = end_those_beside() => {}
            () = heard.an_end() => tracing::warn!("asked to stop once more; what runs beside me is killed with me"),
        }
    }
    Ok(Exit::Done)
}

struct Heard {
    child: Signal,
    signals: Signals,
}

impl Heard {
    /// Reaps until somebody wants an end; when that was so, until one is wanted at once.
    async fn an_end(&mut self) {
        loop {
            tokio::select! {
                _ = self.child.recv() => while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {},
                _ = self.signals.next() => return,
            }
        }
    }
}

/// Asks each command beside us once to end, those too that a script starts meanwhile, until there is none.
async fn end_those_beside() {
    let mut asked = HashSet::new();
    loop {
        let mut left = 0;
        for other in process::beside() {
            if asked.insert(other.process) {
                let who = format!("`{}` (process {})", other.line, other.process.as_raw_nonzero());
                match other.ask_to_end() {
                    Ok(true) => {
                        tracing::warn!("asked to stop; passed on to {who}, and waiting until it has cleaned up")
                    }
                    Ok(false) => continue,
                    Err(error) => tracing::warn!("asked to stop; {who} cannot be told: {error}"),
                }
            }
            left += 1;
        }
        if left == 0 {
            if !asked.is_empty() {
                tracing::info!("what ran beside me has ended");
            }
            return;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
