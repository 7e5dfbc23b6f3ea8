//! Why bytes are not a dump that bkp will store or replay.

use std::fmt;

use super::scan::Fault;
use crate::sources::postgres::statement::Statement;

/// What is wrong with a dump. Lines count from 1; no variant ever holds a literal of the dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpError {
    /// The input ends inside something: the dump was cut short.
    CutShort {
        /// Where the unfinished part began.
        line: u64,
        /// What was not finished.
        inside: &'static str,
    },
    /// A backslash command other than those that pg_dump writes.
    Meta {
        /// Where it stands.
        line: u64,
        /// Its first word only.
        command: String,
    },
    /// Something that a dump has no reason to hold.
    Refused {
        /// Where it stands.
        line: u64,
        /// What, and why not.
        what: &'static str,
    },
    /// A routine that psql ends elsewhere than the server.
    Routine {
        /// Where it begins.
        line: u64,
        /// Its first words.
        title: String,
    },
    /// An encoding in which a quote or a backslash may be half of a character.
    Encoding {
        /// Where it is set.
        line: u64,
        /// Its name as given.
        encoding: String,
    },
    /// A NUL byte: no text of PostgreSQL holds one.
    Nul {
        /// Where it stands.
        line: u64,
    },
    /// Something that has to be held whole is too large to hold.
    TooLong {
        /// Where it began.
        line: u64,
        /// What it is.
        what: &'static str,
    },
    /// Not SQL text at all.
    NotPlain {
        /// What it looks like.
        what: &'static str,
    },
}

/// Enough of a statement to say what it is.
const TOLD_BYTES: usize = 4096;

impl DumpError {
    /// What is wrong with the statement that began in `line` with `begun`, which is empty when that has been given away.
    pub(super) fn of(fault: Fault, line: u64, begun: &[u8]) -> Self {
        let refused = |what| Self::Refused { line, what };
        match fault {
            Fault::Backslash => Self::Meta { line, command: "in the middle of a statement".into() },
            Fault::Continued => {
                refused("a string with escapes goes on after a line break, which psql and the server read differently")
            }
            Fault::Token => Self::TooLong { line, what: "a word" },
            Fault::Number => {
                refused("a dollar after a number with letters, which not every psql reads in the same way")
            }
            Fault::Escaped => refused("a name in Unicode escapes (U&\"…\"), which pg_dump never writes"),
            Fault::Several => {
                let title = Statement::parse(&begun[..begun.len().min(TOLD_BYTES)], true).title();
                Self::Routine { line, title: if title.is_empty() { "a routine".into() } else { title } }
            }
        }
    }
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort { line, inside } => {
                write!(f, "the dump is cut short: it ends inside {inside} that began in line {line}")
            }
            Self::Meta { line, command } => {
                write!(f, "line {line}: psql command {command} refused: a dump is data, not a program")
            }
            Self::Refused { line, what } => write!(f, "line {line}: {what}"),
            Self::Routine { line, title } => write!(
                f,
                "line {line}: {title}: psql takes each word begin, case and end in it for its body's, and sees its end elsewhere than \
                 the server: psql cannot load it; rename what is called so"
            ),
            Self::Encoding { line, encoding } => {
                write!(f, "line {line}: client encoding {encoding} cannot be read safely: dump with --encoding=UTF8")
            }
            Self::Nul { line } => write!(f, "line {line}: a NUL byte"),
            Self::TooLong { line, what } => write!(f, "line {line}: {what} is too long"),
            Self::NotPlain { what } => write!(f, "not a plain SQL dump: this looks like {what}"),
        }
    }
}

impl std::error::Error for DumpError {}
