//! Where in a sealed dump many rows of one COPY lie together, and nothing else, as its first reading finds that: several may read it at once
//! then. Pure.

use std::ops::Range;

use crate::repository::bucket::member::Lines;

/// So many bytes of rows are worth a reader of their own: its requests to the store, and the wait for them.
pub(super) const ROWS_MIN: u64 = if cfg!(test) { 4000 } else { 16 << 20 };

/// Rows of one COPY that lie together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Where their members are stored.
    pub stored: Range<u64>,
    /// Where they are in the SQL.
    pub sql: Range<u64>,
    /// How many lines end in them.
    pub lines: u64,
    /// Whether their last byte ends one.
    pub is_ended: bool,
    /// How many bytes of SQL are behind them, up to the end of the same database.
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
}

/// Spans that are being found.
#[derive(Default)]
pub struct Spans {
    found: Vec<(Span, Option<usize>)>,
    current: Option<(Span, Place)>,
    /// How many bytes are stored of what has come, and how many it is.
    stored: u64,
    sql: u64,
    /// Where each database's dump ends, as far as has come.
    ends: Vec<(Option<usize>, u64)>,
}

impl Spans {
    /// Takes the next member, of so many stored bytes, and what it holds.
    pub fn take(&mut self, stored: u64, place: Place, lines: Lines) {
        if self.current.as_ref().is_none_or(|(_, current)| *current != place) {
            self.end();
            let (stored, sql) = (self.stored..self.stored, self.sql..self.sql);
            self.current = Some((Span { stored, sql, lines: 0, is_ended: false, behind: 0 }, place));
        }
        self.stored += stored;
        self.sql += lines.bytes;
        if let Some((span, _)) = &mut self.current {
            (span.stored.end, span.sql.end) = (self.stored, self.sql);
            (span.lines, span.is_ended) = (span.lines + lines.count, lines.is_ended);
        }
        self.ends.pop_if(|(section, _)| *section == place.section);
        self.ends.push((place.section, self.sql));
    }

    fn end(&mut self) {
        let is_long = |(span, place): &(Span, Place)| place.copy.is_some() && span.bytes() >= ROWS_MIN;
        if let Some((span, place)) = self.current.take().filter(is_long) {
            self.found.push((span, place.section));
        }
    }

    /// All of them, when the members were so many stored bytes: where any did not say its length, none lies where it was counted.
    pub fn finish(mut self, stored: u64) -> Vec<Span> {
        self.end();
        if self.stored != stored {
            return Vec::new();
        }
        let end_of = |section| self.ends.iter().rev().find(|(of, _)| *of == section).map_or(0, |(_, end)| *end);
        let behind = |(span, section): (Span, Option<usize>)| Span { behind: end_of(section) - span.sql.end, ..span };
        self.found.into_iter().map(behind).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_members_lie_elsewhere_than_they_were_counted_there_are_none() {
        let found = |stored| {
            let mut spans = Spans::default();
            let rows = Lines { bytes: ROWS_MIN, count: 1, is_ended: true };
            spans.take(5, Place { copy: Some(1), section: None }, rows);
            spans.finish(stored).len()
        };
        assert_eq!((found(5), found(6)), (1, 0));
    }

    #[test]
    fn what_is_behind_rows_is_of_the_same_database() {
        let mut spans = Spans::default();
        let rows = Lines { bytes: ROWS_MIN / 2, count: 3, is_ended: true };
        let other = Lines { bytes: 10, count: 1, is_ended: true };
        for (copy, section, lines) in [
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
        ] {
            spans.take(5, Place { copy, section }, lines);
        }
        let half = ROWS_MIN / 2;
        let span = |stored, from: u64, is_ended, behind| Span {
            stored,
            sql: from..from + 2 * half,
            lines: 6,
            is_ended,
            behind,
        };
        let third = 3 * half + 30;
        assert_eq!(
            spans.finish(50),
            [
                span(5..15, 10, false, half + 20),
                span(30..40, third, true, 2 * half),
                span(40..50, third + 2 * half, true, 0)
            ]
        );
    }
}
