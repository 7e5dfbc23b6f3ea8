//! Whoever watches is told when a run begins and how it ended: a heartbeat, a Pushgateway, a file. They are told beside the work or after
//! it, never for longer than [`LIMIT`] each, and what comes of that never changes what comes of the run: it is said, as a warning.

mod client;
mod gateway;
mod heartbeat;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use self::heartbeat::Beat;
use super::facts::Ended;
use super::metrics;
use crate::settings::{Notify, Secret};

/// The longest that the end of a run is kept waiting, all told.
pub const LIMIT: Duration = Duration::from_secs(5);

/// How much of that the word of the beginning gets, where it is still on its way.
const LIMIT_OF_START: Duration = Duration::from_secs(2);

/// A run that has begun, and who is told of its end.
pub struct Watch {
    notify: Notify,
    beat: Option<Beat>,
    /// The word that it has begun, on its way.
    start: Option<Start>,
}

impl Watch {
    /// Sends word of the beginning, without waiting for it. Needs a runtime.
    pub fn begin(notify: Notify, command: &'static str) -> Watch {
        let beat = Beat::of(&notify, command);
        let start = beat.as_ref().and_then(Beat::start).map(|url| {
            let authorities = notify.certificate_file.clone();
            tokio::spawn(async move {
                let client = client::build(authorities.as_deref())?;
                within(client::post(&client, &url, heartbeat::KIND, String::new())).await
            })
        });
        Watch { notify, beat, start }
    }

    /// Tells how it ended.
    pub async fn end(mut self, ended: &Ended<'_>) {
        let start = self.start.take();
        let (heartbeat, metrics) = tokio::join!(self.heartbeat(start, ended), self.metrics(ended));
        for failed in [heartbeat, metrics].into_iter().flatten() {
            tracing::warn!("{failed}");
        }
    }

    async fn heartbeat(&self, start: Option<Start>, ended: &Ended<'_>) -> Vec<String> {
        let mut failed = Vec::new();
        let Some(beat) = &self.beat else { return failed };
        let told = within(async {
            // Never after the end: it would look like a run that hangs.
            if let Some(start) = start
                && let Err(error) = Aborting(start).ended().await
            {
                failed.push(format!("the heartbeat could not be told of the beginning: {error:#}"));
            }
            let Some(url) = beat.end(ended.exit) else { return Ok(()) };
            let client = client::build(self.notify.certificate_file.as_deref())?;
            client::post(&client, &url, heartbeat::KIND, heartbeat::body(ended)).await
        });
        if let Err(error) = told.await {
            failed.push(format!("the heartbeat could not be told of the end: {error:#}"));
        }
        failed
    }

    async fn metrics(&self, ended: &Ended<'_>) -> Vec<String> {
        let Some(app) = ended.app else { return Vec::new() };
        let (command, samples) = (ended.command, metrics::of(ended));
        let pushed = async {
            let gateway = self.notify.pushgateway.as_ref()?;
            let failed = within(self.push(gateway, app, command, &samples)).await.err()?;
            Some(format!("the metrics could not be pushed: {failed:#}"))
        };
        let kept = async {
            let (path, app, samples) = (self.notify.metrics_file.clone()?, app.to_owned(), samples.clone());
            // A file system that hangs is one more receiver that does not answer.
            let kept = spawn_blocking(move || metrics::file::update(&path, &app, command, &samples));
            let failed = within(async { kept.await.context("writing the metrics")? }).await.err()?;
            Some(format!("the metrics could not be kept: {failed:#}"))
        };
        let (pushed, kept) = tokio::join!(pushed, kept);
        pushed.into_iter().chain(kept).collect()
    }

    async fn push(&self, gateway: &Secret, app: &str, command: &str, samples: &[metrics::Sample]) -> Result<()> {
        let client = client::build(self.notify.certificate_file.as_deref())?;
        let url = gateway::url(gateway, app, command);
        client::post(&client, &url, gateway::KIND, metrics::text::rendered(app, command, samples)).await
    }
}

type Start = JoinHandle<Result<()>>;

/// A task that does not outlive who waits for it.
struct Aborting(Start);

impl Aborting {
    async fn ended(mut self) -> Result<()> {
        match timeout(LIMIT_OF_START, &mut self.0).await {
            Ok(told) => told.context("telling it")?,
            Err(_) => bail!("no answer yet"),
        }
    }
}

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn within(told: impl Future<Output = Result<()>>) -> Result<()> {
    match timeout(LIMIT, told).await {
        Ok(told) => told,
        Err(_) => bail!("no answer within {} s", LIMIT.as_secs()),
    }
}
