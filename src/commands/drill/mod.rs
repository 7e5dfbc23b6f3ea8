//! `bkp drill`: does a backup restore? Loads one beside what is live, its files into a scratch directory,
//! compares, asks the operator's checks, drops it all, and says
//! what it did as evidence.
//!
//! Nothing live is touched: names of its own, refused when they are taken; no role is changed; the application is not paused and its
//! lock is not held, so that backups go on. Whatever ends it, what it made goes: at once, or at the next start of a drill, a backup, a
//! restore or `resume`.

mod checks;
mod count;
mod databases;
mod evidence;
pub mod files;
pub mod leftovers;

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use jiff::Timestamp;

use self::checks::Check;
use self::databases::Trial;
use self::evidence::{Backup, Evidence, Outcome};
use self::files::Trees;
use super::catalog::{Dump, proofs};
use super::repositories::Repositories;
use super::restore::choose::Choice;
use super::restore::reading::{self, Read, Stored};
use super::restore::sort::Sorted;
use super::restore::undo::Undo;
use super::restore::{self, databases as restored, sort};
use super::{Context, Run, now};
use crate::cli::Restore;
use crate::error::statements::failures_of;
use crate::error::{Failure, exit_of};
use crate::exit::Exit;
use crate::report;
use crate::report::metrics::{self, Metric};
use crate::repository::bucket::layout;
use crate::settings::{Postgres, Settings};
use crate::sources::Item;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::{lock, server};

/// What the operator asked for.
pub use crate::cli::Drill as Request;

/// Tries one backup.
///
/// # Errors
/// Exit code 5 when a proof failed, 1 when it could not be tried; the evidence is written all the same.
pub async fn drill(context: &Context, request: &Request) -> Result<Exit> {
    let run = Run::begin()?;
    let checks = checks::parse(context.settings.drill.checks.as_deref().unwrap_or_default())?;
    let mut evidence = Evidence::begin(&run.id, &context.settings.app, run.began);
    let mut tried = tried(context, &run, request, &checks, &mut evidence).await.map_err(judged);
    evidence.ended = Some(now());
    match &tried {
        Ok(()) => evidence.result = Outcome::Proven,
        // Nothing was tried: what the last drill has shown still holds.
        Err(error) if matches!(exit_of(error), Exit::Locked | Exit::Usage) => return tried.map(|()| Exit::Done),
        Err(error) => evidence.failed(error, exit_of(error)),
    }
    if let Err(error) = show(context, request, &evidence) {
        // A proof that nobody can see is none.
        tracing::error!("{error:#}");
        tried = tried.and(Err(error));
    }
    tried?;
    let name = evidence.backup.as_ref().map(|backup| backup.name.as_str()).unwrap_or_default();
    let seconds = evidence.time_to_restore_seconds.unwrap_or_default();
    let checks = evidence.checks.len();
    tracing::info!("proven: {name} restores, in {seconds:.1} s up to the swap; {checks} checks hold");
    Ok(Exit::Done)
}

/// From the choice to the end of what was made.
async fn tried(
    context: &Context,
    run: &Run,
    request: &Request,
    checks: &[Check],
    evidence: &mut Evidence,
) -> Result<()> {
    let (settings, stop) = (&context.settings, &context.stop);
    let session_name = run.session_name("drill");
    let main = match &settings.postgres {
        Some(postgres) => Some((postgres, stop.or(hold(settings, postgres, &session_name)).await?)),
        None => None,
    };
    files::clear_dead(settings, false).await;

    let mut steps = Steps(run.began);
    let wish = Restore { when: request.when.clone(), ..Restore::default() };
    let repositories = stop.or(Repositories::open(context)).await?;
    let choice = stop.or(restore::chosen(context, &repositories, &wish)).await?;
    let sorted = sort::sort(&repositories, settings, &choice, &wish)?;
    evidence.not_tried = left_out(&choice, &sorted);
    evidence.backup = Some(backup(context, &repositories, &choice, &sorted));
    steps.done("choose", evidence);

    // Its end, its seal, its rows, its digest: before anything is made.
    let read = match &sorted.sql {
        Some(stored) => Some((stored, stop.or(proven(context, stored, &choice, &wish)).await?)),
        None => None,
    };
    if let (Some(backup), Some((_, read))) = (&mut evidence.backup, &read) {
        (backup.sql_bytes, backup.digest) = (Some(read.survey.bytes), Some(format!("blake3:{}", read.survey.digest)));
    }
    steps.done("read", evidence);

    let trial = match (&main, &read) {
        (Some((_, main)), Some((stored, read))) => {
            Some(stop.or(Trial::prepare(context, run, main, (stored, read), evidence)).await?)
        }
        _ => None,
    };
    let trees = match &repositories.restic {
        Some(places) if !sorted.trees.is_empty() => {
            Some(stop.or(Trees::prepare(context, run, request, places, &sorted.trees)).await?)
        }
        _ => None,
    };
    if trial.is_none() && !checks.is_empty() {
        bail!(
            Failure::new(format!(
                "{} holds no databases that the settings name, and there are checks to ask",
                choice.name
            ))
            .hint("take BKP_DRILL_SQL out, or name the database")
            .exit(Exit::Usage)
        );
    }
    let mut undo = Undo::default();
    let done = async {
        if let Some(trial) = &trial {
            trial.run(checks, &mut undo, &mut steps, evidence).await?;
        }
        if let Some(trees) = &trees {
            trees.run(evidence).await?;
            steps.done("files", evidence);
        }
        anyhow::Ok(())
    };
    let done = stop.or(done).await;
    if let Some(trees) = trees {
        trees.remove();
    }
    if let Some((postgres, main)) = &main {
        undo.clear(main, postgres, &session_name).await;
    }
    steps.done("drop", evidence);
    let seconds = |step| evidence.seconds.get(step).copied().unwrap_or_default();
    let restoring = ["choose", "read", "load", "files"].into_iter().map(seconds).sum();
    evidence.time_to_restore_seconds = done.is_ok().then_some(restoring);
    if let Some((_, main)) = &main {
        lock::release(main, &leftovers::lock_name(&settings.app)).await;
    }
    done?;
    remember(&repositories, &choice, evidence).await;
    Ok(())
}

/// A session that holds the drill's lock, on a server without what dead drills left.
async fn hold(settings: &Settings, postgres: &Postgres, session_name: &str) -> Result<Session> {
    let main = server::maintenance(postgres, session_name).await?;
    lock::acquire(&main, &leftovers::lock_name(&settings.app), settings.lock_wait).await?;
    if server::in_recovery(&main).await? {
        bail!(
            Failure::new("the server is a standby, where nothing can be loaded")
                .hint("drill on its primary, or on another server")
        );
    }
    leftovers::clear(&main, &settings.app, false).await?;
    Ok(main)
}

/// Reads all SQL and proves it as a restore does; here it has to have a seal.
async fn proven(context: &Context, stored: &Stored, choice: &Choice, wish: &Restore) -> Result<Read> {
    let read = reading::survey(stored).await?;
    restored::prove(stored, &read, &context.settings.app, wish)?;
    if !read.is_sealed(stored) {
        bail!(
            Failure::new(format!("{} has no seal, so there is nothing to prove it against", choice.name))
                .hint("to see whether it loads: bkp restore --as NAME")
        );
    }
    under_its_own_name(choice)?;
    Ok(read)
}

/// What the backup holds, or says that it holds, and what the settings do not let us try.
fn left_out(choice: &Choice, sorted: &Sorted) -> Vec<String> {
    let planned = choice.snapshots.iter().filter_map(|snapshot| snapshot.tags.as_ref()).flat_map(|tags| &tags.plan);
    let here = choice.snapshots.iter().map(|snapshot| &snapshot.item);
    let sealed = choice.dump.iter().filter_map(Dump::seal).flat_map(|seal| &seal.files).cloned().map(Item::Files);
    let mut items: BTreeSet<Item> = planned.chain(here).cloned().chain(sealed).collect();
    items.extend(choice.dump.is_some().then_some(Item::Dump));
    items.retain(|item| match item {
        Item::Files(_) => !sorted.trees.iter().any(|tree| tree.item == *item),
        _ => sorted.sql.is_none(),
    });
    items.iter().map(ToString::to_string).collect()
}

/// An object whose name tells another time than its seal was put there by somebody, who may have mixed up two of them.
fn under_its_own_name(choice: &Choice) -> Result<()> {
    let Some(dump) = &choice.dump else { return Ok(()) };
    let (Some(named), Some(seal)) = (layout::time_of(&dump.name), dump.seal()) else { return Ok(()) };
    let of_run = seal.run.split('-').next().unwrap_or_default();
    if named.strftime("%Y%m%dT%H%M%SZ").to_string() != of_run {
        bail!(
            Failure::new(format!("{} holds the dump of another time: run {}", dump.name, seal.run))
                .hint("somebody has renamed or copied objects in the bucket: give them their names back; see: bkp list")
                .exit(Exit::ProofFailed)
        );
    }
    Ok(())
}

/// A proof of a part is none of the whole; and what cannot be remembered is proven all the same.
async fn remember(repositories: &Repositories, choice: &Choice, evidence: &mut Evidence) {
    if !evidence.not_tried.is_empty() {
        let left = evidence.not_tried.join(", ");
        return tracing::warn!("a part was not tried, so the backup as a whole is not proven: {left}");
    }
    let (Some(store), Some(dump)) = (&repositories.bucket, &choice.dump) else {
        return tracing::info!("what lies in restic repositories is proven, but that is not remembered there");
    };
    let Some(seal) = dump.seal() else { return };
    (evidence.result, evidence.ended, evidence.remembered) = (Outcome::Proven, Some(now()), true);
    let json = serde_json::to_vec(evidence).unwrap_or_default();
    if let Err(error) = proofs::remember(store, &dump.name, &seal.run, &json).await {
        evidence.remembered = false;
        tracing::warn!("the proof cannot be stored beside the dump, so retention does not know of it: {error:#}");
    }
}

fn backup(context: &Context, repositories: &Repositories, choice: &Choice, sorted: &Sorted) -> Backup {
    let dump = choice.dump.as_ref();
    let restic = repositories.restic.iter().flat_map(|places| places.each());
    let from = match (&dump, &context.settings.bucket) {
        (Some(_), Some(bucket)) => {
            let files = restic.filter(|_| !sorted.trees.is_empty());
            std::iter::once(bucket.address.to_string())
                .chain(files.map(|(_, repository)| repository.address().to_string()))
                .collect()
        }
        _ => restic.map(|(_, repository)| repository.address().to_string()).collect(),
    };
    Backup {
        name: choice.name.clone(),
        run: dump
            .and_then(|dump| dump.seal())
            .map(|seal| seal.run.clone())
            .or_else(|| dump.is_none().then(|| choice.name.clone())),
        time: choice.time,
        from,
        object: dump.map(|dump| dump.name.clone()),
        stored_bytes: dump.map(|dump| dump.bytes),
        snapshots: choice.snapshots.iter().map(|one| format!("snapshot {} ({})", one.short(), one.item)).collect(),
        sql_bytes: None,
        digest: None,
    }
}

/// Classes of SQLSTATE that speak of the server's state and our rights, not of the dump: connection, resources, intervention, system.
const NOT_THE_DUMP: [&str; 5] = ["08", "53", "57", "58", "42501"];

/// restic's words for data that is there and is not what was written, and for data that is gone.
fn damaged(said: &str) -> bool {
    let is_gone = ["no such file", "does not exist", "NoSuchKey"].iter().any(|words| said.contains(words));
    said.contains("ciphertext verification failed") || (said.contains("Load(<data/") && is_gone)
}

/// A statement of a sealed dump that fails is a backup that does not restore, unless the server or our rights are why; so is a
/// repository that gives back something else than it was given.
fn judged(error: anyhow::Error) -> anyhow::Error {
    if exit_of(&error) == Exit::Failed && error.chain().any(|cause| damaged(&cause.to_string())) {
        let hint = "see what is damaged: bkp check --read-data; take another backup: bkp list";
        return Failure::new("the repository is damaged").hint(hint).exit(Exit::ProofFailed).because(error).into();
    }
    // The first: what comes after it may be its echo.
    let first =
        failures_of(&error).and_then(|failures| failures.listed.first()).and_then(|failed| failed.code.as_deref());
    match first {
        Some(code) if exit_of(&error) == Exit::Failed && !NOT_THE_DUMP.iter().any(|class| code.starts_with(class)) => {
            Failure::new("the backup does not restore").exit(Exit::ProofFailed).because(error).into()
        }
        _ => error,
    }
}

/// Writes evidence and metrics.
fn show(context: &Context, request: &Request, evidence: &Evidence) -> Result<()> {
    let settings = &context.settings;
    if context.json {
        report::json(evidence)?;
    }
    if let Some(path) = request.evidence.as_ref().or(settings.drill.evidence.as_ref()) {
        let mut json = serde_json::to_vec_pretty(evidence)?;
        json.push(b'\n');
        metrics::replace(path, &json)?;
    }
    let Some(path) = &settings.metrics_file else { return Ok(()) };
    let (ended, proven) = (evidence.ended.unwrap_or(evidence.began), evidence.result == Outcome::Proven);
    let success = Metric {
        name: "bkp_drill_success",
        help: "Whether the last drill proved its backup.",
        value: f64::from(proven),
    };
    let seconds = ended.duration_since(evidence.began).as_secs_f64();
    let duration = Metric { name: "bkp_drill_duration_seconds", help: "How long the last drill took.", value: seconds };
    let mut all = vec![success, duration];
    if proven {
        let help = "When a backup was last proven to restore.";
        let value = ended.as_millisecond() as f64 / 1000.0;
        all.push(Metric { name: "bkp_last_proof_timestamp_seconds", help, value });
    }
    metrics::update(path, &settings.app, &all)
}

/// Takes the time of each step.
pub struct Steps(Timestamp);

impl Steps {
    fn done(&mut self, step: &'static str, evidence: &mut Evidence) {
        let now = now();
        evidence.seconds.insert(step, now.duration_since(self.0).as_secs_f64());
        self.0 = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::statements::{Failed, Failures};

    fn exit(codes: &[Option<&str>]) -> Exit {
        let failed = |code: &Option<&str>| Failed { code: code.map(str::to_owned), ..Failed::default() };
        let failures = Failures { listed: codes.iter().map(failed).collect(), ..Failures::default() };
        exit_of(&judged(Failure::new("the replay into x failed").because(failures).into()))
    }

    #[test]
    fn a_statement_that_fails_is_no_proof_unless_the_server_is_why() {
        assert_eq!(exit(&[Some("42P01")]), Exit::ProofFailed);
        assert_eq!(exit(&[Some("22P02"), Some("42501")]), Exit::ProofFailed);
        for not in [[Some("53100"), Some("42P01")], [Some("42501"), Some("42704")], [None, None]] {
            assert_eq!(exit(&not), Exit::Failed, "{not:?}");
        }
    }

    #[test]
    fn a_store_that_cannot_be_reached_is_not_taken_for_damage() {
        assert!(damaged("decrypting blob <tree/b4bf> from 7fd2 failed: ciphertext verification failed"));
        assert!(damaged("Load(<data/7fd2>, 0, 0) failed: open /r/data/7f/7fd2: no such file or directory"));
        assert!(!damaged("Load(<data/7fd2>, 0, 0) failed: dial tcp: connection refused"));
        assert!(!damaged("open /etc/restic/password: no such file or directory"));
    }
}
