//! Pieces of a rewritten dump as they are acted on: each owns its bytes, and what goes to psql together is one. Rows are not copied: they
//! stay where they were unpacked.

use anyhow::Result;
use bytes::Bytes;

use crate::sources::postgres::name::Name;
use crate::sources::postgres::rewrite::{Begun, Piece};

/// A piece of the rewritten dump that outlives the rewriter's step.
pub(super) enum Act {
    Global(Vec<u8>),
    ExistingRole(Vec<u8>),
    Create(Name, Vec<u8>),
    Property(Name, Vec<u8>),
    Comment(Name, Vec<u8>),
    Section(Option<Name>),
    /// A whole statement, or the beginning of a long one.
    Statement(Begun, Option<u64>, Vec<u8>),
    /// More of a long statement, or statements that nobody announces.
    Sql(Vec<u8>),
    /// What stands between statements.
    Gap(Vec<u8>),
    Rows(u64, Bytes),
    RowsEnd(Vec<u8>),
    At(u64),
    Begins(Begun),
}

impl Act {
    /// The bytes that go to psql.
    pub fn sql(&self) -> &[u8] {
        match self {
            Act::Statement(_, _, sql) | Act::Sql(sql) | Act::Gap(sql) | Act::RowsEnd(sql) => sql,
            Act::Rows(_, rows) => rows,
            _ => b"",
        }
    }
}

/// Takes in the next piece, which may be a part of what was `unpacked`.
///
/// # Errors
/// Never; the rewriter asks for it.
pub(super) fn collect(acts: &mut Vec<Act>, unpacked: &Bytes, piece: &Piece<'_>) -> Result<()> {
    let act = match *piece {
        Piece::Sql(sql) => match acts.pop() {
            Some(Act::Begins(begun)) => Act::Statement(begun, None, sql.to_vec()),
            Some(Act::Sql(mut open) | Act::Gap(mut open)) => {
                open.extend_from_slice(sql);
                Act::Sql(open)
            }
            Some(Act::At(line)) => match acts.pop() {
                Some(Act::Begins(begun)) => Act::Statement(begun, Some(line), sql.to_vec()),
                other => {
                    acts.extend(other);
                    acts.push(Act::At(line));
                    Act::Sql(sql.to_vec())
                }
            },
            other => {
                acts.extend(other);
                Act::Sql(sql.to_vec())
            }
        },
        Piece::Gap(sql) => match acts.last_mut() {
            Some(Act::Sql(open) | Act::Gap(open)) => {
                open.extend_from_slice(sql);
                return Ok(());
            }
            _ => Act::Gap(sql.to_vec()),
        },
        Piece::Rows { line, rows } => {
            if let Some(Act::Rows(_, open)) = acts.last_mut()
                && let Some(joined) = joined(unpacked, open, rows)
            {
                *open = joined;
                return Ok(());
            }
            Act::Rows(line, part_of(unpacked, rows))
        }
        Piece::RowsEnd(mark) => Act::RowsEnd(mark.to_vec()),
        Piece::Global(sql) => Act::Global(sql.to_vec()),
        Piece::ExistingRole(sql) => Act::ExistingRole(sql.to_vec()),
        Piece::CreateDatabase { name, sql } => Act::Create(name.clone(), sql.to_vec()),
        Piece::Property { database, sql } => Act::Property(database.clone(), sql.to_vec()),
        Piece::Comment { database, sql } => Act::Comment(database.clone(), sql.to_vec()),
        Piece::Section(name) => Act::Section(name.cloned()),
        Piece::At(line) => Act::At(line),
        Piece::Begins(begun) => Act::Begins(begun.clone()),
        // Only a dump that is to be stored keeps them.
        Piece::Meta(_) => return Ok(()),
    };
    acts.push(act);
    Ok(())
}

/// The same bytes; not a copy of them, where they are a part of `whole`.
fn part_of(whole: &Bytes, part: &[u8]) -> Bytes {
    match place_in(whole, part) {
        Some(at) => whole.slice(at..at + part.len()),
        None => Bytes::copy_from_slice(part),
    }
}

/// Both as one, where `next` follows `open` in `whole`: rows that begin nearly as their end does come one by one.
fn joined(whole: &Bytes, open: &Bytes, next: &[u8]) -> Option<Bytes> {
    let (first, second) = (place_in(whole, open)?, place_in(whole, next)?);
    (first + open.len() == second).then(|| whole.slice(first..second + next.len()))
}

fn place_in(whole: &Bytes, part: &[u8]) -> Option<usize> {
    let at = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (at + part.len() <= whole.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_shared_and_anything_else_is_copied() {
        let whole = Bytes::from_static(b"1\t2\n3\t4\n");
        for range in [0..0, 0..4, 4..8, 3..8, 0..8] {
            let part = part_of(&whole, &whole[range.clone()]);
            assert_eq!((part.as_ptr(), &part[..]), (whole[range.clone()].as_ptr(), &whole[range]));
        }
        let (other, longer) = (b"5\n".to_vec(), b"1\t2\n3\t4\n5\n".to_vec());
        assert_eq!(
            (&part_of(&whole, &other)[..], &part_of(&whole.slice(2..4), &longer)[..]),
            (&other[..], &longer[..])
        );
        assert!(part_of(&Bytes::new(), b"").is_empty());
    }

    #[test]
    fn rows_that_follow_each_other_are_one() {
        let whole = Bytes::from_static(b"\\.x\n\\.y\n\\.z\n");
        let mut acts = Vec::new();
        for (line, range) in [(1, 0..4), (2, 4..8), (3, 8..12)] {
            collect(&mut acts, &whole, &Piece::Rows { line, rows: &whole[range] }).unwrap();
        }
        collect(&mut acts, &whole, &Piece::Rows { line: 4, rows: b"5\n" }).unwrap();
        collect(&mut acts, &whole, &Piece::Rows { line: 5, rows: &whole[..4] }).unwrap();
        let found: Vec<_> = acts.iter().map(|act| (matches!(act, Act::Rows(..)), act.sql().len())).collect();
        assert_eq!(found, [(true, 12), (true, 2), (true, 4)]);
    }
}
