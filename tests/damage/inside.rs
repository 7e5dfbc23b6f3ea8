//! What is inside a stream of SQL: changed there and packed again, so that no checksum of the store's is wrong.

use std::ops::Range;

use super::kinds::{ALL, Damage};
use super::words::Told;

pub(crate) use crate::job::{gunzip, gzip};

/// A part of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Roles,
    Rows,
    Database,
    Seal,
}

fn find(sql: &[u8], words: &str, from: usize) -> Option<usize> {
    sql[from..].windows(words.len()).position(|window| window == words.as_bytes()).map(|at| from + at)
}

impl Part {
    pub const ALL: [Part; 4] = [Part::Roles, Part::Rows, Part::Database, Part::Seal];

    pub fn words(self) -> &'static str {
        match self {
            Part::Roles => "its roles",
            Part::Rows => "rows of a table",
            Part::Database => "a database",
            Part::Seal => "its seal",
        }
    }

    /// Where it is in a stream; nothing where the stream has none.
    pub fn range(self, sql: &[u8]) -> Option<Range<usize>> {
        let (begin, end) = match self {
            Part::Roles => ("CREATE ROLE ", "\n\n"),
            Part::Rows => ("COPY public.things ", "\\.\n"),
            Part::Database => ("CREATE DATABASE shop", "-- PostgreSQL database dump complete\n"),
            Part::Seal => ("-- bkp seal ", "\n"),
        };
        let mut start = find(sql, begin, 0)?;
        if self == Part::Rows {
            start = find(sql, "\n", start)? + 1;
        }
        let stop = find(sql, end, start)? + end.len();
        // The line that ends the rows stays: what is damaged are the rows.
        let stop = if self == Part::Rows { stop - end.len() } else { stop };
        Some(start..stop)
    }

    pub fn damages(self) -> Vec<Damage> {
        let not = [Damage::Foreign, Damage::Swapped];
        ALL.into_iter().filter(|damage| !not.contains(damage)).collect()
    }

    /// The stream of the second night, damaged. Cut is the stream, within this part.
    pub fn damage(self, [first, second]: [&[u8]; 2], how: Damage) -> Option<Vec<u8>> {
        let (before, here) = (self.range(first)?, self.range(second)?);
        let with = |part: &[u8]| [&second[..here.start], part, &second[here.end..]].concat();
        let own = &second[here.clone()];
        Some(match how {
            Damage::Deleted => with(b""),
            Damage::Doubled => with(&[own, own].concat()),
            Damage::Older => with(&first[before]),
            Damage::Emptied | Damage::Halved | Damage::LastByte => {
                [&second[..here.start], &how.of_bytes(own)?].concat()
            }
            Damage::FlippedLast => {
                // The last byte is the end of a line, which is no content.
                let mut part = own.to_vec();
                let at = part.len() - 2;
                part[at] ^= 1;
                with(&part)
            }
            _ => with(&how.of_bytes(own)?),
        })
    }

    /// What it is to be told as.
    pub fn expected(self, how: Damage) -> Vec<Told> {
        match (self, how) {
            // Without its seal it is as if another tool had made it.
            (Part::Seal, Damage::Deleted | Damage::Emptied) => vec![Told::Unsealed, Told::Missing, Told::Cut],
            // One that does not begin as one is rubbish behind the dump.
            (Part::Seal, Damage::Halved | Damage::LastByte | Damage::FlippedFirst) => vec![Told::Changed, Told::Cut],
            // It is another run's then, or says that it is of one that nobody knows.
            (Part::Seal, Damage::Older | Damage::FlippedMiddle) => vec![Told::Changed, Told::Mistaken, Told::Missing],
            (_, Damage::Emptied | Damage::Halved | Damage::LastByte) => vec![Told::Cut, Told::Changed],
            _ => vec![Told::Changed],
        }
    }
}
