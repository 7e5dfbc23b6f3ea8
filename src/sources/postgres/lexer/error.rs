//! Why bytes are not a dump that bkp will store or replay.

use std::fmt;

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
