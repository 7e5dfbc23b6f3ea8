//! The seal: the last line of a dump, a comment to psql and a proof to bkp.
//!
//! `-- bkp seal {json}`. It is written only after every producer ended well and every dump showed its own trailer, so a dump
//! that has one is whole; the digest and the rows say whether it still is what was written.

mod measure;
mod summary;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::lexer::HELD_MAX;
use super::survey::Survey;
use crate::error::Failure;
use crate::exit::Exit;

pub use self::measure::{Measure, shrank};
pub use self::summary::{Counted, Summary};

/// How the line begins that is a seal.
pub const SEAL: &[u8] = b"-- bkp seal ";

/// The version of the seal's format that this release writes and reads.
pub const FORMAT: u32 = 1;

/// What was saved, counted while it streamed past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Format of the seal itself.
    pub format: u32,
    /// The run that made the dump.
    pub run: String,
    /// The application that the dump belongs to.
    pub app: String,
    /// Version of the server that was dumped.
    pub server: String,
    /// Version of the client programs that dumped it.
    pub client: String,
    /// Rows per table, per database.
    pub databases: BTreeMap<String, Sealed>,
    /// Databases that were there and are not in the dump, because they accept no connections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// Directories that the run set out to save besides, elsewhere: without them this dump is not all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
    /// Whether a restore took it of what it was about to replace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub safety: bool,
    /// How much of the SQL each database is, in bytes: what the next run expects to move. Dumps of before do not say it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub database_bytes: BTreeMap<String, u64>,
    /// What it was held against; none for a first one, and for one that was allowed to be small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<Measure>,
    /// Length of the SQL before the seal, in bytes.
    pub bytes: u64,
    /// `blake3:` and the hexadecimal BLAKE3 of those bytes.
    pub digest: String,
    /// What is stored of it, where that is an object by itself. Dumps of before do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
}

/// The stored bytes of a dump before those of its seal: as long as they are the same, so is what they unpack to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// How many they are.
    pub bytes: u64,
    /// `blake3:` and their hexadecimal BLAKE3.
    pub digest: String,
}

/// A digest as a seal spells it.
pub fn blake3_of(hasher: &blake3::Hasher) -> String {
    format!("blake3:{}", hasher.finalize().to_hex())
}

/// One database of a sealed dump.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Rows by table, as the dump prints its name.
    pub tables: BTreeMap<String, u64>,
}

/// The one thing that seals of all formats have.
#[derive(Deserialize)]
struct Format {
    format: Option<serde_json::Value>,
}

impl Stored {
    /// What takes most room in a seal: to see whether that is enough, before it is known what is stored.
    pub fn widest() -> Stored {
        Stored { bytes: u64::MAX, digest: blake3_of(&blake3::Hasher::new()) }
    }
}

impl Seal {
    /// The line as it stands at a dump's end.
    ///
    /// # Errors
    /// When it is longer than what a restore reads: a dump that cannot be proven must not look like a backup.
    pub fn line(&self) -> Result<String> {
        let line = format!("-- bkp seal {}\n", serde_json::to_string(self)?);
        if line.len() > HELD_MAX {
            let tables: usize = self.databases.values().map(|database| database.tables.len()).sum();
            bail!(
                Failure::new(format!(
                    "the names of {tables} tables are longer than a seal may be ({} MiB)",
                    HELD_MAX >> 20
                ))
                .hint("save fewer databases at once: BKP_DATABASES")
            );
        }
        Ok(line)
    }

    /// Reads the JSON of a seal.
    ///
    /// # Errors
    /// When it is no seal, or one of a later format.
    pub fn parse(json: &[u8]) -> Result<Seal> {
        check_format(json)?;
        Ok(serde_json::from_slice(json).map_err(unreadable)?)
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        total(self.databases.values().flat_map(|database| database.tables.values()).copied())
    }

    /// Compares the seal with what the dump holds, as far as the survey has seen it: the digest only where all bytes were.
    ///
    /// # Errors
    /// Exit code 5, naming the first difference: bytes, digest or a table's rows.
    pub fn prove(&self, survey: &Survey) -> Result<()> {
        if self.bytes != survey.bytes {
            bail!(broken(format!("{} bytes were sealed, {} are here", self.bytes, survey.bytes)));
        }
        let found = rows_of(survey);
        for (name, sealed) in &self.databases {
            let here = found.get(name).cloned().unwrap_or_default();
            for (table, rows) in &sealed.tables {
                let there = here.tables.get(table).copied().unwrap_or_default();
                if there != *rows {
                    bail!(broken(format!("{rows} rows of {table} in database {name} were sealed, {there} are here")));
                }
            }
        }
        if found != self.databases {
            bail!(broken("it holds tables or databases that the seal does not name".to_owned()));
        }
        if !survey.digest.is_empty() && self.digest != format!("blake3:{}", survey.digest) {
            bail!(digest_differs());
        }
        Ok(())
    }
}

fn broken(what: String) -> Failure {
    Failure::new(format!("this dump is not what was sealed: {what}"))
        .hint("it was changed or damaged after the backup; choose another one: bkp list")
        .exit(Exit::ProofFailed)
}

/// The SQL is other than what was sealed.
pub fn digest_differs() -> Failure {
    broken("its digest differs".to_owned())
}

/// The sum of what a seal says, which may be anything: a damaged one is told by its proof, and not by an overflow.
fn total(rows: impl IntoIterator<Item = u64>) -> u64 {
    rows.into_iter().fold(0, u64::saturating_add)
}

/// The format first: what a later one holds, nobody here can read.
fn check_format(json: &[u8]) -> Result<()> {
    let Format { format } = serde_json::from_slice(json).map_err(unreadable)?;
    if format.and_then(|format| format.as_u64()) != Some(u64::from(FORMAT)) {
        bail!(
            Failure::new("the seal has a format that this release does not know")
                .hint("use the newest bkp")
                .exit(Exit::ProofFailed)
        );
    }
    Ok(())
}

fn unreadable(error: serde_json::Error) -> Failure {
    Failure::new("the seal cannot be read")
        .hint("it was changed or damaged after the backup; choose another one: bkp list")
        .exit(Exit::ProofFailed)
        .because(error)
}

/// Rows per table and database, as a seal holds them.
pub fn rows_of(survey: &Survey) -> BTreeMap<String, Sealed> {
    let mut databases: BTreeMap<String, Sealed> = BTreeMap::new();
    for section in &survey.sections {
        let name = section.database.as_ref().map(ToString::to_string).unwrap_or_default();
        let sealed = databases.entry(name).or_default();
        for copied in &section.tables {
            *sealed.tables.entry(copied.table.clone()).or_default() += copied.rows;
        }
    }
    databases
}
