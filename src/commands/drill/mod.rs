//! `bkp drill`: does a backup restore? Loads one beside what is live, its files into a scratch directory,
//! compares, asks the operator's checks, drops it all, and says
//! what it did as evidence. Where the operator wants it, or the server cannot be reached, it loads into a server of its own.
//!
//! Nothing live is touched: names of its own, refused when they are taken; no role is changed; the application is not paused and its
//! lock is not held, so that backups go on. Whatever ends it, what it made goes: at once, or at the next start of a drill, a backup, a
//! restore or `resume`.

mod checks;
mod count;
mod databases;
mod evidence;
pub mod files;
mod ground;
pub mod leftovers;
mod places;
mod verdict;

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use jiff::Timestamp;

use self::checks::Check;
use self::databases::{On, Trial};
use self::evidence::{Backup, Evidence, Outcome};
use self::files::Trees;
use self::ground::{Ground, Taken};
use super::catalog::drilled::{self, Statement};
use super::catalog::{Dump, proofs};
use super::repositories::Repositories;
use super::restore::choose::Choice;
use super::restore::reading::{self, Read, Stored};
use super::restore::shrunk::IfShrunk;
use super::restore::sort::Sorted;
use super::restore::undo::Undo;
use super::restore::{self, databases as restored, sort};
use super::{Context, Run, now};
use crate::cli::Restore;
use crate::error::{Failure, exit_of};
use crate::exit::Exit;
use crate::report;
use crate::report::facts::Tried as Found;
use crate::report::metrics::file;
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
    let run = context.begin()?;
    let checks = checks::parse(context.settings.drill.checks.as_deref().unwrap_or_default())?;
    let mut evidence = Evidence::begin(&run.id, &context.settings.app, run.began);
    let mut tried = tried(context, &run, request, &checks, &mut evidence).await.map_err(verdict::judged);
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
    let proven = if evidence.not_tried.is_empty() { "proven" } else { "proven in part" };
    let line = format!("{proven}: {name} restores, in {seconds:.1} s up to the swap; {checks} checks hold");
    tracing::info!("{line}");
    report::last_words(Exit::Done, &line, &[]);
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
    let (stop, session_name) = (&context.stop, run.session_name("drill"));
    let ground = stop.or(ground::choose(context, request, &session_name)).await?;
    let context = &ground::context(context, &ground, request);
    let settings = &context.settings;
    let main = match (&ground, &settings.postgres) {
        (Ground::Configured, Some(postgres)) => {
            Some((postgres, stop.or(hold(settings, postgres, &session_name)).await?))
        }
        _ => None,
    };
    files::clear_dead(settings, false).await;

    let mut steps = Steps(run.began);
    let wish = Restore { when: request.when.clone(), ..Restore::default() };
    let repositories = stop.or(Repositories::open_to_list(context)).await?;
    let choice = stop.or(restore::chosen(context, &repositories, &wish, IfShrunk::Tell)).await?;
    let sorted = sort::sort(&repositories, &ground::with_files(settings, request), &choice, &wish)?;
    evidence.not_tried = left_out(&choice, &sorted);
    evidence.backup = Some(backup(context, &repositories, &choice, &sorted));
    steps.done("choose", evidence);

    // Its end, its seal, its rows, what is stored: before anything is made.
    let read = match &sorted.sql {
        Some(stored) => Some((stored, stop.or(proven(context, stored, &choice, &wish)).await?)),
        None => None,
    };
    if let (Some(backup), Some((_, read))) = (&mut evidence.backup, &read) {
        (backup.sql_bytes, backup.digest) = (Some(read.survey.bytes), Some(read.sql_digest()));
    }
    steps.done("read", evidence);

    let on_scratch = !sorted.trees.is_empty() || (read.is_some() && matches!(ground, Ground::Throwaway { .. }));
    let taken = match on_scratch {
        true => Some(stop.or(Taken::take(context, run, request, &sorted.trees)).await?),
        false => None,
    };
    let mut undo = Undo::default();
    let tried = Tried { context, run, repositories: &repositories, sorted: &sorted, checks, name: &choice.name };
    let done = tried.on(&ground, main.as_ref(), taken.as_ref(), read.as_ref(), (&mut undo, &mut steps), evidence);
    let done = stop.or(done).await;
    if let Some(taken) = taken {
        taken.remove();
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
    remember(context, &repositories, &choice, evidence).await;
    Ok(())
}

/// What is tried.
struct Tried<'a> {
    context: &'a Context,
    run: &'a Run,
    repositories: &'a Repositories,
    sorted: &'a Sorted,
    checks: &'a [Check],
    name: &'a str,
}

impl Tried<'_> {
    /// Loads and compares. A throwaway server is gone when this ends or is dropped; everything else is the caller's to take back.
    async fn on(
        &self,
        ground: &Ground,
        main: Option<&(&Postgres, Session)>,
        taken: Option<&Taken>,
        read: Option<&(&Stored, Read)>,
        (undo, steps): (&mut Undo, &mut Steps),
        evidence: &mut Evidence,
    ) -> Result<()> {
        let (context, run, trees) = (self.context, self.run, &self.sorted.trees);
        let own = match ground {
            Ground::Configured => None,
            Ground::Throwaway { why } => read.map(|(_, read)| (why, read)),
        };
        if let Some(taken) = taken {
            let databases = match own {
                Some((_, read)) => Some((read, context.postgres()?)),
                None => None,
            };
            ground::room(&taken.scratch, trees, databases)?;
        }
        let made = match (own, taken) {
            (Some((why, read)), Some(taken)) => {
                let session_name = run.session_name("drill");
                let made = ground::server(context, (&taken.scratch, &session_name), read, why).await?;
                steps.done("server", evidence);
                Some((made, why))
            }
            _ => None,
        };
        let on = match (&made, main) {
            (Some(((server, main), why)), _) => Some(On { postgres: &server.postgres, main, throwaway: Some(why) }),
            (None, Some((postgres, main))) => Some(On { postgres, main, throwaway: None }),
            (None, None) => None,
        };
        let trial = match (on, read) {
            (Some(on), Some((stored, read))) => Some(Trial::prepare(context, run, on, (stored, read), evidence).await?),
            _ => None,
        };
        let trees = match (&self.repositories.restic, taken) {
            (Some(places), Some(taken)) if !trees.is_empty() => {
                Some(Trees::prepare(&taken.scratch, places, trees).await?)
            }
            _ => None,
        };
        if trial.is_none() && !self.checks.is_empty() {
            bail!(
                Failure::new(format!(
                    "{} holds no databases that the settings name, and there are checks to ask",
                    self.name
                ))
                .hint("take BKP_DRILL_SQL out, or name the database")
                .exit(Exit::Usage)
            );
        }
        if let Some(trial) = &trial {
            trial.run(self.checks, undo, steps, evidence).await?;
        }
        if let Some(trees) = &trees {
            trees.run(evidence).await?;
            steps.done("files", evidence);
        }
        Ok(())
    }
}

/// A session that holds the drill's lock, on a server without what dead drills left.
async fn hold(settings: &Settings, postgres: &Postgres, session_name: &str) -> Result<Session> {
    let main = server::maintenance(postgres, session_name).await?;
    lock::acquire(&main, &leftovers::lock_name(&settings.app), settings.lock_wait).await?;
    if server::in_recovery(&main).await? {
        bail!(
            Failure::new("the server is a standby, where nothing can be loaded")
                .hint("drill on its primary, on another server, or in one made for it: --server throwaway")
        );
    }
    leftovers::clear(&main, &settings.app, false).await?;
    Ok(main)
}

/// Reads and proves it as a restore does; here it has to have a seal.
async fn proven(context: &Context, stored: &Stored, choice: &Choice, wish: &Restore) -> Result<Read> {
    let read = reading::prove(stored).await?;
    restored::prove(stored, &read, &context.settings.app, wish)?;
    if !read.is_sealed(stored) {
        bail!(
            Failure::new(format!("{} has no seal, so there is nothing to prove it against", choice.name))
                .hint("to see whether it loads: bkp restore --as NAME")
        );
    }
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

/// A proof of a part is none of the whole; and what cannot be remembered is proven all the same.
async fn remember(context: &Context, repositories: &Repositories, choice: &Choice, evidence: &mut Evidence) {
    if !evidence.not_tried.is_empty() {
        let left = evidence.not_tried.join(", ");
        return tracing::warn!("a part was not tried, so the backup as a whole is not proven: {left}");
    }
    let ended = now();
    let seal = choice.dump.as_ref().and_then(|dump| Some((dump, dump.seal()?)));
    (evidence.result, evidence.ended, evidence.remembered) = (Outcome::Proven, Some(ended), true);
    let json = serde_json::to_vec(evidence).unwrap_or_default();
    // It lies where it was read: of a run that both stores hold, only one of them is proven.
    let kept = match (seal, Statement::of(&choice.snapshots, ended), &repositories.bucket, &repositories.restic) {
        (Some((dump, seal)), _, Some(store), _) => {
            context.stop.or(proofs::remember(store, &dump.name, &seal.run, &json)).await
        }
        (None, Some(proven), _, Some(places)) => {
            context.stop.or(drilled::remember(places, &context.settings, &proven, &json)).await
        }
        _ => Err(Failure::new("no run of bkp's made this backup, so there is nothing to remember it by").into()),
    };
    if let Err(error) = kept {
        evidence.remembered = false;
        tracing::warn!(
            "proven, but the proof could not be kept, so `bkp list` and retention do not know of it: {error:#}"
        );
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

/// Writes the evidence, and puts down its figures for the metrics.
fn show(context: &Context, request: &Request, evidence: &Evidence) -> Result<()> {
    let settings = &context.settings;
    if context.json {
        report::json(evidence)?;
    }
    if let Some(path) = request.evidence.as_ref().or(settings.drill.evidence.as_ref()) {
        let mut json = serde_json::to_vec_pretty(evidence)?;
        json.push(b'\n');
        file::replace(path, &json)?;
    }
    context.told.tell(|facts| {
        facts.tried = Some(Found {
            proven: evidence.result == Outcome::Proven,
            whole: evidence.not_tried.is_empty(),
            taken: evidence.backup.as_ref().map(|backup| backup.time),
            restore_seconds: evidence.time_to_restore_seconds,
        });
    });
    Ok(())
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
