//! Where in a sealed dump many rows of one COPY lie together, and nothing else, as its first reading finds that: several may read it at once
//! then. Pure.

use std::ops::Range;

use crate::repository::bucket::member::Lines;

/// So many bytes of rows are worth a reader of their own: its requests to the store, and the wait for them.
pub(super) const ROWS_MIN: u64 = if cfg!(test) { 4000 } else { 16 << 20 };

/// A COPY of few rows takes a session as long as so many bytes of rows do: measured with 2,000 of them, 1 ms each, and 100 MB of rows a second.
const COPY_BYTES: u64 = 100_000;

/// Rows of one COPY that lie together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Where their members are stored.
    pub stored: Range<u64>,
    /// Where they are in the SQL.
    pub sql: Range<u64>,
    /// Whether their first byte begins a line.
    pub begins_line: bool,
    /// How many lines end in them.
    pub lines: u64,
    /// Whether their last byte ends one.
    pub is_ended: bool,
    /// How much is behind them, up to the end of the same database: bytes of SQL, and for each COPY as many as it takes.
    pub behind: u64,
}

impl Span {
    /// How many bytes the rows are.
    pub fn bytes(&self) -> u64 {
        self.sql.end - self.sql.start
    }
}

/// What a member lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which COPY's rows all of it are, by the number in the dump; nothing: there is something else in it.
    pub copy: Option<usize>,
    /// Which database's dump it is in.
    pub section: Option<usize>,
    /// How many COPYs have begun by its end.
    pub copies: usize,
    /// Whether it ends as the end of those rows begins: nobody else can begin to read behind it, or stop there.
    pub is_open: bool,
}

/// Spans that are being found.
#[derive(Default)]
pub struct Spans {
    found: Vec<(Span, Place)>,
    /// Rows that lie together so far.
    current: Option<Current>,
    /// How many bytes are stored of what has come, and how many it is.
    stored: u64,
    sql: u64,
    /// Whether what has come ends a line, and whether it ends as in [`Place::is_open`].
    is_ended: bool,
    is_open: bool,
    /// Where each database's dump ends, as far as has come.
    ends: Vec<(Option<usize>, u64)>,
}

struct Current {
    /// Where its first member is.
    place: Place,
    /// All that has come, and how far it may be read elsewhere.
    all: Span,
    span: Option<Span>,
}

impl Spans {
    /// Takes the next member, of so many stored bytes, and what it holds.
    pub fn take(&mut self, stored: u64, place: Place, lines: Lines) {
        let Place { copy, section, copies, is_open } = place;
        if self.current.as_ref().is_some_and(|Current { place, .. }| (place.copy, place.section) != (copy, section)) {
            self.end();
        }
        if self.current.is_none() && copy.is_some() && !self.is_open {
            let (stored, sql, begins_line) = (self.stored..self.stored, self.sql..self.sql, self.is_ended);
            let all = Span { stored, sql, begins_line, lines: 0, is_ended: false, behind: 0 };
            self.current = Some(Current { place, all, span: None });
        }
        self.stored += stored;
        self.sql += lines.bytes;
        self.is_open = is_open;
        if lines.bytes > 0 {
            self.is_ended = lines.is_ended;
        }
        if let Some(Current { all, span, .. }) = &mut self.current {
            (all.stored.end, all.sql.end) = (self.stored, self.sql);
            (all.lines, all.is_ended) = (all.lines + lines.count, self.is_ended);
            if !is_open {
                *span = Some(all.clone());
            }
        }
        self.ends.pop_if(|(of, _)| *of == section);
        self.ends.push((section, self.sql + copies as u64 * COPY_BYTES));
    }

    fn end(&mut self) {
        let Some(Current { place, span, .. }) = self.current.take() else { return };
        self.found.extend(span.filter(|span| span.bytes() >= ROWS_MIN).map(|span| (span, place)));
    }

    /// All of them, when the members were so many stored bytes: where any did not say its length, none lies where it was counted.
    pub fn finish(mut self, stored: u64) -> Vec<Span> {
        self.end();
        if self.stored != stored {
            return Vec::new();
        }
        let end_of = |section| self.ends.iter().rev().find(|(of, _)| *of == section).map_or(0, |(_, end)| *end);
        let behind = |(span, Place { section, copies, .. }): (Span, Place)| {
            let behind = end_of(section) - span.sql.end - copies as u64 * COPY_BYTES;
            Span { behind, ..span }
        };
        self.found.into_iter().map(behind).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_begins_or_ends_to_read_amid_what_may_end_the_rows() {
        let rows = |is_ended| Lines { bytes: ROWS_MIN, count: 1, is_ended };
        let found = |members: &[(bool, bool)]| {
            let mut spans = Spans::default();
            spans.take(1, Place { copy: None, section: None, copies: 1, is_open: false }, rows(true));
            for (is_open, is_ended) in members {
                spans.take(1, Place { copy: Some(1), section: None, copies: 1, is_open: *is_open }, rows(*is_ended));
            }
            let spans = spans.finish(1 + members.len() as u64);
            spans.iter().map(|span| (span.stored.clone(), span.begins_line, span.is_ended)).collect::<Vec<_>>()
        };
        assert_eq!(found(&[(true, false), (false, true)]), [(1..3, true, true)], "within it does no harm");
        assert_eq!(found(&[(false, false), (true, false)]), [(1..2, true, false)]);
        assert_eq!(found(&[(true, false)]), []);
        let mut spans = Spans::default();
        spans.take(1, Place { copy: None, section: None, copies: 1, is_open: true }, rows(false));
        spans.take(1, Place { copy: Some(1), section: None, copies: 1, is_open: false }, rows(false));
        spans.take(1, Place { copy: Some(1), section: None, copies: 1, is_open: false }, rows(true));
        let begins: Vec<_> = spans.finish(3).iter().map(|span| (span.stored.clone(), span.begins_line)).collect();
        assert_eq!(begins, [(2..3, false)]);
    }

    #[test]
    fn where_members_lie_elsewhere_than_they_were_counted_there_are_none() {
        let found = |stored| {
            let mut spans = Spans::default();
            let rows = Lines { bytes: ROWS_MIN, count: 1, is_ended: true };
            spans.take(5, Place { copy: Some(1), section: None, copies: 1, is_open: false }, rows);
            spans.finish(stored).len()
        };
        assert_eq!((found(5), found(6)), (1, 0));
    }

    #[test]
    fn what_is_behind_rows_is_of_the_same_database() {
        let mut spans = Spans::default();
        let rows = Lines { bytes: ROWS_MIN / 2, count: 3, is_ended: true };
        let other = Lines { bytes: 10, count: 1, is_ended: true };
        for (at, (copy, section, lines)) in [
            (None, None, other),
            (Some(1), Some(0), rows),
            (Some(1), Some(0), Lines { is_ended: false, ..rows }),
            (None, Some(0), other),
            // Too few to be worth it.
            (Some(2), Some(0), rows),
            (None, Some(0), other),
            (Some(3), Some(1), rows),
            (Some(3), Some(1), rows),
            (Some(4), Some(1), rows),
            (Some(4), Some(1), rows),
        ]
        .into_iter()
        .enumerate()
        {
            let copies = [0, 1, 1, 2, 2, 2, 3, 3, 4, 4][at];
            spans.take(5, Place { copy, section, copies, is_open: false }, lines);
        }
        let half = ROWS_MIN / 2;
        let span = |stored, from: u64, is_ended, behind| Span {
            stored,
            sql: from..from + 2 * half,
            begins_line: true,
            lines: 6,
            is_ended,
            behind,
        };
        let third = 3 * half + 30;
        assert_eq!(
            spans.finish(50),
            [
                span(5..15, 10, false, half + 20 + COPY_BYTES),
                span(30..40, third, true, 2 * half + COPY_BYTES),
                span(40..50, third + 2 * half, true, 0)
            ]
        );
    }
}
