//! What a restore, or an undo, did as one: written beside everything that it put aside, so that going back is whole or refused.

use serde::{Deserialize, Serialize};

/// One act on the application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Acts are numbered, because clocks jump and two of them may be of one second.
    pub number: u64,
    /// The databases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<Place>,
    /// The directories of files, as the run knew them: another pod may know them by other paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The transaction that a database was loaded in, where that was in place: whether it was committed decides for the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<i64>,
    /// The run that this one undid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// The safety backup that was taken before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<String>,
    /// A later act that kept nothing of the databases, and that this one's copies therefore have to tell of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// A restore in place. It puts no database aside that could tell of it, so it is written on what is aside already: else an undo would
/// take the act before it for the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// Its run.
    pub run: String,
    /// Its number among the acts.
    pub number: u64,
    /// Its transaction. On a database this is written in that very transaction; on files before, so that it has to be asked about.
    pub transaction: i64,
    /// Its safety backup, which alone has what was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<String>,
}

impl Act {
    /// The number of the last act that this one's copies tell of.
    pub fn last_number(&self) -> u64 {
        self.since.as_ref().map_or(self.number, |since| since.number.max(self.number))
    }
}

/// What became of a database's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The name.
    pub name: String,
    /// Whether a database was there before, which was put aside.
    pub had: bool,
    /// The database that the act put there, by its oid, which renames leave alone; nothing where it left none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oid: Option<u32>,
}

/// A database that gets another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// Which one, whatever it is called.
    pub oid: u32,
    /// Its name before.
    pub from: String,
    /// Its name after.
    pub to: String,
}
