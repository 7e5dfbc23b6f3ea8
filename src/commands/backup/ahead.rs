//! What of restic is begun before its time. To open a repository costs half a second of computing each time: that goes on while we ask the
//! server what to save and start what produces it, and a program that is about to save is the one that proves that there is
//! a repository which the password opens.
//!
//! That everything lies in one repository, and that its password is not being changed, is assumed: where it is not so, nothing was
//! stored, and what was begun is ended and begun anew in what is found by asking.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use tokio::task::JoinHandle;

use super::files;
use super::parts::{self, Ahead, Common};
use crate::commands::catalog::snapshots;
use crate::commands::repositories::{Base, Repositories, ResticPlaces};
use crate::commands::{Context, pausing};
use crate::error::exit_of;
use crate::exit::Exit;
use crate::repository::bucket::store::Store;
use crate::repository::restic::{self, Repository, TreeAhead};
use crate::settings::Settings;
use crate::sources::Item;

/// What was begun; whoever needs it takes it.
#[derive(Default)]
pub struct Begun {
    streams: Mutex<Ahead>,
    tree: Mutex<Option<Looked>>,
    /// Whether nobody has seen yet that the repository is there.
    pub assumed: bool,
    tidying: Mutex<Option<Task<()>>>,
}

/// Work beside the run's own, given up with it.
pub struct Task<T>(pub JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Removes the locks of the dead while others save: they are in nobody's way here, but would be in that of a prune or check by hand.
fn tidy(places: &ResticPlaces) -> Option<Task<()>> {
    let locked: Vec<Repository> =
        places.each().map(|(_, there)| there.clone()).filter(Repository::may_be_locked).collect();
    let is_empty = locked.is_empty();
    let tidying = async move {
        for repository in locked {
            if let Err(error) = repository.clear_dead_locks().await {
                tracing::debug!("locks of the dead stay: {error:#}");
            }
        }
    };
    (!is_empty).then(|| Task(tokio::spawn(tidying)))
}

impl Begun {
    /// The streams.
    pub fn streams(&self) -> Ahead {
        std::mem::take(&mut self.streams.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the locks of the dead are gone.
    pub async fn tidied(&self) {
        let tidying = self.tidying.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut tidying) = tidying {
            let _ = (&mut tidying.0).await;
        }
    }

    /// What was begun of the first directory.
    pub fn tree(&self) -> Option<Looked> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A directory's restic, where it may go on by itself, and the snapshots of its repository.
pub type Looked = (Option<TreeAhead>, Vec<restic::Snapshot>);

/// The repositories of a backup, not opened yet.
pub struct Unopened {
    repositories: Repositories,
    base: Option<Base>,
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

    /// Opens them by asking.
    ///
    /// # Errors
    /// Exit code 10 when there is no restic repository, 12 when the password does not open it.
    pub async fn open(&self) -> Result<Repositories> {
        let restic = match &self.base {
            Some(base) => Some(base.open().await?),
            None => None,
        };
        Ok(self.with(restic))
    }

    /// Opens them by beginning what `common` sets out to save.
    ///
    /// # Errors
    /// As [`Unopened::open`], and when a lock is not given up in time.
    pub async fn begin(&self, context: &Context, common: &Common) -> Result<(Repositories, Begun)> {
        let Some(places) = self.base.as_ref().and_then(Base::assumed) else {
            return Ok((self.open().await?, Begun::default()));
        };
        // Looked at before our own are there.
        let tidying = Mutex::new(tidy(&places));
        let begun = match self.assuming(context, common, &places).await {
            Ok(begun) => return Ok((self.with(Some(places)), Begun { tidying, ..begun })),
            // A bucket's copy is made all the same, and what restic says is said again where it is about to save.
            Err(error) if is_elsewhere(&error) || self.repositories.bucket.is_some() => self.open().await?,
            Err(error) => return Err(error),
        };
        Ok((begun, Begun { tidying, ..Begun::default() }))
    }

    fn with(&self, restic: Option<ResticPlaces>) -> Repositories {
        Repositories { bucket: self.repositories.bucket.clone(), restic }
    }

    async fn assuming(&self, context: &Context, common: &Common, places: &ResticPlaces) -> Result<Begun> {
        let is_sql = |item: &&Item| !matches!(item, Item::Files(_));
        let mut streams = Ahead::new();
        // The roles and the first database. A second database would not find in its index what the first has brought.
        let several = if common.plan.first() == Some(&Item::Roles) { 2 } else { 1 };
        for item in common.plan.iter().filter(is_sql).take(several) {
            streams.push((item.clone(), parts::begun(places, common, item)?));
        }
        if streams.is_empty() {
            let tree = match common.plan.first() {
                Some(Item::Files(root)) => Some(tree(&context.settings, common, places, root, None).await?),
                _ => None,
            };
            return Ok(Begun { tree: Mutex::new(tree), ..Begun::default() });
        }
        // Nothing is paused, and no other store takes anything, before it is known that there is a repository.
        let waits =
            self.repositories.bucket.is_some() || pausing::is_wanted(&context.settings, pausing::Reason::Backup)?;
        if waits {
            for (_, stream) in &mut streams {
                stream.ready().await?;
            }
        }
        Ok(Begun { streams: Mutex::new(streams), assumed: !waits, ..Begun::default() })
    }
}

/// Begins a directory, and lists meanwhile what there is, unless that is `known`: it may go on by itself only where restic
/// takes unchanged files from the snapshot that we would name.
///
/// # Errors
/// When the repository cannot be listed, or restic cannot be started.
pub async fn tree(
    settings: &Settings,
    common: &Common,
    places: &ResticPlaces,
    root: &Path,
    known: Option<Vec<restic::Snapshot>>,
) -> Result<Looked> {
    let item = Item::Files(root.to_owned());
    let (place, repository) = places.for_item(&item).ok_or_else(|| parts::no_place(&item))?;
    let listing = async {
        match known {
            Some(known) => Ok(Some(known)),
            None => repository.probe_and_list().await,
        }
    };
    let (begun, listed) = tokio::join!(files::ahead(settings, places, common, root), listing);
    let listed = listed?.ok_or_else(|| parts::no_place(&item))?;
    let Some(begun) = begun? else { return Ok((None, listed)) };
    let ours = files::parent(&snapshots::of_place(&listed, place, settings), common, &item);
    let root = root.canonicalize()?;
    if restic::own_choice(&listed, &places.host, &root).map(|own| &own.id) == ours.as_ref() {
        return Ok((Some(begun), listed));
    }
    begun.give_up().await;
    Ok((None, listed))
}

/// Whether an error says that nothing is stored where it was assumed, and that something may be elsewhere, or under another password.
pub fn is_elsewhere(error: &anyhow::Error) -> bool {
    matches!(exit_of(error), Exit::NoRepository | Exit::WrongPassword)
}
