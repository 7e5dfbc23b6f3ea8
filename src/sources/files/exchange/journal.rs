//! The journal's form. It names the way out of every state that a tree can be found in.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Plan;
use crate::sources::act::{Act, Rename};
use crate::sources::files::owner::Owner;

/// The form that this program writes; another one is refused.
const FORMAT: u32 = 1;

/// Which of two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The one that was live before.
    Old,
    /// The restored one.
    New,
}

impl Side {
    /// The one that is not this.
    pub fn other(self) -> Side {
        match self {
            Side::Old => Side::New,
            Side::New => Side::Old,
        }
    }
}

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A tree is being restored; nothing live was touched.
    Staging,
    /// Entries are being moved, so that this side becomes live.
    Exchanging(Side),
    /// This side is live, all of it.
    Settled(Side),
    /// Nothing of it is needed any more.
    Discarding,
}

/// The root's owner before and after, where one was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootOwner {
    /// As it was.
    pub before: Owner,
    /// As it was asked for.
    pub after: Owner,
}

/// What stands in `journal.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    format: u32,
    /// The run that staged.
    pub run: String,
    /// What is going on.
    pub state: State,
    /// What moves; empty while staging.
    pub plan: Plan,
    /// What happens to the root itself.
    pub root_owner: Option<RootOwner>,
    /// Top-level entries that stayed live; nothing of them in a journal of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stayed: Option<Vec<Stayed>>,
    /// All that was done together with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
    /// The undo that turned it round last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// An undo that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
}

/// A top-level entry that stayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stayed(#[serde(with = "lossless")] pub PathBuf);

/// An undo that is under way, whose outcome is decided elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Its run.
    pub by: String,
    /// All that it does.
    pub act: Act,
    /// The side that becomes live.
    pub to: Side,
    /// What becomes of the databases meanwhile. Without any, the directories decide by themselves.
    pub renames: Vec<Rename>,
}

impl Journal {
    /// That of a run which has touched nothing.
    pub fn new(run: &str) -> Journal {
        Journal {
            format: FORMAT,
            run: run.to_owned(),
            state: State::Staging,
            plan: Plan::default(),
            root_owner: None,
            stayed: None,
            act: None,
            by: None,
            pending: None,
        }
    }

    /// Whether the live tree is the old one, whole.
    pub fn is_untouched(&self) -> bool {
        matches!(self.state, State::Staging | State::Settled(Side::Old))
    }

    /// Reads one, and believes no path that leads anywhere but below.
    ///
    /// # Errors
    /// When it is damaged, or of another version.
    pub fn parse(text: &[u8]) -> Result<Journal> {
        let journal: Journal = serde_json::from_slice(text).context("the journal is damaged")?;
        if journal.format != FORMAT {
            bail!("the journal is of form {}, and this program knows form {FORMAT}", journal.format);
        }
        let below = |path: &Path| {
            path.file_name().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
        };
        let moves = journal.plan.moves.iter().flat_map(|entry| [&entry.live, &entry.staged]);
        if let Some(path) = moves.chain(journal.plan.made.iter().map(|made| &made.path)).find(|path| !below(path)) {
            bail!("the journal names a path that leads out: {}", path.display());
        }
        Ok(journal)
    }
}

/// Paths in JSON: as text where they are text, else as numbers, since a file name may hold any bytes.
pub mod lossless {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Raw {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        let bytes = path.as_os_str().as_bytes();
        match std::str::from_utf8(bytes) {
            Ok(text) => Raw::Text(text.to_owned()),
            Err(_) => Raw::Bytes(bytes.to_vec()),
        }
        .serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(match Raw::deserialize(from)? {
            Raw::Text(text) => PathBuf::from(text),
            Raw::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Move;
    use super::*;

    fn with(path: &[u8]) -> Journal {
        let path = PathBuf::from(OsString::from_vec(path.to_vec()));
        let mut journal = Journal::new("run");
        journal.state = State::Exchanging(Side::New);
        journal.plan.moves.push(Move { live: path.clone(), staged: path, had: true, comes: false });
        journal
    }

    #[test]
    fn any_name_survives_the_journal() {
        for name in [&b"data"[..], b"with \"quotes\" and \n", b"no text \xff\xfe"] {
            let journal = with(name);
            assert_eq!(Journal::parse(&serde_json::to_vec(&journal).unwrap()).unwrap(), journal);
        }
    }

    #[test]
    fn a_journal_that_leads_out_is_not_believed() {
        for path in ["../x", "/etc/passwd", "a/../../b", "", "."] {
            let text = serde_json::to_vec(&with(path.as_bytes())).unwrap();
            assert!(Journal::parse(&text).is_err(), "{path}");
        }
        let text = serde_json::to_string(&with(b"a")).unwrap();
        assert!(Journal::parse(text.replace("\"format\":1", "\"format\":2").as_bytes()).is_err());
        assert!(Journal::parse(&text.as_bytes()[..text.len() / 2]).is_err());
    }
}
