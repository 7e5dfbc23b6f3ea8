//! The second reading of a dump whose seal says what is stored: every span is compared with what the first reading found. A long stretch
//! of rows is offered first to whoever reads, who may have it read elsewhere, by another reader and at the same time as what follows.

use std::sync::Arc;

use anyhow::{Result, bail};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{BoxStream, try_unfold};
use tokio::sync::oneshot;

use super::spans::{Rows, Span};
use super::{Portion, Tell, another_dump};
use crate::commands::store_failure;
use crate::report::progress::Step;
use crate::repository::bucket::download::Download;
use crate::repository::bucket::store::{Store, Version};
use crate::repository::bucket::unpack::Unpacker;

/// An object, pinned where its store can do that.
#[derive(Clone)]
pub(super) struct Pinned {
    pub store: Store,
    pub name: String,
    pub version: Option<Version>,
}

/// Stored bytes from some place on.
struct Reader {
    object: Pinned,
    /// Where what is not read begins, and where it ends.
    at: u64,
    end: u64,
    download: Option<Download>,
    /// What has come of it and was not given out.
    came: Bytes,
}

impl Reader {
    fn new(object: &Pinned, at: u64, end: u64) -> Reader {
        Reader { object: object.clone(), at, end, download: None, came: Bytes::new() }
    }

    /// The next bytes, so many at most, but some.
    async fn next(&mut self, most: u64) -> Result<Bytes> {
        while self.came.is_empty() {
            let download = match &mut self.download {
                Some(download) => download,
                None => {
                    // All of it is asked for without a range: some stores keep a sum of that.
                    let range = (self.at > 0).then_some(self.at..self.end);
                    let Pinned { store, name, version } = &self.object;
                    self.download.insert(store.read(name, range, version.as_ref()).await.map_err(store_failure)?)
                }
            };
            match download.next().await.map_err(store_failure)? {
                Some(came) => self.came = came,
                None => bail!(another_dump()),
            }
        }
        let next = self.came.split_to(self.came.len().min(usize::try_from(most).unwrap_or(usize::MAX)));
        self.at += next.len() as u64;
        Ok(next)
    }

    /// Goes on behind what somebody else reads.
    fn pass(&mut self, stored: u64) {
        self.at += stored;
        (self.download, self.came) = (None, Bytes::new());
    }
}

/// Sends a dump; false when nobody reads any more.
pub(super) async fn send(object: &Pinned, spans: &[Span], tell: &Tell, step: &Arc<Step>) -> Result<bool> {
    let end = spans.iter().map(|span| span.stored).sum();
    let (mut reader, mut unpacker) = (Reader::new(object, 0, end), Unpacker::of_members());
    for span in spans {
        if let Some(rows) = span.rows {
            // Whoever reads is to stand where it begins.
            if !sent_rest(&mut unpacker, tell).await? {
                return Ok(false);
            }
            let (taken, is_taken) = oneshot::channel();
            let reading = Reading::of(Reader::new(object, reader.at, reader.at + span.stored), span);
            let stretch = Stretch { rows, reading, step: step.clone(), taken };
            if tell.send(Ok(Portion::Stretch(Box::new(stretch)))).await.is_err() {
                return Ok(false);
            }
            if is_taken.await.is_ok() {
                reader.pass(span.stored);
                continue;
            }
        }
        let (mut left, mut hasher) = (span.stored, blake3::Hasher::new());
        while left > 0 {
            let stored = reader.next(left).await?;
            left -= stored.len() as u64;
            hasher.update(&stored);
            unpacker.push(&stored);
            if !super::unpacked(&mut unpacker, tell).await? {
                return Ok(false);
            }
        }
        if hasher.finalize() != span.digest {
            bail!(another_dump());
        }
    }
    sent_rest(&mut unpacker, tell).await
}

/// Sends what is being unpacked; false when nobody reads any more.
async fn sent_rest(unpacker: &mut Unpacker, tell: &Tell) -> Result<bool> {
    while let Some(sql) = unpacker.rest().await? {
        if tell.send(Ok(Portion::Sql(sql))).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A long stretch of rows of one COPY, which comes next. Whoever drops it gets them as any SQL.
pub struct Stretch {
    /// What they are.
    pub rows: Rows,
    reading: Reading,
    step: Arc<Step>,
    taken: oneshot::Sender<()>,
}

impl Stretch {
    /// The rows, to be read elsewhere: what comes next is what stands behind them.
    pub fn take(self) -> BoxStream<'static, Result<Bytes>> {
        let Stretch { reading, step, taken, .. } = self;
        let name = reading.reader.object.name.clone();
        // Should nobody listen any more, nobody reads on either.
        let _ = taken.send(());
        let rows = try_unfold((reading, step), |(mut reading, step)| async move {
            let rows = reading.next().await?;
            Ok(rows.map(|rows| {
                step.advance(rows.len() as u64);
                (rows, (reading, step))
            }))
        });
        rows.map(move |rows| rows.map_err(|error| super::of(&name, error))).boxed()
    }
}

/// One span that is being read.
struct Reading {
    reader: Reader,
    unpacker: Unpacker,
    left: u64,
    hasher: Box<blake3::Hasher>,
    digest: blake3::Hash,
}

impl Reading {
    fn of(reader: Reader, span: &Span) -> Reading {
        let (unpacker, hasher) = (Unpacker::of_part(), Box::default());
        Reading { reader, unpacker, left: span.stored, hasher, digest: span.digest }
    }

    /// The next rows; nothing when all of them came, and were what the first reading found.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(rows) = self.unpacker.next().await? {
                return Ok(Some(rows));
            }
            if self.left == 0 {
                break;
            }
            let stored = self.reader.next(self.left).await?;
            self.left -= stored.len() as u64;
            self.hasher.update(&stored);
            self.unpacker.push(&stored);
        }
        if let Some(rows) = self.unpacker.rest().await? {
            return Ok(Some(rows));
        }
        match self.hasher.finalize() == self.digest {
            true => Ok(None),
            false => bail!(another_dump()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use tokio::sync::mpsc;

    use super::super::spans::{Place, STRETCH_MIN, Spans};
    use super::*;
    use crate::repository::bucket::member::{self, Lines};
    use crate::repository::bucket::options::StoreOptions;
    use crate::settings::address::BucketAddress;

    /// A dump whose members are these, each of a COPY's rows or not, with what its first reading finds.
    fn dump(members: &[(Vec<u8>, Option<usize>)]) -> (Vec<u8>, Vec<Span>) {
        let (mut stored, mut spans) = (Vec::new(), Spans::default());
        for (sql, copy) in members {
            let member = member::packed(sql, 1).unwrap();
            spans.take(&member, Place { copy: *copy, section: None }, Lines::counted(sql));
            stored.extend_from_slice(&member);
        }
        (stored, spans.finish())
    }

    /// All SQL, with each stretch read apart that `takes` says.
    async fn read(directory: &Path, spans: &[Span], takes: impl Fn(usize) -> bool) -> Result<(Vec<u8>, Vec<Rows>)> {
        let store = Store::open(&BucketAddress::Directory(directory.to_owned()), &StoreOptions::default()).unwrap();
        let object = Pinned { store, name: "dump".into(), version: None };
        let (tell, mut told) = mpsc::channel(2);
        let spans = spans.to_vec();
        let sending = tokio::spawn(async move {
            let sent = send(&object, &spans, &tell, &Arc::new(Step::begin("dump", []))).await;
            sent.map(|is_read| assert!(is_read))
        });
        let (mut sql, mut offered) = (Vec::new(), Vec::new());
        while let Some(portion) = told.recv().await {
            match portion.unwrap() {
                Portion::Stretch(stretch) => {
                    offered.push(stretch.rows);
                    if takes(offered.len()) {
                        let (mut rows, from) = (stretch.take(), sql.len());
                        while let Some(more) = rows.next().await {
                            sql.extend_from_slice(&more?);
                        }
                        let rows = Lines::counted(&sql[from..]);
                        let said = offered.last().unwrap();
                        assert_eq!((rows.bytes, rows.count, rows.is_ended), (said.bytes, said.lines, said.is_ended));
                    }
                }
                Portion::Sql(more) => sql.extend_from_slice(&more),
                _ => {}
            }
        }
        sending.await.unwrap().map(|()| (sql, offered))
    }

    fn members() -> impl Strategy<Value = Vec<(Vec<u8>, Option<usize>)>> {
        let piece = (1..3000_usize, 1..50_usize).prop_map(|(length, line)| {
            (0..length)
                .map(|at| if at % line == line - 1 { b'\n' } else { b'a' + (at % 26) as u8 })
                .collect::<Vec<u8>>()
        });
        let copy = prop_oneof![1 => Just(None), 3 => (0..2_usize).prop_map(Some)];
        prop::collection::vec((piece, copy), 1..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_is_read_apart_and_what_is_not_make_up_the_dump(members in members(), taken in any::<u32>()) {
            let (stored, spans) = dump(&members);
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("dump"), &stored).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (sql, offered) = runtime.block_on(read(directory.path(), &spans, |at| taken >> (at % 32) & 1 == 1)).unwrap();
            let all: Vec<u8> = members.iter().flat_map(|(sql, _)| sql.clone()).collect();
            prop_assert!(sql == all);
            let runs = members.chunk_by(|one, other| one.1 == other.1).filter(|run| run[0].1.is_some());
            let long = runs.map(|run| run.iter().map(|(sql, _)| sql.len() as u64).sum()).filter(|bytes| *bytes >= STRETCH_MIN);
            prop_assert_eq!(offered.iter().map(|rows| rows.bytes).collect::<Vec<u64>>(), long.collect::<Vec<u64>>());
        }
    }

    #[tokio::test]
    async fn other_rows_than_at_the_first_reading_are_an_error_wherever_they_are_read() {
        let rows = |byte: u8| [vec![byte; 99], b"\n".to_vec()].concat().repeat(100);
        let (first, spans) = dump(&[(b"COPY s.t FROM stdin;\n".to_vec(), None), (rows(b'a'), Some(1))]);
        let (second, others) = dump(&[(b"COPY s.t FROM stdin;\n".to_vec(), None), (rows(b'b'), Some(1))]);
        assert_eq!(spans[1].stored, others[1].stored, "the same to whoever looks at lengths");
        let directory = tempfile::tempdir().unwrap();
        for (stored, is_same) in [(&first[..], true), (&second, false), (&first[..first.len() - 1], false)] {
            std::fs::write(directory.path().join("dump"), stored).unwrap();
            for takes in [true, false] {
                let read = read(directory.path(), &spans, |_| takes).await;
                assert_eq!(read.is_ok(), is_same, "{takes} {:?}", read.err());
            }
        }
    }
}
