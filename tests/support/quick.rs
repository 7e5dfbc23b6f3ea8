//! A restic whose passwords are quickly tried.
//!
//! restic measures how long it takes to derive a key from a password, and makes it so dear that this takes half a second: at
//! each call, and for each key that is tried. Here it is real, but stopped most of the time while it makes a key, so that it
//! takes the machine for a slow one. Whoever opens the repository later pays a tenth.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::parts;
use super::workdir::WorkDir;

/// The program to run in restic's place, in a file of the test's own.
///
/// Ended by a signal while it makes a key, it may leave a restic that is stopped for ever: tests of that take the real one.
pub fn restic(work: &WorkDir) -> PathBuf {
    restic_of(work, "0.18")
}

/// The same of another version.
pub fn restic_of(work: &WorkDir, version: &str) -> PathBuf {
    let restic = parts::restic(version);
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *\" init \"* | *\" key add \"*) ;; *) exec {restic} \"$@\" ;; esac\n\
         exec 3<&0\n{restic} \"$@\" <&3 & pid=$!\n\
         while kill -STOP $pid && sleep 0.02 && kill -CONT $pid; do sleep 0.001; done 2>/dev/null\nwait $pid\n",
        restic = restic.display()
    );
    let path = work.file(&format!("quick-restic-{version}"), script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    path
}
