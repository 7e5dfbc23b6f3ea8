//! Pieces of a rewritten dump as they are acted on: each owns its bytes, and what goes to psql together is one.

use anyhow::Result;

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
    Rows(u64, Vec<u8>),
    RowsEnd(Vec<u8>),
    At(u64),
    Begins(Begun),
}

impl Act {
    /// The bytes that go to psql.
    pub fn sql(&self) -> &[u8] {
        match self {
            Act::Statement(_, _, sql) | Act::Sql(sql) | Act::Gap(sql) | Act::Rows(_, sql) | Act::RowsEnd(sql) => sql,
            _ => b"",
        }
    }
}

/// Takes in the next piece.
///
/// # Errors
/// Never; the rewriter asks for it.
pub(super) fn collect(acts: &mut Vec<Act>, piece: &Piece<'_>) -> Result<()> {
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
        Piece::Rows { line, rows } => match acts.last_mut() {
            Some(Act::Rows(_, open)) => {
                open.extend_from_slice(rows);
                return Ok(());
            }
            _ => Act::Rows(line, rows.to_vec()),
        },
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
