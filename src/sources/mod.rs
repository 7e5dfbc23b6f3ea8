//! What is saved, and how it is brought back. Knows no repository.

pub mod files;
pub mod postgres;

use std::future::Future;

use anyhow::Result;

/// Takes what a source produces.
pub trait Sink {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// When they cannot be taken; the source ends then, and what was written is no backup.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<()>> + Send;
}
