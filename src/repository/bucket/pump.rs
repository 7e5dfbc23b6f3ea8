//! SQL in, a stored object out: compressed on all cores, in order, in constant memory. Nothing is visible before [`Pump::commit`].

use std::collections::VecDeque;

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::cut::{Cutter, USUAL};
use super::store::Object;
use super::upload::Upload;
use super::{member, pack};

/// An upload that packs what it is given.
pub struct Pump {
    upload: Upload,
    level: u8,
    cutter: Cutter,
    /// What is not long enough for a piece yet.
    open: Press,
    packing: VecDeque<JoinHandle<Result<Press>>>,
    spare: Vec<Press>,
    depth: usize,
    written: Written,
}

/// Where a piece is packed. Used again and again: were each made by one thread and dropped by another, every thread's heap would keep some.
#[derive(Default)]
struct Press {
    piece: Vec<u8>,
    packed: Vec<u8>,
}

impl Press {
    /// Makes it ready for the next piece. A long one is an exception; its room is not kept.
    fn empty(&mut self) {
        for room in [&mut self.piece, &mut self.packed] {
            room.clear();
            room.shrink_to(2 * USUAL);
        }
    }
}

/// What an object consists of so far, without its seal.
#[derive(Debug, Default)]
pub struct Written {
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its bytes.
    pub digest: blake3::Hasher,
}

/// Members on their way are memory: no more cores than this are fed.
const CORES: usize = 16;

impl Pump {
    /// A pump into an upload that has begun; one level, from 1 to 12, for all of it.
    pub fn new(upload: Upload, level: u8) -> Pump {
        let cores = std::thread::available_parallelism().map_or(2, usize::from).min(CORES);
        Pump {
            upload,
            level,
            cutter: Cutter::default(),
            open: Press::default(),
            packing: VecDeque::new(),
            spare: Vec::new(),
            depth: 2 * cores,
            written: Written::default(),
        }
    }

    /// Takes the next SQL.
    ///
    /// # Errors
    /// When the store fails; [`Pump::abort`] is due then.
    pub async fn write(&mut self, mut sql: &[u8]) -> Result<()> {
        while let Some(end) = self.cutter.end(sql) {
            let (last, behind) = sql.split_at(end);
            self.open.piece.extend_from_slice(last);
            self.pack().await?;
            sql = behind;
        }
        self.open.piece.extend_from_slice(sql);
        Ok(())
    }

    async fn pack(&mut self) -> Result<()> {
        if self.packing.len() >= self.depth {
            self.store_oldest().await?;
        }
        let next = self.spare.pop().unwrap_or_default();
        let (mut press, level) = (std::mem::replace(&mut self.open, next), self.level);
        self.packing.push_back(tokio::task::spawn_blocking(move || {
            member::pack(&mut press.packed, &press.piece, level)?;
            Ok(press)
        }));
        Ok(())
    }

    async fn store_oldest(&mut self) -> Result<()> {
        if let Some(packing) = self.packing.pop_front() {
            let mut press = packing.await.context("compressing")??;
            self.written.bytes += press.packed.len() as u64;
            self.written.digest.update(&press.packed);
            self.upload.write(Bytes::copy_from_slice(&press.packed)).await?;
            press.empty();
            self.spare.push(press);
        }
        Ok(())
    }

    /// Ends the dump with its seal, which may say what is stored, and makes the object appear: the one act that makes a backup.
    ///
    /// # Errors
    /// When the store fails, or there is no seal: nothing is visible then.
    pub async fn commit(mut self, seal_line: impl FnOnce(&Written) -> Result<String>) -> Result<Object> {
        if !self.open.piece.is_empty() {
            self.pack().await?;
        }
        while !self.packing.is_empty() {
            self.store_oldest().await?;
        }
        let line = seal_line(&self.written)?;
        self.upload.write(pack::sealed_end(&line)?).await?;
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
