//! The safety backup: what is live is saved before a restore replaces it, and without that the restore does nothing.
//!
//! It is taken under the locks and the pause that the restore holds, so it is the very last state. It is a run of its own, sealed
//! like any other and marked: `latest` never means it, `bkp restore RUN` does. It applies no retention, which might forget the
//! very run that is being restored, and drops nothing that an earlier restore put aside: that belongs to `--undo`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use super::plan::Plan;
use super::{Saved, Saving, bucket, parts};
use crate::commands::repositories::{Listed, Repositories};
use crate::commands::{Context, Run, pausing};
use crate::error::{Failure, exit_of};
use crate::settings::Databases;
use crate::sources::files::root;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server;
use crate::sources::postgres::waits::Patience;

/// How long it waits for a table: whoever waits for a restore must not wait for a forgotten session.
pub const PATIENCE: Patience = Patience { limit: Some(Duration::from_secs(10)), setting: None };

/// What a restore is about to replace, as it is called.
#[derive(Debug, Default)]
pub struct Live {
    /// Databases, there or not.
    pub databases: Vec<String>,
    /// Directories, there or not.
    pub roots: Vec<PathBuf>,
}

impl Live {
    /// One database and no files.
    pub fn database(name: &str) -> Live {
        Live { databases: vec![name.to_owned()], roots: Vec::new() }
    }
}

/// A safety backup that can be taken.
pub struct Safety {
    context: Context,
    plan: Plan,
}

impl Safety {
    /// Looks at what is live of it. Nothing when there is nothing to save, which is said.
    ///
    /// # Errors
    /// When it could not be saved: what is to be in it cannot be read, or there is no repository for it.
    pub async fn prepare(
        context: &Context,
        session: Option<&Session>,
        repositories: &Repositories,
        live: &Live,
    ) -> Result<Option<Safety>> {
        let mut settings = context.settings.clone();
        settings.postgres = match (settings.postgres, session) {
            (Some(mut postgres), Some(session)) => {
                let here = server::databases(session).await?;
                let is_here = |name: &&String| here.iter().any(|database| database.name == **name);
                let there: Vec<String> = live.databases.iter().filter(is_here).cloned().collect();
                postgres.databases = Databases::Named(there.clone());
                Some(postgres).filter(|_| !there.is_empty())
            }
            _ => None,
        };
        let own = pausing::config(&settings)?.own_files();
        if let Some(files) = &mut settings.files {
            let is_empty = |at: &PathBuf| root::check(at, true, &own).is_ok() && root::check(at, false, &own).is_err();
            files.roots = live.roots.iter().filter(|at| at.is_dir() && !is_empty(at)).cloned().collect();
        }
        settings.files = settings.files.filter(|files| !files.roots.is_empty());
        if settings.postgres.is_none() && settings.files.is_none() {
            tracing::info!("plan: no safety backup, because nothing is live that could be saved");
            return Ok(None);
        }
        let context = Context { settings, stop: context.stop.clone(), json: context.json, told: context.told.clone() };
        let session = session.filter(|_| context.settings.postgres.is_some());
        let plan = Plan::make(&context, session).await?;
        if let Some(places) = &repositories.restic {
            parts::all_have_places(places, &plan.items(&context.settings))?;
        }
        if let Some(store) = &repositories.bucket {
            bucket::reachable(store).await?;
        }
        Ok(Some(Safety { context, plan }))
    }

    /// The same; why it could not be saved joins the other `faults`.
    pub async fn found(
        context: &Context,
        session: Option<&Session>,
        repositories: &Repositories,
        live: &Live,
        faults: &mut Vec<String>,
    ) -> Option<Safety> {
        let prepared = context.stop.or(Safety::prepare(context, session, repositories, live)).await;
        prepared.unwrap_or_else(|error| {
            faults.push(format!("no safety backup could be taken: {error:#}"));
            None
        })
    }

    /// Tells the plan.
    pub fn say(&self) {
        let items: Vec<String> = self.plan.items(&self.context.settings).iter().map(ToString::to_string).collect();
        tracing::info!("plan: first a safety backup of what is live: {}", items.join(", "));
    }

    /// Saves; gives the run that it is. The caller holds the application's locks and has paused it.
    ///
    /// # Errors
    /// When not all of it is saved and sealed: then nothing may be replaced.
    pub async fn take(&self, session: Option<&Session>, repositories: &Repositories) -> Result<String> {
        let run = Run::begin()?;
        let name = run.session_name("backup");
        let (context, plan) = (&self.context, &self.plan);
        let common = plan.common(&run, &context.settings, &[], true);
        let saving = Saving {
            context,
            run: &run,
            repositories,
            plan,
            session_name: &name,
            common: &common,
            listed: &Listed::new(),
        };
        let session = session.filter(|_| context.settings.postgres.is_some());
        let saved = saving.everything(session).await.and_then(whole);
        if let Err(error) = saved {
            // What the error itself hints at is in its chain.
            let failure =
                Failure::new("the safety backup failed, so nothing was restored and what is live is untouched")
                    .exit(exit_of(&error))
                    .hint("to restore without one, if that is what you want: BKP_SAFETY_BACKUP=0");
            bail!(failure.because(error));
        }
        tracing::info!("what is live is saved as safety backup {0}; to have it back: bkp restore {0}", run.id);
        Ok(run.id)
    }
}

/// A backup that lacks files is none to rely on.
fn whole(saved: Saved) -> Result<Saved> {
    match saved.unreadable.first() {
        None => Ok(saved),
        Some(first) => bail!(
            Failure::new(format!("{} files are not in it, the first: {first}", saved.unreadable.len()))
                .hint("give the account the right to read them, or leave them out with BKP_FILES_EXCLUDE")
        ),
    }
}
