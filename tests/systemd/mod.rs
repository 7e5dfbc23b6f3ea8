//! The units, as systemd itself reads them: without a fault, and as shut in as they can be. `make test-systemd` boots a systemd
//! and runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::run::{Ran, run};
use crate::support::workdir::WorkDir;

/// Each unit with an instance.
const UNITS: [&str; 7] = [
    "bkp@demo.service",
    "bkp@demo.timer",
    "bkp-db@demo.service",
    "bkp-db@demo.timer",
    "bkp-drill@demo.service",
    "bkp-drill@demo.timer",
    "bkp-failed@bkp@demo.service.service",
];

/// The worst exposure that is still in the green, in tenths.
const GREEN: &str = "--threshold=30";

/// The units where the program that they start is there.
fn units() -> WorkDir {
    let work = WorkDir::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")).expect("the units") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|kind| kind == "service" || kind == "timer") {
            let text = fs::read_to_string(&path).expect("a unit");
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            work.file(&name, text.replace("/usr/local/bin/bkp", env!("CARGO_BIN_EXE_bkp")));
        }
    }
    work
}

fn analyze(units: &WorkDir, arguments: &[&str], unit: &str) -> Ran {
    let path: PathBuf = units.join(unit);
    let mut command = Command::new("systemd-analyze");
    // The host's own units besides, which these name.
    command.env("SYSTEMD_UNIT_PATH", format!("{}:", units.path().display())).args(arguments).arg(path);
    run(&mut command, b"")
}

#[test]
fn systemd_finds_no_fault_in_the_units() {
    let units = units();
    for unit in UNITS {
        // It ends with 0 on a key that it does not know, and says so on standard error alone.
        let ran = analyze(&units, &["verify", "--man=no"], unit);
        assert!(ran.success && ran.stderr.is_empty(), "{unit}: {}", ran.stderr);
    }
}

#[test]
fn a_fault_in_a_unit_is_found() {
    let units = units();
    let text = fs::read_to_string(units.join("bkp@.service")).expect("a unit");
    units.file("bkp@.service", text.replace("KillMode=mixed", "KilMode=mixed"));
    assert!(analyze(&units, &["verify", "--man=no"], UNITS[0]).stderr.contains("KilMode"));
}

#[test]
fn the_units_are_in_the_green() {
    let units = units();
    for unit in UNITS.iter().filter(|unit| unit.ends_with(".service")) {
        let ran = analyze(&units, &["security", "--offline=true", GREEN], unit);
        assert!(ran.success, "{unit}: {}", ran.text());
    }
    let text = fs::read_to_string(units.join("bkp@.service")).expect("a unit");
    let open: String =
        text.lines().filter(|line| !line.starts_with("Protect")).map(|line| format!("{line}\n")).collect();
    units.file("bkp@.service", open.replace("CapabilityBoundingSet=CAP_DAC_READ_SEARCH", ""));
    assert!(!analyze(&units, &["security", "--offline=true", GREEN], UNITS[0]).success, "the limit says something");
}
