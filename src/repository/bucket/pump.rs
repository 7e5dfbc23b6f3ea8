//! SQL in, a stored object out: compressed on all cores, in order, in constant memory. Nothing is visible before [`Pump::commit`].

use std::collections::VecDeque;

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use super::pack;
use super::store::Object;
use super::upload::Upload;

/// An upload that packs what it is given.
pub struct Pump {
    upload: Upload,
    open: BytesMut,
    packing: VecDeque<JoinHandle<Result<Bytes>>>,
    depth: usize,
}

impl Pump {
    /// A pump into an upload that has begun.
    pub fn new(upload: Upload) -> Pump {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Pump {
            upload,
            open: BytesMut::with_capacity(2 * pack::MEMBER_BYTES),
            packing: VecDeque::new(),
            depth: 2 * cores,
        }
    }

    /// Takes the next SQL.
    ///
    /// # Errors
    /// When the store fails; [`Pump::abort`] is due then.
    pub async fn write(&mut self, sql: &[u8]) -> Result<()> {
        self.open.extend_from_slice(sql);
        while self.open.len() >= pack::MEMBER_BYTES {
            let piece = self.open.split_to(pack::MEMBER_BYTES).freeze();
            self.pack(piece).await?;
        }
        Ok(())
    }

    async fn pack(&mut self, piece: Bytes) -> Result<()> {
        if self.packing.len() >= self.depth {
            self.store_oldest().await?;
        }
        self.packing.push_back(tokio::task::spawn_blocking(move || pack::member(&piece)));
        Ok(())
    }

    async fn store_oldest(&mut self) -> Result<()> {
        if let Some(packed) = self.packing.pop_front() {
            let packed = packed.await.context("compressing")??;
            self.upload.write(packed).await?;
        }
        Ok(())
    }

    /// Ends the dump with its seal and makes the object appear: the one act that makes a backup.
    ///
    /// # Errors
    /// When the store fails: nothing is visible then.
    pub async fn commit(mut self, seal_line: &str) -> Result<Object> {
        let rest = self.open.split().freeze();
        if !rest.is_empty() {
            self.pack(rest).await?;
        }
        while !self.packing.is_empty() {
            self.store_oldest().await?;
        }
        self.upload.write(pack::sealed_end(seal_line)?).await?;
        Ok(self.upload.commit().await?)
    }

    /// Gives up: nothing stays in the store.
    pub async fn abort(self) {
        if let Err(error) = self.upload.abort().await {
            tracing::warn!(
                "the unfinished upload could not be taken back; it is invisible, and the store's lifecycle rule removes it: {error}"
            );
        }
    }
}
