//! The five systems that bkp takes over: their environment, mounts and command names as they are in the field, with the settings
//! of `images/`, against real PostgreSQL and restic. What today's scripts wrote is written here by the same commands.

mod jira;
mod nextcloud;
mod opsocket;
mod quetzal;
mod taiga;

pub use opsocket::unit_env;

use std::path::Path;
use std::process::Command;

use crate::support::bkp::Output;
use crate::support::parts;
use crate::support::pod::Pod;
use crate::support::run::{Ran, run};
use crate::support::workdir::WorkDir;

/// A pod whose words are watched: whatever it runs, no secret may be in them.
struct Watched {
    pod: Pod,
    secrets: Vec<String>,
}

impl Watched {
    /// A command by its old name, in a new pod.
    #[track_caller]
    fn run<const N: usize>(&self, command: &str, arguments: [&str; N]) -> Output {
        self.check(self.pod.call(command, arguments).run())
    }

    /// Passes on what has no secret in it.
    #[track_caller]
    fn check(&self, output: Output) -> Output {
        self.secrets.iter().fold(output, |output, secret| output.never_says(secret))
    }
}

/// restic by itself, as an operator would ask it.
fn restic(work: &WorkDir, repository: &Path, password: &str, arguments: &[&str]) -> Ran {
    let mut restic = Command::new(parts::restic("0.18"));
    restic.env_clear().env("RESTIC_REPOSITORY", repository).env("RESTIC_PASSWORD", password);
    restic.env("RESTIC_CACHE_DIR", work.join("cache")).current_dir(work.path());
    run(restic.args(arguments), b"")
}

/// All snapshots of a repository, oldest first.
fn snapshots(work: &WorkDir, repository: &Path, password: &str) -> Vec<serde_json::Value> {
    let ran = restic(work, repository, password, &["snapshots", "--json", "--no-lock"]);
    assert!(ran.success, "{}", ran.stderr);
    serde_json::from_slice(&ran.stdout).expect("a list of snapshots")
}

fn short_ids(snapshots: &[serde_json::Value]) -> Vec<String> {
    snapshots.iter().map(|snapshot| snapshot["short_id"].as_str().expect("an id").to_owned()).collect()
}

/// A shell's `date` of so many days ago, as restic's `--time` takes it.
fn days_ago(days: u32) -> String {
    let said = run(Command::new("date").args(["-d", &format!("{days} days ago"), "+%Y-%m-%d %H:%M:%S"]), b"");
    assert!(said.success, "{}", said.stderr);
    said.text()
}
