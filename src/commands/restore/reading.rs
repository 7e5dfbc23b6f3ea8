//! A stored dump as a stream of SQL: fetched and unpacked in a task of its own, so that neither waits for psql.

use anyhow::{Result, bail};
use tokio::sync::mpsc;

use crate::commands::catalog::Dump;
use crate::commands::store_failure;
use crate::error::Failure;
use crate::exit::Exit;
use crate::repository::bucket::store::Store;
use crate::repository::bucket::unpack::Unpacker;
use crate::sources::postgres::rewrite::{Policy, Rewriter};
use crate::sources::postgres::survey::{Survey, Surveyor};

/// Pieces of SQL that wait for the reader; each is what a chunk of the store unpacks to.
const AHEAD: usize = 4;

/// SQL, piece by piece.
pub struct Sql(mpsc::Receiver<Result<Vec<u8>>>);

/// Begins to read. The dump is pinned: another object of the same name is an error.
pub fn open(store: &Store, dump: &Dump) -> Sql {
    let (tell, told) = mpsc::channel(AHEAD);
    let (store, name, version) = (store.clone(), dump.name.clone(), dump.version.clone());
    tokio::spawn(async move {
        let read = async {
            let mut download = store.read(&name, None, version.as_ref()).await.map_err(store_failure)?;
            let mut unpacker = Unpacker::default();
            while let Some(stored) = download.next().await.map_err(store_failure)? {
                // In slices, so that a chunk of well compressed rows does not become gigabytes at once.
                for slice in stored.chunks(SLICE_BYTES) {
                    let sql = unpacker.push(slice)?;
                    if !sql.is_empty() && tell.send(Ok(sql)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            let rest = unpacker.finish()?;
            let _ = tell.send(Ok(rest)).await;
            anyhow::Ok(())
        };
        if let Err(error) = read.await {
            let _ = tell.send(Err(error)).await;
        }
    });
    Sql(told)
}

const SLICE_BYTES: usize = 16 << 10;

impl Sql {
    /// The next piece; nothing at the end of a dump that was read whole.
    ///
    /// # Errors
    /// When the store fails or the gzip is damaged.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        self.0.recv().await.transpose()
    }
}

/// Reads the whole dump and says what it is, with the digest of all that was read.
///
/// # Errors
/// When it cannot be read to its end, or is no dump.
pub async fn survey(store: &Store, dump: &Dump) -> Result<(Survey, Digest)> {
    let (mut sql, mut surveyor, mut digest) = (open(store, dump), Surveyor::new(), Digest::default());
    while let Some(piece) = sql.next().await? {
        digest.push(&piece);
        surveyor.push(&piece).map_err(|error| not_a_dump(dump, error.into()))?;
    }
    Ok((surveyor.finish().map_err(|error| not_a_dump(dump, error.into()))?, digest))
}

fn not_a_dump(dump: &Dump, error: anyhow::Error) -> anyhow::Error {
    Failure::new(format!("{} cannot be restored", dump.name))
        .hint("nothing was touched; choose another one: bkp list")
        .exit(Exit::ProofFailed)
        .because(error)
        .into()
}

/// Says what the rewriter would change, and how many statements that are.
///
/// # Errors
/// When the dump cannot be read to its end.
pub async fn explain(store: &Store, dump: &Dump, policy: Policy) -> Result<u64> {
    let (mut sql, mut rewriter) = (open(store, dump), Rewriter::new(policy));
    while let Some(piece) = sql.next().await? {
        rewriter.push(&piece, &mut |_| Ok(()))?;
    }
    let report = rewriter.finish(&mut |_| Ok(()))?;
    for change in &report.changes {
        tracing::info!("line {}: {}: {}", change.line, change.what, change.why);
    }
    let count = report.changes.len() as u64 + report.more;
    tracing::info!("dry run: {count} statements would be changed, nothing was done");
    Ok(count)
}

/// Digests what is read, to tell whether the store gives the same at the second reading.
#[derive(Default)]
pub struct Digest(blake3::Hasher);

impl Digest {
    /// Takes a piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// Compares with the first reading.
    ///
    /// # Errors
    /// When the store gave something else.
    pub fn prove(&self, first: &Digest) -> Result<()> {
        if self.0.finalize() != first.0.finalize() {
            bail!(
                Failure::new("the store gave another dump at the second reading than at the first")
                    .hint("nothing live was touched; run bkp check --read-data")
                    .exit(Exit::ProofFailed)
            );
        }
        Ok(())
    }
}
