//! A sealed dump as its first reading found it: spans of stored members, one behind the other, each with its digest, and which of them hold
//! nothing but rows of one COPY. The second reading compares them one by one, so that several may read it at once. Pure.

use crate::repository::bucket::member::Lines;

/// So many bytes of rows are worth a reader of their own: its requests to the store, and the wait for them.
#[cfg(not(test))]
const STRETCH_MIN: u64 = 16 << 20;
#[cfg(test)]
pub(super) const STRETCH_MIN: u64 = 4000;

/// Members that lie together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// How many bytes are stored.
    pub stored: u64,
    /// Their digest.
    pub digest: blake3::Hash,
    /// What they hold, where that is many rows of one COPY and nothing else.
    pub rows: Option<Rows>,
}

/// Rows that somebody else may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// How many bytes they are.
    pub bytes: u64,
    /// How many lines end in them.
    pub lines: u64,
    /// Whether their last byte ends one.
    pub is_ended: bool,
    /// How many bytes of SQL are behind them, up to the end of the same database.
    pub behind: u64,
}

/// Where a member lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which COPY's rows all of it are, by the number in the dump; nothing: there is something else in it.
    pub copy: Option<usize>,
    /// Which database's dump it is in.
    pub section: Option<usize>,
}

/// Members that are being put together.
#[derive(Default)]
pub struct Members {
    stored: u64,
    hasher: blake3::Hasher,
}

impl Members {
    /// The next of them, or a part of one, as it is stored.
    pub fn take(&mut self, stored: &[u8]) {
        self.stored += stored.len() as u64;
        self.hasher.update(stored);
    }

    /// They are all.
    pub fn end(self) -> Span {
        Span { stored: self.stored, digest: self.hasher.finalize(), rows: None }
    }
}

/// Spans that are being found.
#[derive(Default)]
pub struct Spans {
    ended: Vec<(Span, Ended)>,
    current: Option<Current>,
    /// How many bytes of SQL have come.
    sql: u64,
}

struct Current {
    place: Place,
    members: Members,
    rows: Rows,
}

struct Ended {
    section: Option<usize>,
    /// Where it ends in the SQL.
    sql: u64,
}

impl Spans {
    /// Takes the next member, as it is stored, and what it holds.
    pub fn take(&mut self, stored: &[u8], place: Place, lines: Lines) {
        if self.current.as_ref().is_none_or(|current| current.place != place) {
            self.end();
        }
        let rows = Rows { bytes: 0, lines: 0, is_ended: false, behind: 0 };
        let current = self.current.get_or_insert_with(|| Current { place, members: Members::default(), rows });
        current.members.take(stored);
        let Rows { bytes, lines: count, .. } = current.rows;
        current.rows =
            Rows { bytes: bytes + lines.bytes, lines: count + lines.count, is_ended: lines.is_ended, behind: 0 };
        self.sql += lines.bytes;
    }

    fn end(&mut self) {
        let Some(Current { place, members, rows }) = self.current.take() else { return };
        let is_long = place.copy.is_some() && rows.bytes >= STRETCH_MIN;
        let span = Span { rows: is_long.then_some(rows), ..members.end() };
        self.ended.push((span, Ended { section: place.section, sql: self.sql }));
    }

    /// All of them.
    pub fn finish(mut self) -> Vec<Span> {
        self.end();
        let mut last = (None, 0);
        for (span, Ended { section, sql }) in self.ended.iter_mut().rev() {
            if last.0 != Some(*section) {
                last = (Some(*section), *sql);
            }
            if let Some(rows) = &mut span.rows {
                rows.behind = last.1 - *sql;
            }
        }
        self.ended.into_iter().map(|(span, _)| span).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_rows_is_of_the_same_database() {
        let mut spans = Spans::default();
        let rows = Lines { bytes: STRETCH_MIN / 2, count: 3, is_ended: true };
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
            spans.take(b"stored", Place { copy, section }, lines);
        }
        let found = spans.finish();
        let rows: Vec<_> = found.iter().filter_map(|span| span.rows).collect();
        let stretch = |is_ended, behind| Rows { bytes: STRETCH_MIN, lines: 6, is_ended, behind };
        assert_eq!(rows, [stretch(false, STRETCH_MIN / 2 + 20), stretch(true, STRETCH_MIN), stretch(true, 0)]);
        assert_eq!(found.iter().map(|span| span.stored).collect::<Vec<_>>(), [6, 12, 6, 6, 6, 12, 12]);
        assert_eq!(found[1].digest, blake3::hash(b"storedstored"));
    }
}
