//! A stored file as a stream. That restic ended badly is an error at the stream's end.

use anyhow::Result;
use bytes::BytesMut;

use super::call::Call;
use super::refusal;
use super::repo::Repository;
use crate::process::{BadEnd, Producer};

/// A file that is being read.
pub struct Reading {
    repository: Repository,
    producer: Producer,
}

const TO_DO: &str = "read a file of a snapshot";

impl Repository {
    /// Reads a file of a snapshot; `path` is from its root, such as `/stdin`.
    ///
    /// # Errors
    /// When a lock is not given up in time, or restic cannot be started. All else is told by [`Reading::read`].
    pub async fn read(&self, snapshot: &str, path: &str) -> Result<Reading> {
        self.let_in().await?;
        let wait = format!("{}s", self.restic.options.lock_wait.as_secs());
        let call = Call::new(TO_DO, ["dump", "--retry-lock", &wait, "--", snapshot, path]);
        Ok(Reading { repository: self.clone(), producer: Producer::start(&self.program(&call.arguments))? })
    }
}

impl Reading {
    /// Appends what comes next; 0 means that the file is over, and was read whole.
    ///
    /// # Errors
    /// At the latest at the end: when anything of the file could not be read.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> Result<usize> {
        self.producer.read(buffer).await.map_err(|error| match error.downcast::<BadEnd>() {
            Ok(bad) => refusal::failure(&self.repository.address, TO_DO, bad.status, &bad.words).into(),
            Err(error) => error,
        })
    }
}
