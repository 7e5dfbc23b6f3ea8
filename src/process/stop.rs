//! INT, TERM and HUP: the first asks every step to end and clean up; INT or TERM for the second time ends at once.

use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;

use super::signals::{Asked, Signals};
use crate::error::Failure;
use crate::exit::Exit;

/// How long a step may go on after a stop was asked for. A pod has 30 seconds for everything, and some of it is two steps.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells a run that a person or the kubelet wants it to end, or that the terminal of whoever started it is gone.
#[derive(Clone)]
pub struct Stop(watch::Receiver<Option<Exit>>);

impl Stop {
    /// Listens for INT, TERM and HUP from now on. INT or TERM for the second time ends the process without cleaning up:
    /// whoever asks twice means it, and the next run repairs.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    #[expect(clippy::disallowed_methods, reason = "who signals twice does not want to wait for main")]
    pub fn on_signals() -> Result<Stop> {
        let (tell, told) = watch::channel(None);
        let mut signals = Signals::listen()?;
        tokio::spawn(async move {
            loop {
                let exit = match signals.next().await {
                    Asked::ToEnd(exit) => exit,
                    Asked::AtOnce(exit) => std::process::exit(i32::from(exit.code())),
                };
                // What comes of it is told at the end: no warning, which would be told there, too.
                tracing::info!("asked to stop; cleaning up");
                let _ = tell.send(Some(exit));
            }
        });
        Ok(Stop(told))
    }

    /// Runs a step, or drops it (which kills its children) when asked to stop.
    ///
    /// # Errors
    /// The step's own, or a failure with exit code 129, 130 or 143.
    pub async fn or<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        let mut told = self.0.clone();
        tokio::select! {
            biased;
            _ = told.wait_for(Option::is_some) => self.check().and_then(|()| Err(anyhow::anyhow!("stopped"))),
            done = step => done,
        }
    }

    /// Runs a step that a stop does not break off, a clean-up say: but whoever asked waits no longer than [`PATIENCE`] for its end, as
    /// for that of a server that answers nothing. None when it was not over by then.
    pub async fn or_after<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        let mut told = self.0.clone();
        let over = async {
            let _ = told.wait_for(Option::is_some).await;
            tokio::time::sleep(PATIENCE).await;
        };
        tokio::select! {
            biased;
            done = step => Some(done),
            () = over => None,
        }
    }

    /// The same for a step that may fail.
    ///
    /// # Errors
    /// The step's own, or a failure with exit code 129, 130 or 143.
    pub async fn or_soon<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        match self.or_after(step).await {
            Some(done) => done,
            None => self.check().and_then(|()| Err(anyhow::anyhow!("stopped"))),
        }
    }

    /// An error when a stop was asked for. For loops that do not wait.
    ///
    /// # Errors
    /// A failure with exit code 129, 130 or 143.
    pub fn check(&self) -> Result<()> {
        match *self.0.borrow() {
            None => Ok(()),
            Some(exit) => Err(Failure::new("stopped before the end, as asked by a signal")
                .hint("nothing half-done was left behind; run the command again when it suits")
                .exit(exit)
                .into()),
        }
    }
}
