//! Is there anything to save? A volume that was not mounted looks like an empty directory, and an empty backup looks like
//! a good one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{is_foreign, pattern};
use crate::error::Failure;
use crate::exit::Exit;

/// The root's canonical path, when there is something in it. `ignored` are paths (absolute or relative to the root) that are
/// none of the application's, such as a maintenance file of ours.
///
/// # Errors
/// When it is missing, no directory, not readable, or empty while `allow_empty` is not set.
pub fn check(root: &Path, allow_empty: bool, ignored: &[PathBuf]) -> Result<PathBuf> {
    let shown = root.display();
    let at = match root.canonicalize() {
        Ok(at) => at,
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            Failure::new(format!("{shown} is not there"))
                .hint("is the volume mounted? else correct BKP_FILES")
                .exit(Exit::Usage)
        ),
        Err(error) => bail!(Failure::new(format!("{shown} cannot be reached")).because(error)),
    };
    if !at.is_dir() {
        bail!(
            Failure::new(format!("{shown} is no directory"))
                .hint("name the directory in BKP_FILES, and the file in BKP_FILES_INCLUDE")
                .exit(Exit::Usage)
        );
    }
    let names = pattern::names(&at).map_err(|error| {
        let user = rustix::process::geteuid().as_raw();
        Failure::new(format!("{shown} cannot be read by user {user}"))
            .hint("run as the user that owns the files, or as root")
            .because(error)
    })?;
    let theirs = |path: &Path| !ignored.iter().any(|ignored| root.join(ignored) == path || at.join(ignored) == path);
    let is_empty = !names.iter().any(|name| !is_foreign(name) && theirs(&root.join(name)) && theirs(&at.join(name)));
    if is_empty && !allow_empty {
        bail!(
            Failure::new(format!("{shown} is empty"))
                .hint("is the volume mounted? If it is meant to be empty, allow it with BKP_FILES_ALLOW_EMPTY=1")
        );
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_or_missing_source_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let told = |allow| check(root, allow, &["maintenance".into()]).map_err(|error| error.to_string());
        assert!(told(false).unwrap_err().ends_with("is empty"));
        for ours in ["lost+found", ".bkp-run"] {
            std::fs::create_dir(root.join(ours)).unwrap();
        }
        std::fs::write(root.join("maintenance"), "on").unwrap();
        assert!(told(false).unwrap_err().ends_with("is empty"));
        assert_eq!(told(true).unwrap(), root.canonicalize().unwrap());
        std::fs::write(root.join(".hidden"), "data").unwrap();
        assert!(told(false).is_ok());
        assert!(check(&root.join("nowhere"), true, &[]).unwrap_err().to_string().ends_with("is not there"));
        assert!(check(&root.join("maintenance"), true, &[]).unwrap_err().to_string().ends_with("is no directory"));
    }
}
