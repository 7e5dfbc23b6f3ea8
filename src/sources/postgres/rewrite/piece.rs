//! What the rewriter hands out, and what it says it changed.

use serde::Serialize;

use crate::sources::postgres::name::Name;
use crate::sources::postgres::statement::{About, Manner, Statement, Subject, act, manner};

/// A statement that is about to be handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The line of the dump that it begins in; nothing where it is told apart from the dump.
    pub line: Option<u64>,
    /// How many line ends it has; nothing when that is not known, or when rows follow it.
    pub lines: Option<u64>,
    /// Its first word, see [`act`].
    pub act: &'static str,
    /// How it is to be sent.
    pub manner: Manner,
    /// What it is about.
    pub about: About,
    /// Where psql could read it otherwise than we do: whether strings are standard ones in it. The [`guard`](super::guard()) goes
    /// before it then.
    pub guarded: Option<bool>,
}

impl Begun {
    /// A statement that is told apart from the dump.
    pub fn of(statement: &Statement<'_>, standard_strings: bool) -> Begun {
        let about = About::of(statement, standard_strings);
        Begun { line: None, lines: None, act: act(statement), manner: manner(statement), about, guarded: None }
    }

    /// The beginning of one that is longer than what is held.
    pub(super) fn long(beginning: &[u8], standard_strings: bool) -> Begun {
        let subject = Subject::beginning(beginning, standard_strings);
        let (act, manner) = (subject.act, subject.manner);
        Begun { line: None, lines: None, act, manner, about: About::Read(subject), guarded: None }
    }
}

/// A piece of the rewritten dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A database's replay begins; the dump's own name for it, `None` in a single layout.
    Section(Option<&'a Name>),
    /// CREATE DATABASE, already for the side database.
    CreateDatabase {
        /// The dump's own name for it.
        name: &'a Name,
        /// The statement.
        sql: &'a [u8],
    },
    /// What is said of a database from outside (owner, settings, rights, labels), already for the
    /// side database; to be run after the load.
    Property {
        /// The dump's own name for it.
        database: &'a Name,
        /// The statement.
        sql: &'a [u8],
    },
    /// COMMENT ON DATABASE, already for the side database.
    Comment {
        /// The dump's own name for it.
        database: &'a Name,
        /// The statement.
        sql: &'a [u8],
    },
    /// What belongs to no database, and everything before the first one.
    Global(&'a [u8]),
    /// A change of a role that was there before: to be run last.
    ExistingRole(&'a [u8]),
    /// A statement, to the current section's session; long ones come in parts.
    Sql(&'a [u8]),
    /// White space and comments between statements, to the current section's session.
    Gap(&'a [u8]),
    /// Rows, to the current section's session; may be split anywhere.
    Rows {
        /// The dump's line that they begin in.
        line: u64,
        /// The bytes.
        rows: &'a [u8],
    },
    /// The line that ends rows.
    RowsEnd(&'a [u8]),
    /// What comes next in the current section's session begins in this line of the dump. Said where lines of the dump and of the
    /// replay part; only for a replay.
    At(u64),
    /// What comes next in the current section's session is this statement; only for a replay. Of several INSERTs the first is told.
    Begins(&'a Begun),
    /// A line with a backslash command; only when the dump is to be stored.
    Meta(&'a [u8]),
}

impl<'a> Piece<'a> {
    /// The piece's bytes; none of a section's beginning.
    pub fn bytes(&self) -> &'a [u8] {
        match *self {
            Self::Section(_) | Self::At(_) | Self::Begins(_) => b"",
            Self::CreateDatabase { sql, .. } | Self::Property { sql, .. } | Self::Comment { sql, .. } => sql,
            Self::Global(sql) | Self::ExistingRole(sql) | Self::Sql(sql) | Self::Meta(sql) => sql,
            Self::Gap(sql) | Self::RowsEnd(sql) | Self::Rows { rows: sql, .. } => sql,
        }
    }
}

/// One thing that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The dump's line in which the statement begins.
    pub line: u64,
    /// The statement's first words; never a literal.
    pub what: String,
    /// What was done, and why.
    pub why: String,
}

/// Everything that was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The changes, in the dump's order; the first [`Report::MOST`] of them.
    pub changes: Vec<Change>,
    /// How many more there were.
    pub more: u64,
}

impl Report {
    /// How many changes are kept: memory stays constant whatever the dump drops.
    pub const MOST: usize = 10_000;

    /// One line for each reason: how many statements, and the first of them. For those who want each, there is the list.
    pub fn summary(&self) -> Vec<String> {
        let mut reasons: Vec<(&str, usize, &Change)> = Vec::new();
        for change in &self.changes {
            match reasons.iter_mut().find(|(why, ..)| *why == change.why) {
                Some((_, count, _)) => *count += 1,
                None => reasons.push((&change.why, 1, change)),
            }
        }
        let others = |count: usize| if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        let line = |(why, count, first): &(&str, usize, &Change)| {
            format!("rewritten: {} (line {}){}: {why}", first.what, first.line, others(*count))
        };
        reasons.iter().map(line).collect()
    }

    pub(super) fn add(&mut self, line: u64, what: String, why: String) {
        if self.changes.len() < Self::MOST {
            self.changes.push(Change { line, what, why });
        } else {
            self.more += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_a_line_for_each_reason() {
        let mut report = Report::default();
        for (line, what, why) in
            [(1, "CREATE ROLE a", "the role exists"), (2, "SET x", "unknown"), (3, "CREATE ROLE b", "the role exists")]
        {
            report.add(line, what.into(), why.into());
        }
        assert_eq!(
            report.summary(),
            ["rewritten: CREATE ROLE a (line 1) and 1 more: the role exists", "rewritten: SET x (line 2): unknown"]
        );
    }
}
