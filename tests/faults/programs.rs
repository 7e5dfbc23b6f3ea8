//! The real programs behind scripts that ask the trap before they begin and before they end.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use super::fault::{Fault, Kind};
use super::trap::Trap;
use crate::support::accept::Accepting;

/// A directory of such scripts, and who answers them.
pub struct Programs {
    directory: PathBuf,
    answers: Accepting,
}

impl Programs {
    /// Makes an empty directory.
    pub fn new(directory: PathBuf, trap: &Trap) -> Self {
        fs::create_dir_all(&directory).expect("mkdir");
        let trap = trap.clone();
        let answers = Accepting::with(move |asking| {
            let trap = trap.clone();
            // A step may wait for a strike, and others go on.
            thread::spawn(move || answer(&asking, &trap));
        });
        Self { directory, answers }
    }

    /// Puts a program behind a script; restic's steps are named by its first word. Asked for its version it is always the real one.
    pub fn wrap(&self, name: &str, real: &Path) -> PathBuf {
        let (port, real) = (self.answers.port(), real.display());
        let script = format!(
            r#"#!/bin/bash
case " $* " in *" --version "* | *" version "*) exec {real} "$@" ;; esac
case {name} in restic) what="{name} $1" ;; *) what={name} ;; esac
ask() {{ exec 3<>/dev/tcp/127.0.0.1/{port} && echo "$1 $what" >&3 && read -r verdict <&3; exec 3<&-; }}
meet() {{
    case $verdict in
    exits) echo "{name}: something is wrong" >&2; exit 1 ;;
    killed) kill -9 $$ ;;
    hangs) exec sleep 600 ;;
    esac
}}
verdict=; ask begins; meet
case $verdict in watch) ;; *) exec {real} "$@" ;; esac
{real} "$@"; code=$?
verdict=; ask ends; meet
exit $code
"#
        );
        let path = self.directory.join(name);
        fs::write(&path, script).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an executable");
        path
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

fn answer(asking: &TcpStream, trap: &Trap) {
    let mut line = String::new();
    if BufReader::new(asking).read_line(&mut line).is_err() {
        return;
    }
    let Some((verb, name)) = line.trim_end().split_once(' ') else { return };
    let kind = if verb == "ends" { Kind::Ends } else { Kind::Begins };
    let verdict = match trap.reach(kind, name.trim()) {
        Some(Fault::Exits) => "exits",
        Some(Fault::Killed) => "killed",
        Some(Fault::Hangs) => "hangs",
        _ if kind == Kind::Begins && trap.wants_ends() => "watch",
        _ => "pass",
    };
    // Whoever asked may be dead by now.
    let _ = writeln!(&mut { asking }, "{verdict}");
}
