//! What must be true after a fault, and again after the next start.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use super::fault::Fault;
use super::scene::{RUNS, Scene, State};
use super::story::Verb;
use crate::support::bkp::Output;
use crate::support::kube::Kube;
use crate::support::wait::until;

/// What came of a run that met its fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done all the same, and told so.
    Done,
    /// Not done, and told so.
    Failed,
    /// Killed; the next start told.
    Died,
}

/// What was there before.
pub struct Before {
    pub state: State,
    pub runs: Vec<String>,
    /// How much had been asked of the Kubernetes API.
    asked: usize,
}

impl Before {
    pub fn of(scene: &Scene) -> Result<Self> {
        let asked = scene.kube.as_ref().map_or(0, |kube| kube.seen().len());
        Ok(Self { state: scene.state(), runs: runs(scene)?, asked })
    }

    /// Whether a run of these days came to where it scales: what it changed must be given back, however long nobody answers.
    fn scales_since(&self, scene: &Scene) -> bool {
        let seen = scene.kube.as_ref().map(Kube::seen).unwrap_or_default();
        seen.iter().skip(self.asked).any(|asked| asked.starts_with("Rehearse"))
    }
}

/// The runs that the list calls good, newest first.
fn runs(scene: &Scene) -> Result<Vec<String>> {
    let rows = scene.listed().map_err(|error| anyhow!(error))?;
    for row in &rows {
        ensure!(row["sealed"] == row["missing"].is_null(), "half of a run is listed as whole: {row}");
    }
    let sealed = rows.iter().filter(|row| row["sealed"] == true);
    sealed.map(|row| row["run"].as_str().map(str::to_owned).context("a row without a run")).collect()
}

/// Judges a run that met this fault, starts the next, and judges that.
pub fn judge(scene: &Scene, before: &Before, fault: Fault, out: &Output) -> Result<Outcome> {
    // A second signal ends it where it is, as a death does.
    let cut_off = fault == Fault::IntTwice && out.code == 130 && scene.metrics().is_empty();
    let died = cut_off || [137, 134, 139].contains(&out.code);
    let is_held_up = fault == Fault::Hangs || fault == Fault::Silent && before.scales_since(scene);
    let is_grace_over = is_held_up && out.code == 137;
    ensure!(scene.replays(), "replay does not go on");
    ensure!(fault.codes().contains(&out.code) || is_grace_over, "exit {} is not the truth", out.code);
    told(scene, fault, out, died)?;
    match scene.story.verb {
        Verb::Backup => backup(scene, before, fault, out, died),
        Verb::Restore => restore(scene, before, out, died),
        Verb::Forget => forget(scene, before, out),
        Verb::ChangePassword => change_password(scene, before, out),
    }?;
    ensure!(scene.replays(), "replay does not go on after the next start");
    Ok(match out.code {
        0 => Outcome::Done,
        _ if died => Outcome::Died,
        _ => Outcome::Failed,
    })
}

/// What it said of itself: in words, and in figures.
fn told(scene: &Scene, fault: Fault, out: &Output, died: bool) -> Result<()> {
    ensure!(fault == Fault::NoMemory || !out.stderr.contains("panicked"), "it panicked");
    if died {
        return Ok(());
    }
    // Whoever asks twice gets no more than the answer to the first time.
    let words = if fault == Fault::IntTwice { "asked to stop" } else { "ERROR" };
    ensure!(out.code == 0 || out.stderr.contains(words), "it failed without a word");
    // Nor does it wait for the metrics; and nobody writes a file without a descriptor or a thread.
    if matches!(fault, Fault::IntTwice | Fault::NoDescriptors | Fault::NoMemory) && scene.metrics().is_empty() {
        return Ok(());
    }
    let verb = scene.story.arguments()[0];
    let status = format!("bkp_last_run_exit_status{{app=\"shop\",command=\"{verb}\"}} {}\n", out.code);
    ensure!(scene.metrics().contains(&status), "the metrics do not say {status:?}: {}", scene.metrics());
    let saved =
        scene.metrics().contains(&format!("bkp_last_success_timestamp_seconds{{app=\"shop\",command=\"{verb}\"}}"));
    let did = [0, 3, 4].contains(&out.code);
    ensure!(saved == did, "the metrics tell of success: {saved}, exit {}", out.code);
    Ok(())
}

fn backup(scene: &Scene, before: &Before, fault: Fault, out: &Output, died: bool) -> Result<()> {
    let is_saved = |after: &[String]| after.iter().filter(|run| !before.runs.contains(run)).count();
    let after = runs(scene)?;
    let new = is_saved(&after);
    match out.code {
        0 | 3 | 4 => {
            ensure!(new == 1, "exit {} and {new} new runs", out.code);
            let record: Value = serde_json::from_slice(&out.bytes).context("no record")?;
            ensure!(
                record["run"].as_str().is_some_and(|run| after.iter().any(|known| known == run)),
                "another run: {record}"
            );
        }
        _ if died => ensure!(new <= 1, "{new} new runs"),
        // restic that dies once it has stored is believed to have failed: the last item may be there, and is whole. So does a server that is
        // silent find the last request when it goes on, and nobody is there any more.
        _ if scene.story.is_restic() && matches!(fault, Fault::Exits | Fault::Killed | Fault::Silent) => {
            ensure!(new <= 1, "{new} new runs")
        }
        _ => ensure!(
            new == 0
                || [
                    "is whole in",
                    "is done, and stays",
                    "is listed, and bkp check",
                    "if it is listed, bkp check",
                    "unless bkp list shows it whole"
                ]
                .iter()
                .any(|words| out.stderr.contains(words)),
            "saved, and not told"
        ),
    }
    let kept = before.runs.iter().filter(|run| after.contains(run)).count();
    ensure!(kept >= RUNS - new, "{kept} of {} older runs are left, {new} are new", before.runs.len());
    ensure!(scene.state() == before.state, "the application is not as it was");
    next(scene)?;
    let then = runs(scene)?;
    ensure!(then.iter().any(|run| !after.contains(run)), "the next backup is not listed");
    nothing_is_left(scene)
}

fn restore(scene: &Scene, before: &Before, out: &Output, died: bool) -> Result<()> {
    let is_new = |state: &State| -> Result<bool> {
        ensure!(*state == before.state || *state == scene.saved, "neither old nor new: {state:?}");
        Ok(*state == scene.saved)
    };
    let new = is_new(&scene.state());
    // A death between the two halves of the exchange is what the next start finishes.
    let new = if died { new.unwrap_or(false) } else { new? };
    ensure!(out.code != 0 || new, "exit 0 and not restored");
    ensure!(out.code == 0 || died || !new || out.stderr.contains("is done, and stays"), "restored, and not told");
    ensure!(runs(scene)? == before.runs, "backups came or went");
    next(scene)?;
    let then = is_new(&scene.state())?;
    ensure!(died || then == new, "the next start changed what serves");
    nothing_is_left(scene)
}

fn forget(scene: &Scene, before: &Before, out: &Output) -> Result<()> {
    let after = runs(scene)?;
    ensure!(after.first() == before.runs.first(), "the newest is gone: {after:?} of {:?}", before.runs);
    ensure!(out.code != 0 || after.len() == 1, "exit 0 and {after:?} are left");
    ensure!(scene.state() == before.state, "the application is not as it was");
    next(scene)?;
    ensure!(runs(scene)? == before.runs[..1], "the next one did not forget");
    nothing_is_left(scene)
}

fn change_password(scene: &Scene, before: &Before, out: &Output) -> Result<()> {
    let opens = |name: &str| scene.opens_with(name);
    ensure!(opens("password") || opens("new-password"), "locked out");
    ensure!(out.code != 0 || opens("new-password") && !opens("password"), "exit 0 and not changed");
    ensure!(runs(scene)? == before.runs, "backups came or went");
    next(scene)?;
    ensure!(opens("new-password") && !opens("password"), "the next one did not change it");
    ensure!(runs(scene)? == before.runs, "backups came or went with the next");
    nothing_is_left(scene)
}

/// What an operator or the next night starts.
fn next(scene: &Scene) -> Result<()> {
    let out = scene.run(scene.story.next());
    ensure!(out.code == 0, "the next start: exit {}\n{}", out.code, out.stderr);
    Ok(())
}

/// No pause, no lock, nothing half-done, and what is listed is as it was sealed.
fn nothing_is_left(scene: &Scene) -> Result<()> {
    // A restic that was killed, or whose bkp was, leaves its lock, a shared one: who wants to be alone removes it.
    if scene.story.verb == Verb::Restore && !locks(scene).is_empty() {
        let out = scene.run(&["backup"]);
        ensure!(out.code == 0, "the next backup: exit {}\n{}", out.code, out.stderr);
    }
    let mut left = locks(scene);
    ensure!(!scene.paused().exists(), "it is still paused");
    if let Some(kube) = &scene.kube {
        let objects = (kube.object("web"), kube.object("queue"));
        ensure!(objects == ((3, None), (2, None)), "it is still scaled down: {objects:?}");
    }
    for name in ["tmp", "state"] {
        entries(&scene.at(name), &mut left);
    }
    let mut all = Vec::new();
    entries(&scene.at("repository"), &mut all);
    let is_half = |path: &String| path.ends_with(".part") || path.contains("-tmp-");
    left.extend(all.into_iter().filter(is_half));
    left.extend(hidden(&scene.at("files")));
    if let Some(cluster) = &scene.cluster {
        let known = ["postgres", "shop", "template0", "template1"];
        let databases = cluster.databases().into_iter();
        left.extend(databases.filter(|name| !known.contains(&name.as_str()) && !name.contains("__was_")));
        // A session ends some time after its client.
        let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
        until("the locks to be gone", || cluster.psql("postgres", held) == "0");
    }
    if let Some(server) = &scene.server {
        left.extend(server.open_uploads(&scene.prefix));
    }
    ensure!(left.is_empty(), "left behind: {left:#?}");
    let check = scene.run(&["check", "--read-data"]);
    ensure!(
        check.code == 0,
        "what is listed is not as it was sealed: exit {}\n{}{}",
        check.code,
        check.stdout,
        check.stderr
    );
    Ok(())
}

/// restic's.
fn locks(scene: &Scene) -> Vec<String> {
    let mut locks = Vec::new();
    entries(&scene.at("repository/locks"), &mut locks);
    locks
}

/// Every file below a directory.
fn entries(directory: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.path().is_dir() {
            true => entries(&entry.path(), into),
            false => into.push(entry.path().display().to_string()),
        }
    }
}

/// What a restore left in a directory, but what it put aside.
fn hidden(files: &Path) -> Vec<String> {
    let mut hidden = Vec::new();
    for entry in fs::read_dir(files).into_iter().flatten().flatten() {
        let journal = fs::read_to_string(entry.path().join("journal.json")).unwrap_or_default();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".bkp-") && !journal.contains("{\"settled\":\"new\"}") {
            hidden.push(format!("{name} {journal}"));
        }
    }
    hidden
}
