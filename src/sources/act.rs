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
