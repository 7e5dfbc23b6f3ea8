//! Writing an object: streamed, summed, and visible only when it is whole.
//!
//! Why the order is safe: a store shows an object when its upload is finished, and `commit` alone finishes it, as
//! one request (or one rename). Whatever fails before leaves nothing under the name. After it, the store's
//! checksum is compared with ours, and a name that turns out taken may be taken by ourselves: when the
//! answer to the last request was lost, the store is asked what it holds before anybody is told "exists already".

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opendal::{Buffer, ErrorKind, Metadata, Writer};
use tokio::task::JoinHandle;

use super::checksum::{Checksum, StoredChecksum};
use super::directory::Directory;
use super::download::Download;
use super::error::StoreError;
#[cfg(test)]
use super::faults::{Asked, Faults};
use super::partial::PartialFile;
use super::refusal::Act;
use super::remote::Remote;
use super::store::Object;
use super::transport::Wire;

/// What is sent at once. An upload holds at most five of these in memory.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// The same for Google: the library gathers what it is given, sends 8 MiB at a time, and holds what came behind them meanwhile.
const PIECE_BYTES: usize = 1024 * 1024;

/// Amazon takes 10,000 parts and no more: the last 2,000 are larger, so that a dump ends at 188 GiB and not at 78.
/// Not earlier, because some servers that speak its protocol want all parts of one size.
const SMALL_PARTS: usize = 8_000;
const LARGE_PART_BYTES: usize = 64 * 1024 * 1024;

/// How many parts are under way at once, where a store takes parts in any order.
const PARTS_AT_ONCE: usize = 2;

/// How long an abort may take, with the part that is on its way. A pod that is told to end has 30 seconds for everything.
const ABORT_WAIT: Duration = Duration::from_secs(10);

/// The content type of everything that is written. Never a content encoding: Google would unpack it on the way out.
const CONTENT_TYPE: &str = "application/gzip";

/// An object that is being written. Dropped without a commit, it never was.
pub struct Upload {
    kind: Kind,
    #[cfg(test)]
    faults: Option<(Faults, String)>,
}

enum Kind {
    Remote(Box<RemoteUpload>),
    Directory(PartialFile),
}

struct RemoteUpload {
    remote: Arc<Remote>,
    name: String,
    /// None while a part is sent, and once it is committed or aborted.
    writer: Option<Writer>,
    /// The part that is sent, in a task of its own: a write that is dropped by a signal would lose the writer, and with it the
    /// way to tell the store to forget the parts.
    sending: Option<Sending>,
    wire: Wire,
    sum: Checksum,
    /// What is not enough for a part yet, as it came: put together, a part would be a large allocation each time, which the heap
    /// does not give back.
    pending: Vec<Bytes>,
    pending_bytes: usize,
    parts: usize,
}

/// Gives the writer back, and how it went.
type Sending = JoinHandle<(Writer, opendal::Result<()>)>;

impl Upload {
    pub(super) async fn to_remote(remote: Arc<Remote>, name: &str) -> Result<Self, StoreError> {
        match remote.metadata(name).await {
            Ok(_) => {
                return Err(StoreError::Exists { name: name.to_owned() });
            }
            // An account that may only create cannot look; the store holds the precondition anyway.
            Err(StoreError::NotFound { .. } | StoreError::Forbidden { .. }) => {}
            Err(err) => return Err(err),
        }
        let (operator, wire) = remote.operation();
        let writer = operator
            .writer_with(name)
            // On Google's store this chooses the resumable protocol besides.
            .if_not_exists(true)
            .content_type(CONTENT_TYPE)
            .concurrent(PARTS_AT_ONCE)
            .await
            .map_err(|err| remote.fault(&err, &wire, Act::Create(name)))?;
        Ok(Self::of(Kind::Remote(Box::new(RemoteUpload {
            remote,
            name: name.to_owned(),
            writer: Some(writer),
            sending: None,
            wire,
            sum: Checksum::default(),
            pending: Vec::new(),
            pending_bytes: 0,
            parts: 0,
        }))))
    }

    pub(super) async fn to_directory(directory: &Arc<Directory>, name: &str) -> Result<Self, StoreError> {
        directory.begin(name).await.map(Kind::Directory).map(Self::of)
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            #[cfg(test)]
            faults: None,
        }
    }

    /// The same, under this name, and what is asked of it meets these faults.
    #[cfg(test)]
    pub(super) fn with(self, faults: &Faults, name: &str) -> Self {
        Self { faults: Some((faults.clone(), name.to_owned())), ..self }
    }

    /// Takes the next bytes. After an error, or dropped before it is ready (by a signal), only `abort` is left to do.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let written = async {
            match &mut self.kind {
                Kind::Remote(upload) => upload.write(bytes).await,
                Kind::Directory(file) => file.write(&bytes).await,
            }
        };
        #[cfg(test)]
        if let Some((faults, _)) = &self.faults {
            return faults.around(Asked::Write, written).await;
        }
        written.await
    }

    /// Makes the object visible, and proves that the store holds what was written.
    pub async fn commit(self) -> Result<Object, StoreError> {
        let committed = async {
            match self.kind {
                Kind::Remote(upload) => upload.commit().await,
                Kind::Directory(file) => file.commit().await,
            }
        };
        #[cfg(test)]
        if let Some((faults, name)) = self.faults {
            return faults.around(Asked::Commit(name), committed).await;
        }
        committed.await
    }

    /// Gives the upload up and removes its parts from the store.
    pub async fn abort(self) -> Result<(), StoreError> {
        match self.kind {
            Kind::Remote(mut upload) => upload.abort().await,
            Kind::Directory(file) => {
                drop(file);
                Ok(())
            }
        }
    }
}

impl RemoteUpload {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        self.sum.update(&bytes);
        while !bytes.is_empty() {
            let wanted = if self.remote.is_google { PIECE_BYTES } else { part_bytes(self.parts) };
            let taken = bytes.split_to(bytes.len().min(wanted - self.pending_bytes));
            self.pending_bytes += taken.len();
            self.pending.push(taken);
            if self.pending_bytes == wanted {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), StoreError> {
        let Some(mut writer) = self.writer.take() else {
            return Err(self.over());
        };
        let part = Buffer::from(std::mem::take(&mut self.pending));
        self.pending_bytes = 0;
        self.parts += 1;
        self.sending = Some(tokio::spawn(async move {
            let sent = writer.write(part).await;
            (writer, sent)
        }));
        if let Err(err) = self.sent().await {
            let fault = self.remote.fault(&err, &self.wire, Act::Create(&self.name));
            // A writer that failed must never be closed: what it holds has a gap.
            self.give_up().await;
            return Err(fault);
        }
        Ok(())
    }

    /// Waits for the part that is sent, and has the writer back.
    async fn sent(&mut self) -> opendal::Result<()> {
        let Some(sending) = &mut self.sending else {
            return Ok(());
        };
        let ended = sending.await;
        self.sending = None;
        match ended {
            Ok((writer, sent)) => {
                self.writer = Some(writer);
                sent
            }
            Err(_) => Err(opendal::Error::new(ErrorKind::Unexpected, "sending a part was broken off")),
        }
    }

    async fn commit(mut self: Box<Self>) -> Result<Object, StoreError> {
        if !self.pending.is_empty() {
            self.send_part().await?;
        }
        let Some(writer) = &mut self.writer else {
            return Err(self.over());
        };
        self.wire.noted().crc32c = Some(self.sum.crc32c_base64());
        let result = writer.close().await;
        match result {
            Ok(metadata) => {
                self.writer = None;
                self.prove(metadata).await
            }
            Err(err) => {
                let fault = self.remote.fault(&err, &self.wire, Act::Create(&self.name));
                let ours = match fault {
                    StoreError::Corrupt { .. } | StoreError::Credentials { .. } => None,
                    _ => self.find_ours().await,
                };
                self.give_up().await;
                ours.ok_or(fault)
            }
        }
    }

    /// Compares what the store says it holds; a difference removes the object again.
    async fn prove(&self, closed: Metadata) -> Result<Object, StoreError> {
        let metadata = match closed.content_md5() {
            Some(_) => closed,
            None => match self.remote.metadata(&self.name).await {
                Ok(metadata) => metadata,
                Err(error) => return self.prove_by_list(error).await,
            },
        };
        let stored = StoredChecksum { md5: metadata.content_md5().map(str::to_owned), crc32c: None };
        let how = if metadata.content_length() == self.sum.bytes() {
            self.sum.difference(&stored)
        } else {
            Some(format!("{} bytes were sent, the store holds {}", self.sum.bytes(), metadata.content_length()))
        };
        match how {
            None => Ok(self.remote.object(&self.name, &metadata)),
            Some(how) => Err(self.remove_damaged(how).await),
        }
    }

    /// The same for an account that may only list and create: the length is there as well, and the store has compared the checksum that
    /// came with the bytes.
    async fn prove_by_list(&self, error: StoreError) -> Result<Object, StoreError> {
        let listed = match &error {
            StoreError::Forbidden { .. } => self.remote.list(&self.name).await.ok(),
            _ => None,
        };
        match listed.into_iter().flatten().find(|object| object.name == self.name) {
            Some(object) if object.bytes == self.sum.bytes() => Ok(object),
            Some(object) => {
                let how = format!("{} bytes were sent, the store holds {}", self.sum.bytes(), object.bytes);
                Err(self.remove_damaged(how).await)
            }
            None => {
                tracing::warn!(
                    "{} is stored, but cannot be looked at: it is listed, and bkp check --read-data proves it",
                    self.name
                );
                Err(error)
            }
        }
    }

    async fn remove_damaged(&self, how: String) -> StoreError {
        if let Err(err) = self.remote.delete(&self.name).await {
            tracing::warn!("the damaged object {} could not be removed: {err}", self.name);
        }
        StoreError::Corrupt { name: self.name.clone(), how }
    }

    /// The object under our name when it holds exactly our bytes: then the last answer was lost, not the upload.
    async fn find_ours(&self) -> Option<Object> {
        let metadata = self.remote.metadata(&self.name).await.ok()?;
        if metadata.content_length() != self.sum.bytes() {
            return None;
        }
        let object = self.remote.object(&self.name, &metadata);
        if let Some(md5) = metadata.content_md5() {
            let stored = StoredChecksum { md5: Some(md5.to_owned()), crc32c: None };
            return self.sum.difference(&stored).is_none().then_some(object);
        }
        // A store without checksums: the bytes themselves tell.
        let mut download =
            Download::from_remote(self.remote.clone(), &self.name, None, object.version.as_ref()).await.ok()?;
        let mut sum = Checksum::default();
        while let Some(bytes) = download.next().await.ok()? {
            sum.update(&bytes);
        }
        (sum.md5_base64() == self.sum.md5_base64()).then_some(object)
    }

    async fn abort(&mut self) -> Result<(), StoreError> {
        let aborted = async {
            let _ = self.sent().await;
            match self.writer.take() {
                Some(mut writer) => writer.abort().await,
                None => Ok(()),
            }
        };
        match tokio::time::timeout(ABORT_WAIT, aborted).await {
            Ok(aborted) => aborted.map_err(|err| self.remote.fault(&err, &self.wire, Act::Create(&self.name))),
            Err(_) => {
                let what = format!("the store does not answer to take back {}", self.name);
                Err(StoreError::Unavailable { what, cause: None })
            }
        }
    }

    /// Aborts after a failure that is told already.
    async fn give_up(&mut self) {
        if let Some(mut writer) = self.writer.take()
            && let Err(err) = writer.abort().await
            && err.kind() != ErrorKind::NotFound
        {
            tracing::debug!(name = self.name, kind = %err.kind(), "the parts of a failed upload were not removed");
        }
    }

    fn over(&self) -> StoreError {
        StoreError::Failed { what: format!("the upload of {} has failed before", self.name), cause: None }
    }
}

impl Drop for RemoteUpload {
    /// Removes the parts in the background; where that fails, the bucket's lifecycle rule does.
    fn drop(&mut self) {
        let (writer, sending) = (self.writer.take(), self.sending.take());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let writer = match sending {
                    Some(sending) => sending.await.ok().map(|(writer, _)| writer),
                    None => writer,
                };
                if let Some(mut writer) = writer {
                    let _ = writer.abort().await;
                }
            });
        }
    }
}

/// How large the next part is, after so many.
fn part_bytes(parts: usize) -> usize {
    if parts < SMALL_PARTS { PART_BYTES } else { LARGE_PART_BYTES }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_a_large_dump() {
        let whole: u64 = (0..10_000).map(|parts| part_bytes(parts) as u64).sum();
        assert!(whole > 187 << 30, "{whole}");
        assert_eq!(part_bytes(7_999), PART_BYTES);
        assert_eq!(part_bytes(8_000), LARGE_PART_BYTES);
    }
}
