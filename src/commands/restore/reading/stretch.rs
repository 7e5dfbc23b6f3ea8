//! The second reading of a dump whose first one found where many rows lie together. Such a span is offered first to whoever reads, who may
//! have it read elsewhere, by another reader and at the same time as what follows.

use std::sync::Arc;

use anyhow::{Result, bail};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{BoxStream, try_unfold};
use tokio::sync::oneshot;

use super::sealed_sql::{Shared, locked};
use super::spans::Span;
use super::sql::{Portion, Tell, another_dump, of, rest, unpacked};
use super::tree::Part;
use crate::commands::store_failure;
use crate::report::progress::Step;
use crate::repository::bucket::download::Download;
use crate::repository::bucket::store::{Store, Version};
use crate::repository::bucket::unpack::Unpacker;
use crate::sources::postgres::lexer::AmongRows;

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
    at: u64,
    /// Up to the place that was asked for, and not further: nothing is left open while a stretch waits for whoever is to read it.
    download: Option<Download>,
}

impl Reader {
    fn new(object: &Pinned, at: u64) -> Reader {
        Reader { object: object.clone(), at, download: None }
    }

    /// The next bytes before this place, or before the end; nothing there. No other place is asked for on the way.
    async fn next(&mut self, to: Option<u64>) -> Result<Option<Bytes>> {
        if to.is_some_and(|to| self.at >= to) {
            self.download = None;
            return Ok(None);
        }
        let download = match &mut self.download {
            Some(download) => download,
            None => {
                // All of it is asked for without a range: some stores keep a sum of that.
                let range = (self.at > 0 || to.is_some()).then(|| self.at..to.unwrap_or(u64::MAX));
                let Pinned { store, name, version } = &self.object;
                self.download.insert(store.read(name, range, version.as_ref()).await.map_err(store_failure)?)
            }
        };
        let next = download.next().await.map_err(store_failure)?;
        if next.is_none() && to.is_some() {
            bail!(another_dump());
        }
        self.at += next.as_ref().map_or(0, Bytes::len) as u64;
        Ok(next)
    }
}

/// Sends a dump; false when nobody reads any more.
pub(super) async fn send(
    object: &Pinned,
    spans: &[Span],
    tell: &Tell,
    (sealed, step): (&Shared, &Arc<Step>),
) -> Result<bool> {
    let (mut reader, mut unpacker) = (Reader::new(object, 0), Unpacker::of_members());
    for span in spans {
        // Whoever reads is to stand where it begins.
        if !sent(&mut reader, &mut unpacker, Some(span.stored.start), tell).await? {
            return Ok(false);
        }
        let (taken, is_taken) = oneshot::channel();
        let (object, sealed, step) = (object.clone(), sealed.clone(), step.clone());
        let stretch = Stretch { span: span.clone(), object, sealed, step, taken };
        if tell.send(Ok(Portion::Stretch(Box::new(stretch)))).await.is_err() {
            return Ok(false);
        }
        if is_taken.await.is_ok() {
            reader.at = span.stored.end;
        }
    }
    sent(&mut reader, &mut unpacker, None, tell).await
}

/// Sends what lies before this place; false when nobody reads any more.
async fn sent(reader: &mut Reader, unpacker: &mut Unpacker, to: Option<u64>, tell: &Tell) -> Result<bool> {
    while let Some(stored) = reader.next(to).await? {
        unpacker.push(&stored);
        if !unpacked(unpacker, tell).await? {
            return Ok(false);
        }
    }
    rest(unpacker, tell).await
}

/// Many rows of one COPY, which come next. Whoever drops it gets them as any SQL.
pub struct Stretch {
    /// What they are.
    pub span: Span,
    object: Pinned,
    sealed: Shared,
    step: Arc<Step>,
    taken: oneshot::Sender<()>,
}

impl Stretch {
    /// The rows, to be read elsewhere: what comes next is what stands behind them.
    pub fn take(self) -> BoxStream<'static, Result<Bytes>> {
        let Stretch { span, object, sealed, step, taken } = self;
        let part = locked(&sealed).lend();
        let reading = Reading {
            reader: Reader::new(&object, span.stored.start),
            end: span.stored.end,
            rows: AmongRows::new(span.begins_line),
            unpacker: Unpacker::of_part(),
            part,
            sealed,
            step,
        };
        // Should nobody listen any more, nobody reads on either.
        let _ = taken.send(());
        let rows = try_unfold(reading, |mut reading| async move {
            match reading.next().await? {
                Some(rows) => Ok(Some((rows, reading))),
                None => reading.finish().map(|()| None),
            }
        });
        rows.map(move |rows| rows.map_err(|error| of(&object.name, error))).boxed()
    }
}

/// One span that is being read.
struct Reading {
    reader: Reader,
    end: u64,
    /// What the rows' own reader has seen: here, too, nothing passes that is more than rows.
    rows: AmongRows,
    unpacker: Unpacker,
    /// What of the SQL it is.
    part: Part,
    sealed: Shared,
    step: Arc<Step>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let rows = loop {
            if let Some(rows) = self.unpacker.next().await? {
                break rows;
            }
            match self.reader.next(Some(self.end)).await? {
                Some(stored) => self.unpacker.push(&stored),
                None => match self.unpacker.rest().await? {
                    Some(rows) => break rows,
                    None => return Ok(None),
                },
            }
        };
        // Other rows than at the first reading, or more than rows.
        if !self.part.push(&rows).is_empty() || !self.rows.push(&rows) {
            bail!(another_dump());
        }
        self.step.advance(rows.len() as u64);
        Ok(Some(rows))
    }

    /// All of them came.
    fn finish(self) -> Result<()> {
        if !self.part.is_whole() {
            bail!(another_dump());
        }
        locked(&self.sealed).give_back(self.part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use proptest::prelude::*;
    use tokio::sync::mpsc;

    use super::super::sealed_sql::SealedSql;
    use super::super::spans::{Place, ROWS_MIN, Spans};
    use super::*;
    use crate::repository::bucket::member::{self, Lines};
    use crate::repository::bucket::options::StoreOptions;
    use crate::repository::bucket::pack;
    use crate::settings::address::BucketAddress;

    const SEAL: &str = "-- bkp seal {}\n";

    /// A dump whose members are these, each of a COPY's rows or not, with what its first reading finds.
    struct Dump {
        stored: Vec<u8>,
        spans: Vec<Span>,
        sql: Vec<u8>,
    }

    fn dump(members: &[(Vec<u8>, Option<usize>)]) -> Dump {
        let (mut stored, mut spans) = (Vec::new(), Spans::default());
        for (sql, copy) in members {
            let member = member::packed(sql, 1).unwrap();
            let place = Place { copy: *copy, section: None, copies: 0, is_open: false };
            spans.take(member.len() as u64, place, Lines::counted(sql));
            stored.extend_from_slice(&member);
        }
        let length = stored.len();
        stored.extend_from_slice(&pack::sealed_end(SEAL).unwrap());
        Dump {
            stored,
            spans: spans.finish(length as u64),
            sql: members.iter().flat_map(|(sql, _)| sql.clone()).collect(),
        }
    }

    /// All SQL of what is in the directory, with each stretch read apart that `takes` says. It is to be what `first` was.
    async fn read(directory: &Path, first: &Dump, takes: impl Fn(usize) -> bool) -> Result<(Vec<u8>, Vec<u64>)> {
        let store = Store::open(&BucketAddress::Directory(directory.to_owned()), &StoreOptions::default()).unwrap();
        let object = Pinned { store, name: "dump".into(), version: None };
        let digest = format!("blake3:{}", blake3::hash(&first.sql).to_hex());
        let sealed = Arc::new(Mutex::new(SealedSql::new(first.sql.len() as u64, &digest, &first.spans)));
        let ((tell, mut told), spans, shared) = (mpsc::channel(2), first.spans.clone(), sealed.clone());
        let sending = tokio::spawn(async move {
            let step = Arc::new(Step::begin("dump", []));
            send(&object, &spans, &tell, (&shared, &step)).await.map(|is_read| assert!(is_read))
        });
        let (mut sql, mut offered) = (Vec::new(), Vec::new());
        while let Some(portion) = told.recv().await {
            match portion.unwrap() {
                Portion::Stretch(stretch) => {
                    let span = stretch.span.clone();
                    offered.push(span.bytes());
                    if takes(offered.len()) {
                        let (mut rows, from) = (stretch.take(), sql.len());
                        while let Some(more) = rows.next().await {
                            sql.extend_from_slice(&more?);
                        }
                        let rows = Lines::counted(&sql[from..]);
                        let said = (span.bytes(), span.lines, span.is_ended);
                        assert_eq!((rows.bytes, rows.count, rows.is_ended), said);
                    }
                }
                Portion::Sql(more) => {
                    sealed.lock().unwrap().push(&more);
                    sql.extend_from_slice(&more);
                }
                _ => {}
            }
        }
        sending.await.unwrap()?;
        Arc::into_inner(sealed).unwrap().into_inner().unwrap().prove()?;
        Ok((sql, offered))
    }

    #[tokio::test]
    async fn what_would_end_the_rows_never_comes_out_of_a_stretch() {
        let of = |end: &str| {
            let rows = "1\ta row\n".repeat(1000).into_bytes();
            dump(&[
                (b"COPY s.t FROM stdin;\n".to_vec(), None),
                (rows, Some(1)),
                (end.into(), Some(1)),
                (b"\\.\n".to_vec(), None),
            ])
        };
        let (first, second) = (of("\\N\t23456\n"), of("\\.\nDROP x;"));
        let directory = tempfile::tempdir().unwrap();
        for (dump, is_rows) in [(&first, true), (&second, false)] {
            std::fs::write(directory.path().join("dump"), &dump.stored).unwrap();
            assert_eq!(read(directory.path(), dump, |_| true).await.is_ok(), is_rows);
        }
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
            let first = dump(&members);
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("dump"), &first.stored).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (sql, offered) = runtime.block_on(read(directory.path(), &first, |at| taken >> (at % 32) & 1 == 1)).unwrap();
            prop_assert!(sql == [&first.sql, SEAL.as_bytes()].concat());
            let runs = members.chunk_by(|one, other| one.1 == other.1).filter(|run| run[0].1.is_some());
            let long = runs.map(|run| run.iter().map(|(sql, _)| sql.len() as u64).sum()).filter(|bytes| *bytes >= ROWS_MIN);
            prop_assert_eq!(offered, long.collect::<Vec<u64>>());
        }
    }

    #[tokio::test]
    async fn other_rows_than_at_the_first_reading_are_an_error_wherever_they_are_read() {
        let rows = |byte: u8| [vec![byte; 99], b"\n".to_vec()].concat().repeat(100);
        let of =
            |byte: u8| dump(&[(b"COPY s.t FROM stdin;\n".to_vec(), None), (rows(byte), Some(1)), (rows(b'c'), None)]);
        let (first, second) = (of(b'a'), of(b'b'));
        assert_eq!(first.spans, second.spans, "the same to whoever looks at lengths");
        let mut cut = first.stored.clone();
        cut.truncate(usize::try_from(first.spans[0].stored.end).unwrap() - 1);
        let directory = tempfile::tempdir().unwrap();
        for (stored, is_same) in [(&first.stored, true), (&second.stored, false), (&cut, false)] {
            std::fs::write(directory.path().join("dump"), stored).unwrap();
            for takes in [true, false] {
                let read = read(directory.path(), &first, |_| takes).await;
                assert_eq!(read.is_ok(), is_same, "{takes} {:?}", read.err());
            }
        }
    }
}
