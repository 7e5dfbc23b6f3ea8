//! A child that is read ahead of its time: pg_dump goes through its small tables while large ones are written.

use anyhow::{Result, anyhow};
use bytes::BytesMut;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::process::Producer;

/// Pieces that wait, each of at most 256 KiB.
const PIECES: usize = 32;

/// What a child has written so far, in order.
pub struct Ahead {
    pieces: mpsc::Receiver<Result<Option<BytesMut>>>,
    /// Dropped, it ends, and the child with it.
    _task: JoinSet<()>,
}

impl Ahead {
    /// Reads on from where the child stands.
    pub fn of(mut producer: Producer) -> Self {
        let (send, pieces) = mpsc::channel(PIECES);
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                let mut piece = BytesMut::new();
                let read = producer.read(&mut piece).await.map(|read| (read > 0).then_some(piece));
                let goes_on = matches!(read, Ok(Some(_)));
                if send.send(read).await.is_err() || !goes_on {
                    return;
                }
            }
        });
        Self { pieces, _task: task }
    }

    /// What comes next; nothing when the child has ended, and ended well.
    ///
    /// # Errors
    /// Its bad end.
    pub async fn next(&mut self) -> Result<Option<BytesMut>> {
        self.pieces.recv().await.unwrap_or_else(|| Err(anyhow!("whoever read pg_dump's output was lost")))
    }
}
