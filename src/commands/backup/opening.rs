//! Opening the repositories of a backup. restic computes for half a second each time that it opens one, so nothing is asked first where
//! nothing hangs on the answer: a backup of files alone, which pauses nothing and stores nothing elsewhere, is its own proof
//! that there is a repository which the password opens.
//!
//! That everything lies in one repository, and that its password is not being changed, is assumed then: where it is not so, nothing was
//! stored, and what is there is found by asking.

use anyhow::Result;
use tokio::task::JoinSet;

use super::parts::Common;
use crate::commands::repositories::{Base, Listed, Repositories, ResticPlaces};
use crate::commands::{Context, pausing};
use crate::error::exit_of;
use crate::exit::Exit;
use crate::repository::bucket::store::Store;
use crate::repository::restic::Repository;
use crate::sources::Item;

/// The repositories of a backup, not opened yet.
pub struct Unopened {
    repositories: Repositories,
    base: Option<Base>,
}

/// The repositories of a backup.
pub struct Opened {
    /// Where they are.
    pub repositories: Repositories,
    /// Whether nobody has seen yet that they are there.
    pub assumed: bool,
    /// What was in them, where they were asked.
    pub listed: Listed,
    tidying: JoinSet<()>,
}

impl Unopened {
    /// Finds the programs and the credentials; asks no store for anything.
    ///
    /// # Errors
    /// When the settings make no sense, or there is no restic program that can be used.
    pub async fn find(context: &Context) -> Result<Unopened> {
        let bucket = context.settings.bucket.is_some().then(|| context.store()).transpose()?;
        Ok(Unopened { repositories: Repositories { bucket, restic: None }, base: Base::of(context).await? })
    }

    /// The bucket, when one is set.
    pub fn bucket(&self) -> Option<&Store> {
        self.repositories.bucket.as_ref()
    }

    /// Opens them for what `common` sets out to save.
    ///
    /// # Errors
    /// As [`Unopened::ask`].
    pub async fn open(&self, context: &Context, common: &Common) -> Result<Opened> {
        let only_files = common.plan.iter().all(|item| matches!(item, Item::Files(_)));
        let waits = self.bucket().is_some() || pausing::is_wanted(&context.settings, pausing::Reason::Backup)?;
        let assumed = self.base.as_ref().filter(|_| only_files && !waits).and_then(Base::assumed);
        match assumed {
            Some(places) => {
                let mut opened = self.opened(Some(places), true);
                opened.tidy();
                Ok(opened)
            }
            None => self.ask(false).await,
        }
    }

    /// Opens them by asking; a dry run changes nothing in them.
    ///
    /// # Errors
    /// Exit code 10 when there is no restic repository, 12 when the password does not open it.
    pub async fn ask(&self, dry_run: bool) -> Result<Opened> {
        let restic = match &self.base {
            // A list is asked for in one call with whether there is one, and says how much is to be expected.
            Some(base) if !dry_run => Some(base.open_listed().await?),
            Some(base) => Some(base.open().await?),
            None => None,
        };
        let listed = restic.as_ref().map(ResticPlaces::take_lists).unwrap_or_default();
        let mut opened = Opened { listed, ..self.opened(restic, false) };
        if !dry_run {
            opened.tidy();
        }
        Ok(opened)
    }

    fn opened(&self, restic: Option<ResticPlaces>, assumed: bool) -> Opened {
        let repositories = Repositories { bucket: self.repositories.bucket.clone(), restic };
        Opened { repositories, assumed, listed: Listed::new(), tidying: JoinSet::new() }
    }
}

impl Opened {
    /// Whether an error says that nothing is stored where it was assumed, and that something may be elsewhere, or under another password.
    pub fn is_elsewhere(&self, error: &anyhow::Error) -> bool {
        self.assumed && matches!(exit_of(error), Exit::NoRepository | Exit::WrongPassword)
    }

    /// Removes the locks of the dead while others save: they are in nobody's way here, but would be in that of a prune or check by hand.
    fn tidy(&mut self) {
        // Looked at before our own locks are there.
        let places = self.repositories.restic.iter().flat_map(ResticPlaces::each);
        let locked: Vec<Repository> =
            places.map(|(_, there)| there.clone()).filter(Repository::may_be_locked).collect();
        for repository in locked {
            self.tidying.spawn(async move {
                if let Err(error) = repository.clear_dead_locks().await {
                    tracing::debug!("locks of the dead stay: {error:#}");
                }
            });
        }
    }

    /// Waits until the locks of the dead are gone.
    pub async fn tidied(&mut self) {
        while self.tidying.join_next().await.is_some() {}
    }
}
