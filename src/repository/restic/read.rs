//! A stored file as a stream. That restic ended badly is an error at the stream's end.

use anyhow::Result;
use bytes::BytesMut;

use super::call::{Call, Patience};
use super::refusal::{self, Cause};
use super::repo::Repository;
use crate::process::{BadEnd, Producer, Program};

/// A file that is being read.
pub struct Reading {
    repository: Repository,
    program: Program,
    producer: Producer,
    patience: Patience,
    begun: bool,
}

const TO_DO: &str = "read a file of a snapshot";

impl Repository {
    /// Begins to read a file of a snapshot; `path` is from its root, such as `/stdin`. restic works ahead until a pipe is full.
    ///
    /// # Errors
    /// When restic cannot be started. All else is told by [`Reading::read`].
    pub fn read(&self, snapshot: &str, path: &str) -> Result<Reading> {
        let program = self.program(&Call::new(TO_DO, ["dump", "--", snapshot, path]).arguments);
        let producer = Producer::with_lock(&program)?;
        let patience = Patience::new(self.restic.options.lock_wait);
        Ok(Reading { repository: self.clone(), program, producer, patience, begun: false })
    }
}

impl Reading {
    /// Appends what comes next; 0 means that the file is over, and was read whole. Where a prune or a check keeps others out, it
    /// waits for that before the first byte; where no lock can be left, it reads without one.
    ///
    /// # Errors
    /// At the latest at the end: when anything of the file could not be read.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> Result<usize> {
        loop {
            let bad = match self.producer.read(buffer).await {
                Ok(bytes) => {
                    self.begun |= bytes > 0;
                    return Ok(bytes);
                }
                Err(error) => error.downcast::<BadEnd>()?,
            };
            match refusal::cause(bad.status, &bad.words) {
                Cause::Locked if !self.begun => self.repository.make_way(&mut self.patience).await?,
                // Once: without a lock nothing is said of locks.
                Cause::Unlockable if !self.begun => self.program = self.repository.unlocked(self.program.clone()),
                _ => return Err(refusal::failure(&self.repository.address, TO_DO, bad.status, &bad.words).into()),
            }
            self.producer = Producer::with_lock(&self.program)?;
        }
    }
}
