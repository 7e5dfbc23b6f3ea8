//! The first reading of a dump whose seal says what is stored. Its stored bytes are compared with that, so what they unpack to is known
//! without unpacking it. Only what a plan needs is unpacked, the statements; rows are counted as their members say. The second reading
//! sees all of it, holds every member against what it says, and all SQL against the seal's digest.

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::prefix::Prefix;
use super::spans::{Place, Span, Spans};
use super::{First, Piece, Read, Source, Stored};
use crate::commands::store_failure;
use crate::repository::bucket::member::Lines;
use crate::repository::bucket::unpack::{Unpacked, Unpacker};
use crate::sources::postgres::survey::{Survey, Surveyor};

/// Stored bytes that wait to be digested: each is what a store gives at once.
const AHEAD: usize = 4;

/// What the dump is; nothing when it has no such seal, or is not what was sealed.
///
/// # Errors
/// When the store fails.
pub(super) async fn survey(stored: &Stored) -> Result<Option<Read>> {
    let [Piece { seal: Some(seal), database: None, place: Source::Object(store, dump), .. }] = &stored.pieces[..]
    else {
        return Ok(None);
    };
    let Some(sealed) = &seal.stored else { return Ok(None) };
    let step = stored.step();
    let mut download = store.read(&dump.name, None, dump.version.as_ref()).await.map_err(store_failure)?;
    let (compare, mut came) = mpsc::channel::<Bytes>(AHEAD);
    let mut prefix = Prefix::new(sealed.bytes, &sealed.digest);
    let compared = spawn_blocking(move || {
        while let Some(bytes) = came.blocking_recv() {
            // Behind it lies the seal, of which the survey sees what it unpacks to.
            prefix.push(&bytes);
        }
        prefix.is_same()
    });
    let mut read = Passing::default();
    while let Some(bytes) = download.next().await.map_err(store_failure)? {
        read.unpacker.push(&bytes);
        let _ = compare.send(bytes).await;
        match read.go_on().await {
            Ok(sql) => step.advance(sql),
            Err(_) => return Ok(None),
        }
    }
    drop(compare);
    let Ok((survey, spans)) = read.finish(sealed.bytes).await else { return Ok(None) };
    let is_same = compared.await.context("comparing what is stored")?;
    if !is_same || survey.bytes != seal.bytes || survey.stray.is_some() {
        return Ok(None);
    }
    let first = First::Sealed { spans: spans.into(), bytes: seal.bytes, digest: seal.digest.clone() };
    Ok(Some(Read { survey, parts: Vec::new(), first }))
}

/// Stored bytes on their way into a survey.
struct Passing {
    unpacker: Unpacker,
    surveyor: Surveyor,
    spans: Spans,
}

impl Default for Passing {
    fn default() -> Passing {
        Passing { unpacker: Unpacker::of_sealed(), surveyor: Surveyor::for_replay(), spans: Spans::default() }
    }
}

impl Passing {
    /// Takes what has come; says how much SQL that is.
    async fn go_on(&mut self) -> Result<u64> {
        let mut taken = 0;
        while let Some(unpacked) = self.unpacker.next_or_lines(self.surveyor.is_among_rows()).await? {
            taken += self.take(&unpacked)?;
        }
        Ok(taken)
    }

    fn take(&mut self, unpacked: &Unpacked) -> Result<u64> {
        let before = self.surveyor.copy();
        let lines = match unpacked {
            Unpacked::Sql(sql) => {
                self.surveyor.push(sql)?;
                Lines::counted(sql)
            }
            Unpacked::Lines(lines) => {
                self.surveyor.skip_rows(lines.bytes, lines.count, lines.is_ended);
                *lines
            }
        };
        let copy = before.filter(|_| self.surveyor.copy() == before);
        let is_open = self.surveyor.copy().is_some() && !self.surveyor.is_among_rows();
        self.spans.take(
            self.unpacker.given() as u64,
            Place { copy, section: self.surveyor.section(), copies: self.surveyor.copies(), is_open },
            lines,
        );
        Ok(lines.bytes)
    }

    async fn finish(mut self, stored: u64) -> Result<(Survey, Vec<Span>)> {
        while let Some(sql) = self.unpacker.rest().await? {
            self.take(&Unpacked::Sql(sql))?;
        }
        Ok((self.surveyor.finish()?, self.spans.finish(stored)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::repository::bucket::{member, pack};

    const LINE: &str = "-- bkp seal {}\n";

    /// As a store gives it: members of these lengths, and the seal.
    fn stored(sql: &[u8], lengths: &[usize]) -> Vec<u8> {
        let (mut stored, mut rest, mut lengths) = (Vec::new(), sql, lengths.iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((*lengths.next().unwrap()).min(rest.len()));
            stored.extend_from_slice(&member::packed(piece, 1).unwrap());
            rest = behind;
        }
        stored.extend_from_slice(&pack::sealed_end(LINE).unwrap());
        stored
    }

    /// What is read of it, and how much of the SQL was unpacked for that.
    async fn read(stored: &[u8], chunk: usize) -> (Option<(Survey, Vec<Span>)>, u64) {
        let (mut read, mut unpacked, mut well) = (Passing::default(), 0, true);
        for bytes in stored.chunks(chunk) {
            read.unpacker.push(bytes);
            while let Ok(Some(next)) = read.unpacker.next_or_lines(read.surveyor.is_among_rows()).await {
                let taken = read.take(&next);
                well &= taken.is_ok();
                unpacked += if matches!(next, Unpacked::Sql(_)) { taken.unwrap_or_default() } else { 0 };
            }
        }
        (read.finish(0).await.ok().filter(|_| well), unpacked)
    }

    fn segment() -> impl Strategy<Value = String> {
        let row = prop::sample::select(vec![
            "1\ta",
            "1\ta\r",
            "\\.\r\r",
            "\\N\t",
            "",
            "\\.x",
            "\\\\.",
            "a\\.",
            "\\",
            "long long long row\twith\ttabs",
        ]);
        let rows = prop::collection::vec(row, 0..40).prop_map(|rows| {
            let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
            format!("COPY s.t (a, b) FROM stdin;\n{rows}\\.\n")
        });
        let other = prop::sample::select(vec![
            "SELECT 1;\n",
            "-- a comment\n\n",
            "CREATE FUNCTION f() RETURNS text AS $$\n\\.\nCOPY x FROM stdin;\n$$ LANGUAGE sql;\n",
            "CREATE TABLE s.t (a int);\n",
            "--\n-- PostgreSQL database dump complete\n--\n",
        ]);
        prop_oneof![2 => rows, 3 => other.prop_map(str::to_owned)]
    }

    proptest! {
        #[test]
        fn a_survey_is_the_same_whether_rows_are_unpacked_or_not(
            segments in prop::collection::vec(segment(), 0..12),
            lengths in prop::collection::vec(1..120_usize, 1..6),
            chunk in 1..400_usize,
        ) {
            let sql = segments.concat();
            let mut all = Surveyor::for_replay();
            let whole = all.push(format!("{sql}{LINE}").as_bytes()).and_then(|()| all.finish());
            let (found, _) = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(read(&stored(sql.as_bytes(), &lengths), chunk));
            let without_digest = |survey: Survey| Survey { digest: String::new(), ..survey };
            prop_assert_eq!(found.map(|(survey, _)| without_digest(survey)), whole.ok().map(without_digest));
        }
    }

    #[tokio::test]
    async fn of_many_rows_next_to_nothing_is_unpacked() {
        let rows: String = (0..50_000).map(|n| format!("{n}\ta row\n")).collect();
        let sql = format!("CREATE TABLE s.t (a int, b text);\nCOPY s.t (a, b) FROM stdin;\n{rows}\\.\nSELECT 1;\n");
        let (survey, unpacked) = read(&stored(sql.as_bytes(), &[10_000]), 3000).await;
        let (survey, _) = survey.unwrap();
        assert_eq!((survey.sections[0].tables[0].rows, survey.bytes), (50_000, sql.len() as u64));
        assert_eq!((survey.digest.as_str(), survey.seal.as_deref()), ("", Some(&b"{}"[..])));
        assert!(unpacked < 60_000, "{unpacked} of {}", sql.len());
    }
}
