//! `bkp wait`: the entrypoint that idles, so that an operator can `kubectl exec` a command beside it. As process 1 it reaps what
//! such commands leave behind, and it ends at once on TERM.

use anyhow::Result;
use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;

/// Idles until a signal ends it.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub async fn wait_for_signal() -> Result<Exit> {
    let mut child = signal(SignalKind::child())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tracing::info!("idle; run commands beside me, for example: kubectl exec -it deploy/backup-restore -- bkp restore");
    loop {
        tokio::select! {
            _ = child.recv() => while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {},
            _ = interrupt.recv() => return Ok(Exit::Done),
            _ = terminate.recv() => return Ok(Exit::Done),
        }
    }
}
