//! Statements of a replay that failed, as people and machines are told: each cause once, never a value of the dump.

use std::fmt;

use serde::Serialize;

/// A statement that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// SQLSTATE; nothing where psql or the connection failed.
    pub code: Option<String>,
    /// How bad it is, in the server's word; empty where the message says all.
    #[serde(skip)]
    pub severity: String,
    /// What the server said, without the values that it quotes.
    pub message: String,
    /// The statement's first words, up to its first literal.
    pub statement: Option<String>,
    /// What kind of object it is about: `INDEX`.
    pub kind: Option<String>,
    /// That object's name.
    pub name: Option<String>,
    /// The line of the dump: the statement's first, or among rows where it was noticed.
    pub line: Option<u64>,
    /// Where it stands, in words.
    #[serde(skip)]
    pub place: String,
    /// How many more failed with the same words.
    pub more: u64,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        if let Some(code) = &self.code {
            write!(f, "{}:  {code}: ", self.severity)?;
        }
        f.write_str(&self.message)?;
        if let Some(statement) = &self.statement {
            write!(f, " ({statement})")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, ", and {more} more like it"),
        }
    }
}

/// What failed in one replay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// The first of them, in order.
    pub listed: Vec<Failed>,
    /// How many more there were.
    pub more: u64,
    /// How many failed only because of an earlier one: they speak of what was not made, or of a transaction that is lost.
    pub following: u64,
}

impl Failures {
    /// How many are listed: no more are read, and memory stays constant whatever fails.
    pub const MOST: usize = 50;

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.more == 0 && self.following == 0
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let following = match self.following {
            0 => String::new(),
            following => {
                format!(", and {following} that follow from {}", if self.listed.len() == 1 { "it" } else { "these" })
            }
        };
        if let ([only], 0) = (self.listed.as_slice(), self.more) {
            return write!(f, "{only}{following}");
        }
        let all = self.more + self.listed.iter().map(|one| 1 + one.more).sum::<u64>();
        write!(f, "{all} statements failed{following}:")?;
        for failed in &self.listed {
            write!(f, "\n  - {failed}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n  - and {more} more, not listed"),
        }
    }
}

impl std::error::Error for Failures {}

/// The failed statements that an error tells of.
pub fn failures_of(error: &anyhow::Error) -> Option<&Failures> {
    error.chain().find_map(|cause| cause.downcast_ref::<Failures>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(line: u64, statement: &str) -> Failed {
        Failed {
            code: Some("42501".into()),
            severity: "ERROR".into(),
            message: "must be owner of table t".into(),
            statement: Some(statement.into()),
            line: Some(line),
            place: format!("line {line} of the dump"),
            ..Failed::default()
        }
    }

    #[test]
    fn one_failure_is_one_line_and_many_are_a_list() {
        let one = Failures { listed: vec![failed(3, "CREATE INDEX i ON t")], more: 0, following: 214 };
        assert_eq!(
            one.to_string(),
            "line 3 of the dump: ERROR:  42501: must be owner of table t (CREATE INDEX i ON t), and 214 that follow from it"
        );
        let listed = vec![Failed { more: 2, ..failed(3, "A") }, failed(9, "B")];
        let said = Failures { listed, more: 4, following: 1 }.to_string();
        assert!(said.starts_with("8 statements failed, and 1 that follow from these:\n  - line 3"), "{said}");
        assert!(
            said.contains("(A), and 2 more like it\n  - line 9") && said.ends_with("and 4 more, not listed"),
            "{said}"
        );
    }

    #[test]
    fn they_are_found_below_what_was_said_of_them() {
        let error = anyhow::Error::from(Failures::default()).context("the replay failed");
        assert!(failures_of(&error).is_some());
    }
}
