//! Reading an object: streamed, resumed where a connection broke, and compared at its end.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use opendal::BufferStream;

use super::checksum::{Checksum, StoredChecksum};
use super::directory::{Directory, OpenFile};
use super::error::StoreError;
use super::refusal::Act;
use super::remote::Remote;
use super::store::{Object, Version};
use super::transport::Wire;

/// An object that is being read. Only `Ok(None)` says that all of it came, and came unharmed.
pub struct Download(Kind);

enum Kind {
    Remote(Box<RemoteDownload>),
    Directory(OpenFile),
}

struct RemoteDownload {
    remote: Arc<Remote>,
    object: Object,
    stream: BufferStream,
    wire: Wire,
    /// How many bytes of the range are still to come.
    left: u64,
    /// Of a whole object only: stores keep no sums of ranges.
    sum: Option<Checksum>,
    md5: Option<String>,
}

impl Download {
    pub(super) async fn from_remote(
        remote: Arc<Remote>,
        name: &str,
        range: Option<Range<u64>>,
        version: Option<&Version>,
    ) -> Result<Self, StoreError> {
        let metadata = remote.metadata(name).await?;
        let object = remote.object(name, &metadata);
        if version.is_some() && object.version.as_ref() != version {
            return Err(StoreError::Changed { name: name.to_owned() });
        }
        Self::pinned(remote, object, range, metadata.content_md5().map(str::to_owned)).await
    }

    /// The bytes of an object that is known: one request. Another object of that name is refused by the store itself.
    pub(super) async fn pinned(
        remote: Arc<Remote>,
        object: Object,
        range: Option<Range<u64>>,
        md5: Option<String>,
    ) -> Result<Self, StoreError> {
        let (operator, wire) = remote.operation();
        let mut reader = operator.reader_with(&object.name);
        if let Some(pin) = &object.version {
            reader =
                if remote.is_google { reader.if_version_match(pin.as_str()) } else { reader.if_match(pin.as_str()) };
        }
        let wanted = clip(range.as_ref(), object.bytes);
        let left = wanted.end - wanted.start;
        let opened = async {
            let reader = reader.await?;
            // A whole object is asked for without a range: then the answer carries the sums of the whole.
            if range.is_some() { reader.into_stream(wanted).await } else { reader.into_stream(..).await }
        };
        let stream = opened.await.map_err(|err| remote.fault(&err, &wire, Act::Read(&object.name)))?;
        let sum = range.is_none().then(Checksum::default);
        Ok(Self(Kind::Remote(Box::new(RemoteDownload { remote, object, stream, wire, left, sum, md5 }))))
    }

    pub(super) async fn from_directory(
        directory: &Arc<Directory>,
        name: &str,
        range: Option<Range<u64>>,
        version: Option<&Version>,
    ) -> Result<Self, StoreError> {
        directory.open(name, range, version).await.map(Kind::Directory).map(Self)
    }

    /// The object that is read.
    pub fn object(&self) -> &Object {
        match &self.0 {
            Kind::Remote(download) => &download.object,
            Kind::Directory(file) => file.object(),
        }
    }

    /// The next bytes, or none at the end. An error may come after bytes that were already given out.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        match &mut self.0 {
            Kind::Remote(download) => download.next().await,
            Kind::Directory(file) => file.next().await,
        }
    }
}

/// The part of an object of `bytes` bytes that a range names.
pub(super) fn clip(range: Option<&Range<u64>>, bytes: u64) -> Range<u64> {
    let Some(range) = range else { return 0..bytes };
    let start = range.start.min(bytes);
    start..range.end.clamp(start, bytes)
}

impl RemoteDownload {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.left == 0 {
            return self.compare().map(|()| None);
        }
        let name = &self.object.name;
        let next = self.stream.try_next().await.map_err(|err| self.remote.fault(&err, &self.wire, Act::Read(name)))?;
        let Some(buffer) = next else {
            return Err(self.corrupt(format!("it ends {} bytes before its end", self.left)));
        };
        let bytes = buffer.to_bytes();
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            return Err(self.corrupt("the store sends more bytes than it has".to_owned()));
        };
        self.left = left;
        if let Some(sum) = &mut self.sum {
            sum.update(&bytes);
        }
        // Compared before the last bytes are given out: whoever stops at the length has them compared as well.
        if left == 0 {
            self.compare()?;
        }
        Ok(Some(bytes))
    }

    fn compare(&self) -> Result<(), StoreError> {
        let Some(sum) = &self.sum else { return Ok(()) };
        let mut stored: StoredChecksum = self.wire.noted().stored.clone();
        stored.md5 = stored.md5.or_else(|| self.md5.clone());
        sum.difference(&stored).map_or(Ok(()), |how| Err(self.corrupt(how)))
    }

    fn corrupt(&self, how: String) -> StoreError {
        StoreError::Corrupt { name: self.object.name.clone(), how }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_clipped_to_the_object() {
        assert_eq!(clip(None, 10), 0..10);
        assert_eq!(clip(Some(&(2..5)), 10), 2..5);
        assert_eq!(clip(Some(&(8..50)), 10), 8..10);
        assert_eq!(clip(Some(&(20..50)), 10), 10..10);
        assert_eq!(clip(Some(&Range { start: 5, end: 2 }), 10), 5..5);
    }
}
