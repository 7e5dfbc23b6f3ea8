//! The rows of one COPY, dealt out to lanes in whole rows, each lane with a COPY of its own. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use memchr::{memchr_iter, memrchr};

use super::facts::Dealt;
use super::frozen::Frozen;
use super::lane::Part;
use super::touches::Qualified;
use crate::sources::postgres::load::{ENDS, Twin};
use crate::sources::postgres::rewrite::Begun;

/// How many bytes of rows go to a lane at once: enough that giving them costs nothing, little enough that all lanes end together.
const PIECE: usize = 1 << 20;
/// So many of the first bytes go to one lane together: what stands before a stretch in a member of our dumps, so that all of a table that
/// goes to one lane lies in order; and small tables.
const FIRST: usize = 2 << 20;
/// After so many bytes a lane's COPY is ended and another begun: psql tells of an error at the end only. Not where a stretch is
/// read, and not where all of a table comes frozen.
const COPY_MAX: u64 = 256 << 20;

/// What ends a COPY, by how its rows end: the server takes no other line end there than that of the rows.
const END: &[u8] = b"\\.\n";
const END_CRLF: &[u8] = b"\\.\r\n";

/// One COPY of the dump, being dealt out.
#[derive(Debug)]
pub struct Block {
    number: usize,
    /// The table, where it is known.
    pub table: Option<Qualified>,
    begun: Begun,
    header: Bytes,
    /// Whether more than one lane may have rows of it.
    pub out: bool,
    /// Rows that wait, in the pieces that they came in: they are not copied to be put together.
    rows: Vec<Bytes>,
    /// How long they are together.
    bytes: usize,
    /// The dump's line that `rows` begin in.
    line: u64,
    /// The dump's line of its first row.
    first: u64,
    /// The lane that has the beginning of the row that `rows` go on with, or that gets all of them.
    pub lane: Option<usize>,
    /// Whether the last row that was given away goes on.
    goes_on: bool,
    /// The number of a table whose rows may be frozen where one lane gets all of them.
    oid: Option<u32>,
    /// Who may load those past psql.
    twin: Option<Arc<Twin>>,
    /// Whether they are to be, in a transaction of their own.
    is_frozen: bool,
    /// The lanes that have an open COPY, and how many bytes they got.
    open: BTreeMap<usize, u64>,
}

/// Rows that go to one lane.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    rows: Vec<Bytes>,
    line: u64,
    /// Whether the last row goes on.
    goes_on: bool,
    /// The lane that must have them; nothing: any.
    pub lane: Option<usize>,
}

impl Block {
    /// The COPY of this number in the dump, whose header is `sql`.
    pub fn new(number: usize, table: Option<Qualified>, begun: Begun, sql: &[u8], dealt: Dealt) -> Block {
        let first = begun.line.unwrap_or_default() + memchr_iter(b'\n', sql).count() as u64 + 1;
        let header = [sql, b"\n"].concat().into();
        Block {
            number,
            table,
            begun,
            header,
            out: dealt == Dealt::Out,
            rows: Vec::new(),
            bytes: 0,
            line: first,
            first,
            lane: (dealt == Dealt::First).then_some(0),
            goes_on: false,
            oid: None,
            twin: None,
            is_frozen: false,
            open: BTreeMap::new(),
        }
    }

    /// The same where the table is known by a number and keeps rows itself: it may come frozen, and past psql.
    #[must_use]
    pub fn of(self, oid: Option<u32>, twin: Option<Arc<Twin>>) -> Block {
        let may_be = self.table.is_some() && self.header.ends_with(ENDS);
        // Only psql takes bytes that are no UTF-8, and says what is wrong with them.
        let is_text = self.begun.guarded.is_none() && std::str::from_utf8(&self.header).is_ok();
        Block { oid: oid.filter(|_| may_be), twin: twin.filter(|_| is_text), ..self }
    }

    fn frozen(&self) -> Option<Frozen> {
        let copy = self.header.slice(..self.header.len().checked_sub(ENDS.len())?);
        let (table, oid) = (self.table.clone()?, self.oid.filter(|_| self.is_frozen)?);
        Some(Frozen { table, oid, begun: self.begun.clone(), come: self.number, copy, twin: self.twin.clone() })
    }

    /// More rows; their first line in the dump.
    pub fn push(&mut self, line: u64, rows: Bytes) {
        if rows.is_empty() {
            return;
        }
        if self.rows.is_empty() {
            self.line = line;
        }
        self.bytes += rows.len();
        self.rows.push(rows);
    }

    /// What has to be given away now, when there is enough.
    pub fn cut(&mut self) -> Option<Cut> {
        let enough = if self.open.is_empty() { FIRST } else { PIECE };
        if self.bytes <= enough {
            return None;
        }
        let ends = self.rows.iter().enumerate().rev();
        let end = ends.filter_map(|(at, rows)| Some((at, memrchr(b'\n', rows)? + 1))).next();
        let Some((at, end)) = end else { return Some(self.take(Vec::new(), true)) };
        // What follows the last line's end stays.
        let mut rest = self.rows.split_off(at + 1);
        let last = self.rows[at].split_off(end);
        if !last.is_empty() {
            rest.insert(0, last);
        }
        Some(self.take(rest, false))
    }

    /// What is left at the end; something even when there are no rows at all, because the COPY has to be tried.
    pub fn last(&mut self) -> Option<Cut> {
        let is_done = self.rows.is_empty() && !self.open.is_empty();
        (!is_done).then(|| self.take(Vec::new(), false))
    }

    /// What this lane has to get before rows that never are here.
    pub fn before(&mut self, lane: usize) -> Option<Cut> {
        let is_ready = self.rows.is_empty() && self.is_open(lane);
        (!is_ready).then(|| self.take(Vec::new(), false))
    }

    fn take(&mut self, rest: Vec<Bytes>, goes_on: bool) -> Cut {
        self.bytes = rest.iter().map(Bytes::len).sum();
        let rows = std::mem::replace(&mut self.rows, rest);
        let line = self.line;
        self.line += rows.iter().map(|rows| memchr_iter(b'\n', rows).count() as u64).sum::<u64>();
        Cut { rows, line, goes_on, lane: self.lane }
    }

    /// What the lane writes to take these rows; `blocks` are the COPYs that it has got.
    pub fn parts(&mut self, lane: usize, cut: Cut, blocks: &mut Vec<usize>) -> Vec<Part> {
        let mut parts = Vec::new();
        // A row that goes on cannot be in two COPYs.
        if !self.goes_on && !self.is_frozen && self.open.get(&lane).is_some_and(|bytes| *bytes >= COPY_MAX) {
            self.open.remove(&lane);
            parts.push(self.end(if ends_with_crlf(&cut.rows) { END_CRLF } else { END }));
        }
        if !self.open.contains_key(&lane) {
            blocks.push(self.number);
            parts.extend(match self.frozen() {
                Some(frozen) => vec![Part::Frozen(Box::new(frozen))],
                None => vec![
                    Part::Begins(self.begun.clone(), self.number),
                    Part::At(self.begun.line),
                    Part::Sql(self.header.clone()),
                ],
            });
            parts.push(Part::Rows(self.first));
        }
        *self.open.entry(lane).or_default() += cut.rows.iter().map(|rows| rows.len() as u64).sum::<u64>();
        self.goes_on = cut.goes_on;
        self.lane = (cut.goes_on || !self.out).then_some(lane);
        parts.push(Part::At(Some(cut.line)));
        parts.extend(cut.rows.into_iter().map(Part::Sql));
        parts
    }

    /// All that comes goes to this lane.
    pub fn keep_on(&mut self, lane: usize) {
        (self.lane, self.out) = (Some(lane), false);
        self.is_frozen |= self.open.is_empty() && self.oid.is_some();
    }

    /// So many bytes of rows have gone to its lane that never were here; `is_ended`: the last of them is whole.
    pub fn stretched(&mut self, bytes: u64, is_ended: bool) {
        self.goes_on = !is_ended;
        if let Some(lane) = self.lane {
            *self.open.entry(lane).or_default() += bytes;
        }
    }

    /// What ends a COPY, as the dump has it, and its transaction.
    pub fn end(&self, mark: &[u8]) -> Part {
        let mark = Bytes::copy_from_slice(mark);
        if self.is_frozen { Part::FrozenEnd(mark) } else { Part::Sql(mark) }
    }

    /// Whether this lane has an open COPY of it.
    pub fn is_open(&self, lane: usize) -> bool {
        self.open.contains_key(&lane)
    }
}

fn ends_with_crlf(rows: &[Bytes]) -> bool {
    rows.iter().rev().flat_map(|rows| rows.iter().rev()).take(2).eq(b"\n\r")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sources::postgres::statement::Statement;

    fn block(out: bool) -> Block {
        let begun = Begun { line: Some(10), ..Begun::of(&Statement::parse(b"COPY s.t", true), true) };
        Block::new(
            3,
            Some(("s".into(), "t".into())),
            begun,
            b"COPY s.t\n(a) FROM stdin;",
            if out { Dealt::Out } else { Dealt::Whole },
        )
    }

    /// What each of some lanes has got; a lane reads these of the chunks by itself.
    fn deal(
        rows: &[Vec<u8>],
        chunk: usize,
        lanes: &[usize],
        (out, apart): (bool, std::ops::Range<usize>),
    ) -> BTreeMap<usize, Vec<u8>> {
        let (mut block, mut got, mut blocks) = (block(out), BTreeMap::<usize, Vec<u8>>::new(), Vec::new());
        let mut lanes = lanes.iter().cycle();
        let mut give = |block: &mut Block, got: &mut BTreeMap<usize, Vec<u8>>, cut: Cut| {
            let lane = cut.lane.unwrap_or_else(|| *lanes.next().unwrap());
            for part in block.parts(lane, cut, &mut blocks) {
                if let Part::Sql(sql) = part {
                    got.entry(lane).or_default().extend(sql);
                }
            }
        };
        let all = rows.concat();
        let mut line = 12;
        for (at, piece) in all.chunks(chunk).enumerate() {
            if apart.contains(&at) {
                let lane = block.lane.unwrap_or(7);
                block.keep_on(lane);
                if let Some(cut) = block.before(lane) {
                    give(&mut block, &mut got, cut);
                }
                block.stretched(piece.len() as u64, piece.ends_with(b"\n"));
                got.entry(lane).or_default().extend_from_slice(piece);
                line += memchr_iter(b'\n', piece).count() as u64;
                continue;
            }
            block.push(line, Bytes::copy_from_slice(piece));
            line += memchr_iter(b'\n', piece).count() as u64;
            while let Some(cut) = block.cut() {
                give(&mut block, &mut got, cut);
            }
        }
        if let Some(cut) = block.last() {
            give(&mut block, &mut got, cut);
        }
        assert!(block.open.keys().all(|lane| got.contains_key(lane)));
        got
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_row_goes_whole_to_one_lane_and_once(
            sizes in prop::collection::vec(prop_oneof![4 => 0..50_usize, 2 => 200_000..400_000_usize, 1 => 2_000_000..3_000_000_usize], 0..20),
            chunk in prop_oneof![Just(70_001_usize), Just(1_000_003), Just(5_000_000)],
            lanes in prop::collection::vec(0..4_usize, 1..6),
            out in any::<bool>(),
            apart in prop_oneof![Just(0..0), (0..4_usize, 1..4_usize).prop_map(|(from, count)| from..from + count)],
        ) {
            let rows: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(at, size)| [format!("{at}\t").into_bytes(), vec![b'x'; *size], vec![b'\n']].concat()).collect();
            let got = deal(&rows, chunk, &lanes, (out, apart));
            let header = b"COPY s.t\n(a) FROM stdin;\n";
            let mut seen: Vec<Vec<u8>> = Vec::new();
            for text in got.values() {
                let text = text.strip_prefix(header).expect("a COPY of its own");
                seen.extend(text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec));
            }
            prop_assert!(out || got.len() == 1);
            seen.sort();
            let mut rows = rows;
            rows.sort();
            prop_assert!(seen == rows);
        }
    }

    #[test]
    fn a_table_without_rows_is_copied_all_the_same() {
        let (mut block, mut blocks) = (block(true), Vec::new());
        let cut = block.last().unwrap();
        assert_eq!(block.parts(1, cut, &mut blocks).len(), 5);
        assert_eq!((blocks, block.is_open(1), block.is_open(0)), (vec![3], true, false));
        assert!(block.last().is_none());
    }

    #[test]
    fn a_copy_that_is_ended_halfway_is_ended_as_its_rows_are() {
        for (rows, mark) in [(&b"a\n"[..], &b"\\.\n"[..]), (b"a\r\n", b"\\.\r\n")] {
            let mut block = block(true);
            block.push(12, Bytes::copy_from_slice(rows));
            block.open.insert(1, COPY_MAX);
            let cut = block.last().unwrap();
            assert!(matches!(&block.parts(1, cut, &mut Vec::new())[0], Part::Sql(sql) if sql == mark));
        }
    }

    #[test]
    fn a_copy_is_not_ended_within_a_row_that_a_stretch_leaves_open() {
        for (is_ended, begins_anew) in [(true, true), (false, false)] {
            let (mut block, mut blocks) = (block(true), Vec::new());
            block.keep_on(1);
            let header = block.before(1).unwrap();
            block.parts(1, header, &mut blocks);
            assert!(block.before(1).is_none(), "it is ready");
            block.stretched(COPY_MAX, is_ended);
            block.push(12, Bytes::from_static(b"the rest\nmore\n"));
            let rest = block.last().unwrap();
            assert_eq!(rest.lane, Some(1));
            block.parts(1, rest, &mut blocks);
            assert_eq!(blocks.len() == 2, begins_anew);
        }
    }

    #[test]
    fn a_copy_is_frozen_when_one_lane_has_all_of_it() {
        for (given, is_frozen) in [(None, true), (Some(0), false), (Some(1), false)] {
            let (mut block, mut blocks) = (block(true).of(Some(16384), None), Vec::new());
            if let Some(lane) = given {
                block.push(12, [vec![b'a'; FIRST], b"\n".to_vec()].concat().into());
                let cut = block.cut().unwrap();
                block.parts(lane, cut, &mut blocks);
            }
            block.keep_on(1);
            let parts = block.before(1).map(|cut| block.parts(1, cut, &mut blocks)).unwrap_or_default();
            assert_eq!(parts.iter().any(|part| matches!(part, Part::Frozen(_))), is_frozen, "{given:?}");
            block.stretched(COPY_MAX, true);
            block.push(13, Bytes::from_static(b"more\n"));
            let last = block.last().unwrap();
            let is_in_one = block.parts(1, last, &mut blocks).len() == 2;
            assert_eq!(is_in_one, is_frozen, "one COPY in one transaction");
            let ends = block.end(b"\\.\n");
            assert_eq!(matches!(&ends, Part::FrozenEnd(mark) if mark == "\\.\n"), is_frozen);
            assert_eq!(matches!(&ends, Part::Sql(mark) if mark == "\\.\n"), !is_frozen);
        }
    }

    #[test]
    fn each_piece_knows_its_line() {
        let mut block = block(true);
        block.push(12, [vec![b'a'; FIRST - 10], b"\nb\nc".to_vec()].concat().into());
        assert!(block.cut().is_none(), "more may come for the same lane");
        block.push(14, vec![b'd'; 20].into());
        let cut = block.cut().unwrap();
        assert_eq!((cut.line, cut.goes_on, cut.rows.concat().len()), (12, false, FIRST - 7));
        block.parts(0, cut, &mut Vec::new());
        block.push(14, [vec![b'e'; PIECE - 22], b"\n".to_vec(), vec![b'f'; 3]].concat().into());
        let cut = block.cut().unwrap();
        assert_eq!((cut.line, cut.rows.concat().len()), (14, PIECE));
        let rest = block.last().unwrap();
        assert_eq!((rest.line, rest.rows.concat().len()), (15, 3));
    }
}
