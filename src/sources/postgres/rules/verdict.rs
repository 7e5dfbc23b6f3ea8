//! What a rule says of a statement.

use std::ops::Range;

use crate::sources::postgres::name::Name;
use crate::sources::postgres::statement::Statement;

/// Where a statement goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum To {
    /// Where the dump has it.
    Here,
    /// With what belongs to no database.
    Global,
    /// Last of all: it changes a role that was there before.
    Existing,
    /// It creates this database.
    Create(Name),
    /// After this database's load.
    Property(Name),
    /// After this database's load, and the caller may hold it back: it is the database's comment.
    Comment(Name),
}

/// What becomes of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Does {
    /// It stays byte for byte.
    Keep,
    /// It stays, with these changes, in ascending order.
    Edit(Vec<Edit>),
    /// Every line of it becomes a comment.
    Comment,
    /// It goes: it holds what must not be kept.
    Remove,
    /// It goes, and nobody is told: it is of a database that is not wanted.
    Skip,
}

/// Bytes of a statement and what stands in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Which bytes.
    pub(crate) range: Range<usize>,
    /// What comes instead.
    pub(crate) text: Vec<u8>,
}

/// A rule's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) to: To,
    pub(crate) does: Does,
    pub(crate) said: Vec<String>,
}

impl Verdict {
    pub(super) fn keep(to: To) -> Self {
        Self { to, does: Does::Keep, said: Vec::new() }
    }

    pub(super) fn comment(to: To, why: impl Into<String>) -> Self {
        Self { to, does: Does::Comment, said: vec![why.into()] }
    }

    pub(super) fn edit(to: To, changes: Changes) -> Self {
        if changes.edits.is_empty() {
            return Self::keep(to);
        }
        Self { to, does: Does::Edit(changes.edits), said: changes.said }
    }

    pub(super) fn gone(does: Does, why: Option<&str>) -> Self {
        Self { to: To::Here, does, said: why.into_iter().map(str::to_owned).collect() }
    }
}

/// Edits of one statement, collected from left to right.
#[derive(Debug, Default)]
pub(super) struct Changes {
    edits: Vec<Edit>,
    said: Vec<String>,
}

impl Changes {
    /// Leaves out the tokens from place `first` to `last`, with the space before them.
    pub(super) fn leave_out(&mut self, statement: &Statement<'_>, first: usize, last: usize, why: impl Into<String>) {
        self.cut(statement, first, last);
        self.said.push(why.into());
    }

    /// The same, as part of a change that is said already.
    pub(super) fn cut(&mut self, statement: &Statement<'_>, first: usize, last: usize) {
        let start = first.checked_sub(1).map_or(0, |before| statement.tokens()[before].end());
        self.edits.push(Edit { range: start..statement.tokens()[last].end(), text: Vec::new() });
    }

    /// Puts `text` in place of the token at `at`.
    pub(super) fn replace(&mut self, statement: &Statement<'_>, at: usize, text: &[u8], why: Option<String>) {
        self.edits.push(Edit { range: statement.tokens()[at].range(), text: text.to_vec() });
        self.said.extend(why);
    }

    /// Puts `words` after the token at `at`, apart from both its neighbours.
    pub(super) fn insert_after(&mut self, statement: &Statement<'_>, at: usize, words: &str) {
        let end = statement.tokens()[at].end();
        let touches = statement.token(at + 1).is_some_and(|next| next.range().start == end);
        let text = format!(" {words}{}", if touches { " " } else { "" });
        self.edits.push(Edit { range: end..end, text: text.into_bytes() });
    }

    pub(super) fn say(&mut self, why: &str) {
        self.said.push(why.to_owned());
    }
}

/// The statement with its edits.
pub(crate) fn apply(sql: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::with_capacity(sql.len());
    let mut at = 0;
    for edit in edits {
        out.extend_from_slice(&sql[at..edit.range.start.max(at)]);
        out.extend_from_slice(&edit.text);
        at = edit.range.end.max(at);
    }
    out.extend_from_slice(&sql[at..]);
    out
}

/// The statement as comments, and a line break that ends the last of them.
///
/// A lone CR ends a comment as well as LF does, for psql and for the server: what follows it
/// would run.
pub(crate) fn commented(sql: &[u8]) -> Vec<u8> {
    const PREFIX: &[u8] = b"-- bkp: ";
    let mut out = PREFIX.to_vec();
    for (at, &byte) in sql.iter().enumerate() {
        out.push(byte);
        if byte == b'\n' || (byte == b'\r' && sql.get(at + 1) != Some(&b'\n')) {
            out.extend_from_slice(PREFIX);
        }
    }
    out.push(b'\n');
    out
}
