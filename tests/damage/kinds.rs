//! The ways in which a stored thing can be damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    Deleted,
    Emptied,
    Halved,
    LastByte,
    FlippedFirst,
    FlippedMiddle,
    FlippedLast,
    /// Exchanged with the same kind of thing of the night before.
    Swapped,
    /// What lies there is the thing of another application or database.
    Foreign,
    /// There once more, under a name that would make it the newest.
    Doubled,
    /// What lies there is the thing of the night before.
    Older,
}

use Damage::{
    Deleted, Doubled, Emptied, FlippedFirst, FlippedLast, FlippedMiddle, Foreign, Halved, LastByte, Older, Swapped,
};

pub const ALL: [Damage; 11] =
    [Deleted, Emptied, Halved, LastByte, FlippedFirst, FlippedMiddle, FlippedLast, Swapped, Foreign, Doubled, Older];

impl Damage {
    pub fn words(self) -> &'static str {
        match self {
            Deleted => "deleted",
            Emptied => "cut to nothing",
            Halved => "cut to half",
            LastByte => "last byte cut off",
            FlippedFirst => "bit flipped, start",
            FlippedMiddle => "bit flipped, middle",
            FlippedLast => "bit flipped, end",
            Swapped => "swapped with night 1's",
            Foreign => "replaced by another's",
            Doubled => "doubled",
            Older => "replaced by night 1's",
        }
    }

    /// What becomes of bytes by it; nothing where it is not about the bytes alone.
    pub fn of_bytes(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let flipped = |at: usize| {
            let mut changed = bytes.to_vec();
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= 1;
            }
            changed
        };
        Some(match self {
            Emptied => Vec::new(),
            Halved => bytes[..bytes.len() / 2].to_vec(),
            LastByte => bytes[..bytes.len().saturating_sub(1)].to_vec(),
            FlippedFirst => flipped(0),
            FlippedMiddle => flipped(bytes.len() / 2),
            FlippedLast => flipped(bytes.len().saturating_sub(1)),
            Deleted | Swapped | Foreign | Doubled | Older => return None,
        })
    }
}

/// A stored thing that is a file, and what it can be mistaken for.
#[derive(Debug, Clone)]
pub struct Thing {
    /// What people call it.
    pub what: &'static str,
    pub path: PathBuf,
    /// The same of the night before.
    pub before: Option<PathBuf>,
    /// The same of somebody else.
    pub foreign: Option<PathBuf>,
    /// Where a copy of it would be taken for one more.
    pub copy: Option<PathBuf>,
}

impl Thing {
    /// The damages that there can be of it.
    pub fn damages(&self) -> Vec<Damage> {
        let can = |damage: &Damage| match damage {
            Swapped | Older => self.before.is_some(),
            Foreign => self.foreign.is_some(),
            Doubled => self.copy.is_some(),
            _ => true,
        };
        ALL.into_iter().filter(can).collect()
    }

    pub fn damage(&self, how: Damage) {
        let read = |path: &Option<PathBuf>| fs::read(path.as_ref().expect("a counterpart")).expect("its content");
        let own = fs::read(&self.path).expect("a stored thing");
        match how {
            Deleted => fs::remove_file(&self.path).expect("removed"),
            Swapped => {
                let other = read(&self.before);
                put(self.before.as_ref().expect("a counterpart"), &own);
                put(&self.path, &other);
            }
            Older => put(&self.path, &read(&self.before)),
            Foreign => put(&self.path, &read(&self.foreign)),
            Doubled => put(self.copy.as_ref().expect("another name"), &own),
            _ => put(&self.path, &how.of_bytes(&own).expect("bytes")),
        }
    }
}

/// Writes a file that may be there, and not writable, as restic leaves its own.
pub fn put(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
    fs::write(path, bytes).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("chmod");
}
