//! How the application is paused: the Kubernetes API's own word on what a pause would send (`dryRun=All`, which does nothing), the
//! maintenance file's directory, the commands' programs.

use std::path::Path;

use anyhow::Result;
use rustix::fs::Access;

use super::finding::{Area, Finding};
use crate::commands::pausing;
use crate::pause::{self, Config};
use crate::settings::Settings;

/// Everything that a pause needs. Also what the settings let no command pause: a later one may.
pub async fn look(settings: &Settings, run: &str) -> Vec<Finding> {
    let config = match pausing::config(settings) {
        Ok(config) => config,
        Err(error) => return vec![Finding::of(Area::Pause, &error)],
    };
    let mut findings = Vec::new();
    if let Some(maintenance) = &config.maintenance {
        findings.push(maintenance_file(&maintenance.path));
    }
    findings.extend(pausing::programs(settings).iter().map(|(name, program)| program_of(name, program)));
    if config.commands.is_some() {
        findings.push(notes(&config.state));
    }
    findings.extend(scaled(&config, run).await);
    findings
}

async fn scaled(config: &Config, run: &str) -> Vec<Finding> {
    let answers = match pause::rehearse_scaled(config, run).await {
        Ok(answers) => answers,
        Err(error) => return vec![Finding::of(Area::Pause, &error)],
    };
    let told = |(object, answer): (String, Result<()>)| match answer {
        Ok(()) => Finding::ok(Area::Pause, format!("{object} may be read, scaled, and its pods listed")),
        Err(error) => Finding::of(Area::Pause, &error),
    };
    answers.into_iter().map(told).collect()
}

fn maintenance_file(path: &Path) -> Finding {
    let shown = path.display();
    let directory = path.parent().unwrap_or(path);
    if !directory.is_dir() {
        return Finding::warning(
            Area::Pause,
            format!("the directory of BKP_MAINTENANCE_FILE {shown} is not there: no application would be paused"),
            "mount its volume, or correct BKP_MAINTENANCE_FILE",
        );
    }
    match rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::ok(Area::Pause, format!("{shown} can be made")),
        Err(error) => {
            let user = rustix::process::geteuid().as_raw();
            let what = format!("user {user} cannot make {shown}: {error}");
            Finding::fault(Area::Pause, what, "mount it writable (readOnly: false), or run as the directory's owner")
        }
    }
}

/// Where its note is made, or the first directory above that is there.
fn notes(state: &Path) -> Finding {
    let there = state.ancestors().find(|at| at.is_dir()).unwrap_or(Path::new("/"));
    match rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::ok(Area::Pause, format!("what is paused can be noted in {}", state.display())),
        Err(error) => Finding::warning(
            Area::Pause,
            format!(
                "nothing can be noted in {}: {error}; a run that is killed leaves the application paused and no note",
                state.display()
            ),
            "set BKP_STATE_DIR to a directory on a volume that lasts and can be written",
        ),
    }
}

fn program_of(name: &str, program: &str) -> Finding {
    match pausing::runs(program) {
        Some(at) => Finding::ok(Area::Pause, format!("{} is there and can be run", at.display())),
        None => {
            let what = format!("there is no program {program} that can be run, for {name}");
            Finding::fault(Area::Pause, what, pausing::MEND_PROGRAM)
        }
    }
}
