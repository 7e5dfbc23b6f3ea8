//! Files of an application: what of a directory may be saved, and how a saved tree takes the place of a live one.
//!
//! | file | what it is |
//! | --- | --- |
//! | `root` | is there anything to save, or is the volume not mounted? |
//! | `glob`, `pattern` | names and paths with wildcards |
//! | `choice` | what is left out, and what is taken |
//! | `socket` | what is left out because nothing could save it |
//! | `lock` | one run at a time on a directory |
//! | `volume` | mount points, free space, and moves that never overwrite |
//! | `walk` | all entries of a tree, children first |
//! | `access` | whether all of it can be read |
//! | `scratch` | a directory that a restore test works in, and cleans up |
//! | `owner` | ownership of a restored tree |
//! | `apart` | one entry, restored into a directory of other things |
//! | `exchange` | the restore: staged beside the live tree, exchanged by rename, undone |
//!
//! The program that stores the files is driven elsewhere; nothing here knows a repository. Everything but the lock blocks its
//! thread: call it from one that may be blocked.

pub mod access;
pub mod apart;
pub mod choice;
pub mod exchange;
pub mod glob;
pub mod lock;
pub mod owner;
pub mod pattern;
pub mod root;
pub mod scratch;
pub mod socket;
pub mod volume;
pub mod walk;

/// What the names of our own entries in a root begin with. They are never saved, never replaced and never put aside.
pub const OWN: &str = ".bkp-";

/// Where `fsck` puts what it finds; part of the volume, not of the application.
pub const LOST_AND_FOUND: &str = "lost+found";

/// Whether a top-level entry belongs to the volume or to us, and not to the application.
pub fn is_foreign(name: &std::ffi::OsStr) -> bool {
    use std::os::unix::ffi::OsStrExt;
    name == LOST_AND_FOUND || name.as_bytes().starts_with(OWN.as_bytes())
}

/// The entries of a list in a variable: between commas or line ends, without blanks around them, empty ones left out.
pub fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty())
}
