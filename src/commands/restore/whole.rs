//! One run restored as a whole: its databases and its files, all of it or nothing.

use std::path::Path;

use anyhow::{Result, bail};

use super::Request;
use super::back;
use super::choose::Choice;
use super::databases::Databases;
use super::files::Files;
use super::paths::Found;
use super::reading::{Read, Stored};
use super::undo::Taken;
use crate::commands::backup::safety::{Live, Safety};
use crate::commands::catalog::snapshots::Snapshot;
use crate::commands::held::Held;
use crate::commands::pausing::{self, Reason};
use crate::commands::repositories::Repositories;
use crate::commands::{Context, Run, now};
use crate::error::{Failure, exit_of, hints_of};
use crate::exit::Exit;
use crate::pause::Pause;
use crate::report;
use crate::settings::SafetyBackup;
use crate::sources::act::{Act, Since};

/// What was chosen to be restored.
pub struct Chosen<'a> {
    /// Where it lies.
    pub repositories: &'a Repositories,
    /// Which run.
    pub choice: &'a Choice,
    /// Its files.
    pub trees: &'a [Snapshot],
    /// Its SQL, read to the end and proven.
    pub read: &'a Option<(&'a Stored, Read)>,
    /// The one file or directory that is wanted of it.
    pub found: &'a Option<Found>,
}

/// Everything about a restore that is decided before anything is made.
pub struct Whole<'a> {
    context: &'a Context,
    run: &'a Run,
    chosen: Chosen<'a>,
    held: &'a Held,
    databases: Option<Databases<'a>>,
    files: Option<Files<'a>>,
    safety: Option<Safety>,
}

impl<'a> Whole<'a> {
    /// Tries everything that can fail, and changes nothing.
    ///
    /// # Errors
    /// All that would make the restore fail, at once.
    pub async fn prepare(
        context: &'a Context,
        run: &'a Run,
        request: &Request,
        chosen: Chosen<'a>,
        held: &'a Held,
    ) -> Result<Whole<'a>> {
        let mut faults = Faults::default();
        let databases = match (chosen.read, &held.session) {
            (Some((stored, read)), Some(main)) => {
                let prepared = Databases::prepare(context, run, request, (stored, read), main, &mut faults.said);
                let prepared = context.stop.or(prepared).await;
                faults.take(prepared)
            }
            _ => None,
        };
        let files = match &chosen.repositories.restic {
            Some(places) if !chosen.trees.is_empty() => {
                let meant = match chosen.found {
                    Some(found) => (std::slice::from_ref(&found.snapshot), Some(found.path.as_path())),
                    None => (chosen.trees, None),
                };
                let prepared = Files::prepare(context, run, places, meant, &mut faults.said);
                let prepared = context.stop.or(prepared).await;
                faults.take(prepared)
            }
            _ => None,
        };
        let mut whole = Whole { context, run, chosen, held, databases, files, safety: None };
        whole.safety = whole.find_safety(&mut faults.said).await;
        context.stop.check()?;
        faults.refuse()?;
        Ok(whole)
    }

    async fn find_safety(&self, faults: &mut Vec<String>) -> Option<Safety> {
        let context = self.context;
        let wanted = match context.settings.restore.safety_backup {
            SafetyBackup::Always => true,
            SafetyBackup::InPlace => self.databases.as_ref().is_some_and(Databases::is_in_place),
            SafetyBackup::Never => false,
        };
        if !wanted {
            return None;
        }
        let live =
            Live { databases: self.targets().to_vec(), roots: self.roots().into_iter().map(Path::to_owned).collect() };
        Safety::found(context, self.held.session.as_ref(), self.chosen.repositories, &live, faults).await
    }

    fn targets(&self) -> &[String] {
        self.databases.as_ref().map(Databases::targets).unwrap_or_default()
    }

    fn roots(&self) -> Vec<&Path> {
        self.files.as_ref().map(Files::roots).unwrap_or_default()
    }

    /// Says the plan, asks, and does it.
    ///
    /// # Errors
    /// When anything fails before the swap: what is live is untouched then, and what was made beside it is gone.
    pub async fn restore(mut self, request: &Request) -> Result<Exit> {
        self.say();
        if request.dry_run {
            return self.dry_run().await;
        }
        super::go_ahead(self.context, request.yes, self.question()).await?;
        // Under another name it is nobody's yet.
        let reason = if request.under.is_some() { Reason::Beside } else { Reason::Restore };
        let (context, run, held) = (self.context, self.run, self.held);
        let done = pausing::around(context, run, reason, async |pause| match self.exchange(request, pause).await {
            Ok(()) => Ok(()),
            Err(error) => self.take_back(error).await,
        })
        .await;
        let mut replaced = match (&done, &self.databases) {
            (Ok(()), Some(databases)) => databases.finish().await,
            _ => Vec::new(),
        };
        held.release(&context.settings.app).await;
        done?;
        replaced.extend(self.files.as_ref().map(Files::finish).unwrap_or_default());
        self.say_done(&replaced)
    }

    /// What is asked; who reads nothing else must not put an emptied backup into the place of data.
    fn question(&self) -> &'static str {
        match self.chosen.choice.shrunk.is_empty() {
            true => super::GO_AHEAD,
            false => "This backup is much smaller than the one before it (see the warning). Go ahead all the same?",
        }
    }

    fn say(&self) {
        if let Some(safety) = &self.safety {
            safety.say();
        }
        if let Some(databases) = &self.databases {
            databases.say();
        }
        if let Some(files) = &self.files {
            files.say();
        }
    }

    /// Loads and stages beside, proves, and exchanges all of it in one act.
    async fn exchange(&mut self, request: &Request, pause: Option<&mut Pause<'_>>) -> Result<()> {
        let (context, held) = (self.context, self.held);
        let safety = match &self.safety {
            Some(safety) => Some(safety.take(held.session.as_ref(), self.chosen.repositories).await?),
            None => None,
        };
        if let Some(databases) = &mut self.databases {
            databases.load(request.allow_unproven).await?;
        }
        if let Some(files) = &mut self.files {
            files.stage().await?;
        }
        if let Some(pause) = &pause {
            context.stop.or(pause.still()).await?;
        }
        context.stop.check()?;
        context.stop.or(held.still(&context.settings.app)).await?;
        let act = Act { safety, ..context.stop.or(self.act()).await? };
        if let (Some(databases), Some(transaction)) = (&mut self.databases, act.transaction) {
            let since = Since { run: self.run.id.clone(), number: act.number, transaction, safety: act.safety.clone() };
            back::note(context, &since)?;
            context.stop.or(databases.note(&since)).await?;
        }
        // From here on everything is proven, and there is nothing left but renames.
        if let Some(files) = &mut self.files {
            files.swap(&act)?;
            if let Some(pause) = pause {
                // The old maintenance file went aside with the old tree.
                pause.renew()?;
            }
        }
        match &mut self.databases {
            Some(databases) => databases.swap(&act).await,
            None => Ok(()),
        }
    }

    /// All that is about to be done, as it is noted on what is put aside.
    async fn act(&self) -> Result<Act> {
        let databases = match &self.databases {
            Some(databases) => databases.places().await?,
            None => Vec::new(),
        };
        Ok(Act {
            number: back::next_number(self.context, self.held).await?,
            databases,
            files: self.roots().iter().map(|root| root.display().to_string()).collect(),
            transaction: self.databases.as_ref().and_then(Databases::transaction),
            ..Act::default()
        })
    }

    /// Takes everything back, unless the databases' swap turns out to be done: then the files are theirs, and stay.
    async fn take_back(&mut self, error: anyhow::Error) -> Result<()> {
        let taken = match &self.databases {
            Some(databases) => databases.outcome().await,
            None => Taken::Back,
        };
        match taken {
            Taken::NotBack => {
                tracing::warn!("the connection was lost just after the swap, which is done: {error:#}");
                return Ok(());
            }
            Taken::Unknown => bail!(
                Failure::new("whether the databases were swapped cannot be asked: the server is away")
                    .exit(exit_of(&error))
                    .hint("when it is there again: bkp resume. It finds out, and gives the files back if the databases are the old ones")
                    .because(error)
            ),
            Taken::Back => {}
        }
        let files_are_back = self.files.as_mut().is_none_or(Files::take_back);
        if let Some(databases) = &mut self.databases {
            databases.take_back().await;
        }
        if !files_are_back {
            return Err(error);
        }
        let failure = Failure::new("nothing was restored, and what is live is as it was");
        Err(failure.exit(exit_of(&error)).because(error).into())
    }

    async fn dry_run(&self) -> Result<Exit> {
        let changes = match &self.databases {
            Some(databases) => self.context.stop.or(databases.explain()).await?,
            None => 0,
        };
        tracing::info!("dry run: {changes} statements would be changed, nothing was done");
        if self.context.json {
            report::json(
                &serde_json::json!({"command": "restore", "dry_run": true, "object": self.chosen.choice.name,
                "databases": self.databases.as_ref().map(Databases::targets),
                "files": self.files.as_ref().map(Files::roots), "statements_changed": changes}),
            )?;
        }
        Ok(Exit::Done)
    }

    fn say_done(&self, replaced: &[String]) -> Result<Exit> {
        let name = &self.chosen.choice.name;
        let seconds = now().duration_since(self.run.began).as_secs_f64();
        let mut names = self.targets().to_vec();
        names.extend(self.files.as_ref().map(Files::names).unwrap_or_default());
        let line = format!("restored {} from {name} in {seconds:.1} s", names.join(", "));
        tracing::info!("{line}");
        report::last_words(Exit::Done, &line, &[]);
        let kept = replaced.join(", ");
        match self.databases.as_ref().and_then(Databases::transaction) {
            _ if replaced.is_empty() => {}
            Some(_) => tracing::info!("the files from before are kept as {kept}; the database from before is not"),
            None => tracing::info!(
                "what was there before is kept as {kept} until the next sealed backup; bkp restore --undo brings it back"
            ),
        }
        if self.context.json {
            report::json(
                &serde_json::json!({"command": "restore", "run": self.run.id, "app": self.context.settings.app, "object": name,
                "databases": self.targets(), "files": self.roots(), "replaced": replaced, "seconds": seconds}),
            )?;
        }
        Ok(Exit::Done)
    }
}

/// What would make a restore fail. One who mends it at night does not come back for each.
#[derive(Default)]
struct Faults {
    /// Each in a sentence.
    said: Vec<String>,
    /// What could not even be asked.
    unprepared: Vec<anyhow::Error>,
}

impl Faults {
    fn take<T>(&mut self, prepared: Result<T>) -> Option<T> {
        prepared.map_err(|error| self.unprepared.push(error)).ok()
    }

    fn refuse(self) -> Result<()> {
        refuse(self.said, self.unprepared)
    }
}

/// Ends what cannot work with all that is known about it.
///
/// # Errors
/// When there is anything.
pub fn refuse(mut said: Vec<String>, mut unprepared: Vec<anyhow::Error>) -> Result<()> {
    match (said.as_slice(), unprepared.len()) {
        ([], 0) => return Ok(()),
        // Alone it keeps its own words and its exit code.
        ([], 1) => return unprepared.pop().map_or(Ok(()), Err),
        _ => {}
    }
    said.extend(unprepared.iter().map(|error| match hints_of(error).join("; ") {
        hints if hints.is_empty() => format!("{error:#}"),
        hints => format!("{error:#}: {hints}"),
    }));
    let all = said.join("\n  - ");
    bail!(Failure::new(format!("the restore cannot work, so nothing was begun:\n  - {all}")).hint(
        "put right what is listed; to see whether it works by then, without changing anything: bkp restore --dry-run"
    ))
}
