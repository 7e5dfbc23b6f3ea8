//! A dump that is produced once and stored wherever it belongs. A store that fails does not take the others with it: what they
//! hold is whole, and the run tells which one failed.

use anyhow::{Result, anyhow};

use super::parts::Parts;
use crate::repository::bucket::pump::Pump;
use crate::sources::postgres::seal::Sealed;
use crate::sources::{Item, Sink};

/// The stores that a dump goes to.
#[derive(Default)]
pub struct Everywhere<'a> {
    /// The object in the bucket.
    pub bucket: Option<Pump>,
    /// The snapshots in restic.
    pub restic: Option<Parts<'a>>,
    /// Why stores were given up.
    pub failed: Vec<anyhow::Error>,
}

impl Everywhere<'_> {
    /// Goes on with the stores that are left; with none left, the dump ends.
    async fn settle(&mut self, bucket: Result<()>, restic: Result<()>) -> Result<()> {
        if let Err(error) = bucket {
            self.failed.push(error.context("the bucket"));
            if let Some(pump) = self.bucket.take() {
                pump.abort().await;
            }
        }
        if let Err(error) = restic {
            self.failed.push(error.context("restic"));
            // Dropped, it kills restic before its input ends: nothing of the open part stays.
            self.restic = None;
        }
        match (&self.bucket, &self.restic) {
            (None, None) => Err(self.failed.pop().unwrap_or_else(|| anyhow!("there is no store"))),
            _ => Ok(()),
        }
    }

    /// Gives everything up: what is not committed does not stay.
    pub async fn abort(self) {
        if let Some(pump) = self.bucket {
            pump.abort().await;
        }
    }
}

impl Sink for Everywhere<'_> {
    async fn begin(&mut self, item: &Item) -> Result<()> {
        let restic = match &mut self.restic {
            Some(parts) => parts.begin(item).await,
            None => Ok(()),
        };
        self.settle(Ok(()), restic).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let bucket = async {
            match &mut self.bucket {
                Some(pump) => super::bucket::write(pump, bytes).await,
                None => Ok(()),
            }
        };
        let restic = async {
            match &mut self.restic {
                Some(parts) => parts.write(bytes).await,
                None => Ok(()),
            }
        };
        let (bucket, restic) = tokio::join!(bucket, restic);
        match (&bucket, &restic) {
            (Ok(()), Ok(())) => Ok(()),
            _ => self.settle(bucket, restic).await,
        }
    }

    async fn end(&mut self, rows: Sealed, closing: &[u8]) -> Result<()> {
        let restic = match &mut self.restic {
            Some(parts) => parts.end(rows, closing).await,
            None => Ok(()),
        };
        self.settle(Ok(()), restic).await
    }

    async fn between(&mut self, bytes: &[u8]) -> Result<()> {
        let bucket = match &mut self.bucket {
            Some(pump) => super::bucket::write(pump, bytes).await,
            None => Ok(()),
        };
        self.settle(bucket, Ok(())).await
    }
}
