//! Scratch directories that the settings do not name, `--scratch` did: noted in the state directory as long as a drill works in one,
//! so that the next start of anything finds what a killed drill left there.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::files;
use crate::settings::Settings;

/// Below the state directory, with a folder for each application and a file for each place.
const FOLDER: &str = "drill-places";

/// How many hexadecimal digits tell places apart.
const DIGITS: usize = 16;

fn folder(settings: &Settings) -> PathBuf {
    settings.state_dir.join(FOLDER).join(&settings.app)
}

/// Notes a place, unless it is where drills are looked for anyway. Gives the note.
pub fn note(settings: &Settings, base: &Path) -> Option<PathBuf> {
    if files::base(settings).canonicalize().is_ok_and(|own| own == base) {
        return None;
    }
    let folder = folder(settings);
    let path = folder.join(&blake3::hash(base.as_os_str().as_bytes()).to_hex()[..DIGITS]);
    // What root makes can be passed through: a drill's server, which is another account, may have to.
    let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
    let made = DirBuilder::new().mode(mode).recursive(true).create(&folder);
    match made.and_then(|()| std::fs::write(&path, base.as_os_str().as_bytes())) {
        Ok(()) => Some(path),
        Err(error) => {
            let (base, folder) = (base.display(), folder.display());
            tracing::warn!(
                "{base} cannot be noted in {folder}, so if this drill is killed, only one with the same --scratch clears it: {error}"
            );
            None
        }
    }
}

/// The drill is over.
pub fn forget(note: Option<&Path>) {
    // One that stays names a place where nothing is found.
    let _ = note.map(std::fs::remove_file);
}

/// All that are noted: the note and its place.
pub fn noted(settings: &Settings) -> Vec<(PathBuf, PathBuf)> {
    let Ok(notes) = folder(settings).read_dir() else { return Vec::new() };
    let notes = notes.flatten().map(|note| note.path());
    notes
        .filter_map(|note| {
            let base = PathBuf::from(OsString::from_vec(std::fs::read(&note).ok()?));
            base.is_absolute().then_some((note, base))
        })
        .collect()
}
