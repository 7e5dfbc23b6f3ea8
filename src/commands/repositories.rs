//! Where this application's backups are: a bucket, restic repositories, or both.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use futures::future::try_join_all;

use super::{Context, now};
use crate::error::{Failure, exit_of};
use crate::exit::Exit;
use crate::process::own_program;
use crate::repository::bucket::store::Store;
use crate::repository::restic::{self, Address, Options, Password, Probe, Repository, Restic};
use crate::settings::restic::{Layout, Password as SetPassword};
use crate::sources::Item;

/// Which of the restic repositories of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The one that holds everything.
    All,
    /// `files` below the base.
    Files,
    /// `pg-database` below the base.
    Databases,
    /// `pg-role` below the base.
    Roles,
}

impl Place {
    /// Those of the layout that older scripts made.
    const SPLIT: [Place; 3] = [Place::Files, Place::Databases, Place::Roles];

    /// Where it is below the base.
    fn folder(self) -> Option<&'static str> {
        match self {
            Place::All => None,
            Place::Files => Some("files"),
            Place::Databases => Some("pg-database"),
            Place::Roles => Some("pg-role"),
        }
    }

    fn of(item: &Item) -> Place {
        match item {
            Item::Files(_) => Place::Files,
            Item::Roles => Place::Roles,
            Item::Database(_) | Item::Dump => Place::Databases,
        }
    }
}

/// The restic repositories of an application that are there.
#[derive(Clone)]
pub struct ResticPlaces {
    /// The host that new snapshots are saved under.
    pub host: String,
    places: Vec<(Place, Repository)>,
    /// What was listed when they were opened, for whoever wants a list next.
    listed: Arc<Mutex<Listed>>,
}

/// The snapshots of repositories, oldest first.
pub type Listed = BTreeMap<Place, Vec<restic::Snapshot>>;

impl ResticPlaces {
    /// The snapshots of a repository, oldest first: those that were listed when it was opened, once; after that as they are then.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn list(&self, place: Place, repository: &Repository) -> Result<Vec<restic::Snapshot>> {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
        match listed {
            Some(listed) => Ok(listed),
            None => repository.snapshots().await,
        }
    }

    /// Keeps a list for whoever wants one next.
    pub fn keep_list(&self, place: Place, listed: Vec<restic::Snapshot>) {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).insert(place, listed);
    }

    /// What was listed when they were opened, for whoever adds to them: the next list is made anew.
    pub fn take_lists(&self) -> Listed {
        std::mem::take(&mut self.listed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Each repository.
    pub fn each(&self) -> impl Iterator<Item = (Place, &Repository)> {
        self.places.iter().map(|(place, repository)| (*place, repository))
    }

    /// The repository of that place.
    pub fn at(&self, place: Place) -> Option<&Repository> {
        self.places.iter().find(|(there, _)| *there == place).map(|(_, repository)| repository)
    }

    /// Whether items lie in repositories of their own kind.
    pub fn is_split(&self) -> bool {
        self.at(Place::All).is_none()
    }

    /// Where an item is saved. Roles without a repository of their own go with the databases.
    pub fn for_item(&self, item: &Item) -> Option<(Place, &Repository)> {
        let wanted = [Place::All, Place::of(item)];
        let or = if *item == Item::Roles { Some(Place::Databases) } else { None };
        wanted.into_iter().chain(or).find_map(|place| Some((place, self.at(place)?)))
    }
}

/// Where backups are.
pub struct Repositories {
    /// The bucket, when one is set.
    pub bucket: Option<Store>,
    /// The restic repositories, when they are set.
    pub restic: Option<ResticPlaces>,
}

impl Repositories {
    /// Opens what is set.
    ///
    /// # Errors
    /// Exit code 10 when there is no restic repository, 12 when the password does not open it.
    pub async fn open(context: &Context) -> Result<Repositories> {
        Repositories::opened(context, Opening::Probed).await
    }

    /// The same for whoever lists what there is at once: opened by that list, which costs no more.
    ///
    /// # Errors
    /// As there.
    pub async fn open_to_list(context: &Context) -> Result<Repositories> {
        Repositories::opened(context, Opening::Listed).await
    }

    async fn opened(context: &Context, opening: Opening) -> Result<Repositories> {
        let bucket = context.settings.bucket.is_some().then(|| context.store()).transpose()?;
        let restic = match Base::of(context).await? {
            Some(base) => Some(base.opened_as(opening).await?),
            None => None,
        };
        Ok(Repositories { bucket, restic })
    }
}

/// By what a repository is found to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    Probed,
    Listed,
}

/// The address that the settings name: a repository, or the base of several.
pub struct Base {
    /// The repository right there.
    pub repository: Repository,
    /// The password that is to come.
    next: Option<Password>,
    layout: Layout,
    host: String,
}

impl Base {
    /// The base, when a restic repository is set.
    ///
    /// # Errors
    /// When the restic program is missing or too old.
    pub async fn of(context: &Context) -> Result<Option<Base>> {
        let Some(settings) = &context.settings.restic else { return Ok(None) };
        let restic = Restic::find(Options {
            program: settings.program.clone(),
            environment: settings.environment.clone(),
            cacert: settings.certificate_file.clone(),
            lock_wait: context.settings.lock_wait,
            answer_within: Options::ANSWER_WITHIN,
            relay: own_program(),
            clock: now,
        })
        .await?;
        let password = match settings.password.clone() {
            SetPassword::File(path) => Password::File(path),
            SetPassword::Secret(secret) => Password::Secret(secret),
            SetPassword::Command(command) => Password::Command(command),
        };
        let repository = Repository::new(restic, Address::new(settings.repository.expose()), password);
        let next = settings.new_password.clone().map(Password::File);
        Ok(Some(Base { repository, next, layout: settings.layout, host: settings.host.clone() }))
    }

    /// The repository that is there when everything lies in one and no password is being changed; nothing was asked of it.
    pub fn assumed(&self) -> Option<ResticPlaces> {
        let likely = self.layout != Layout::Split;
        likely.then(|| self.places(vec![(Place::All, self.repository.clone())]))
    }

    /// The repositories that are there.
    ///
    /// # Errors
    /// Exit code 10 when there is none, 12 when the password does not open it.
    pub async fn open(&self) -> Result<ResticPlaces> {
        self.opened_as(Opening::Probed).await
    }

    /// The same, with what is in them.
    ///
    /// # Errors
    /// As [`Base::open`], and when it cannot be listed.
    pub async fn open_listed(&self) -> Result<ResticPlaces> {
        self.opened_as(Opening::Listed).await
    }

    async fn opened_as(&self, opening: Opening) -> Result<ResticPlaces> {
        match self.found(opening).await? {
            Some(places) => Ok(places),
            None => bail!(
                Failure::new(format!("there is no restic repository at {}", self.repository.address()))
                    .hint("correct RESTIC_REPOSITORY, or make the repository: bkp init")
                    .exit(Exit::NoRepository)
            ),
        }
    }

    /// The repositories that are there; nothing when there are none.
    ///
    /// # Errors
    /// When it cannot be told, for whatever reason: only restic's own word that there is none counts.
    pub async fn there(&self) -> Result<Option<ResticPlaces>> {
        self.found(Opening::Probed).await
    }

    async fn found(&self, opening: Opening) -> Result<Option<ResticPlaces>> {
        let places = |found: Vec<(Place, Found)>| {
            let places = self.places(found.iter().map(|(place, found)| (*place, found.repository.clone())).collect());
            for (place, found) in found {
                found.listed.into_iter().for_each(|listed| places.keep_list(place, listed));
            }
            places
        };
        if self.layout != Layout::Split
            && let Some(found) = self.opened(&self.repository, opening).await?
        {
            return Ok(Some(places(vec![(Place::All, found)])));
        }
        if self.layout == Layout::One {
            return Ok(None);
        }
        let probed = try_join_all(Place::SPLIT.map(|place| async move {
            anyhow::Ok(self.opened(&self.at(place), opening).await?.map(|found| (place, found)))
        }));
        let found: Vec<_> = probed.await?.into_iter().flatten().collect();
        Ok(if found.is_empty() { None } else { Some(places(found)) })
    }

    /// The repository as it opens: while its password is being changed, by the old one or by the new one.
    async fn opened(&self, repository: &Repository, opening: Opening) -> Result<Option<Found>> {
        match (Found::look(repository, opening).await, &self.next) {
            (Ok(found), _) => Ok(found),
            (Err(error), Some(next)) if exit_of(&error) == Exit::WrongPassword => {
                match Found::look(&repository.with_password(next.clone()), opening).await {
                    Ok(found) => {
                        tracing::info!("{} has its new password already", repository.address());
                        Ok(found)
                    }
                    Err(_) => Err(error),
                }
            }
            (Err(error), _) => Err(error),
        }
    }

    /// A repository as the old password opens it, and as the new one does, when one is set.
    pub fn under_both(&self, repository: &Repository) -> (Repository, Option<Repository>) {
        let new = self.next.clone().map(|next| repository.with_password(next));
        (repository.with_password(self.repository.password().clone()), new)
    }

    /// What `init` makes for these items where nothing is yet.
    pub fn wanted(&self, items: &[Item], split: bool) -> ResticPlaces {
        if !split {
            return self.places(vec![(Place::All, self.repository.clone())]);
        }
        let wanted = |place: &Place| items.iter().any(|item| Place::of(item) == *place);
        self.places(Place::SPLIT.into_iter().filter(wanted).map(|place| (place, self.at(place))).collect())
    }

    /// Whether repositories are to be made one for each kind of item.
    pub fn makes_split(&self) -> bool {
        self.layout == Layout::Split
    }

    fn at(&self, place: Place) -> Repository {
        place.folder().map_or_else(|| self.repository.clone(), |folder| self.repository.at(folder))
    }

    fn places(&self, places: Vec<(Place, Repository)>) -> ResticPlaces {
        ResticPlaces { host: self.host.clone(), places, listed: Arc::default() }
    }
}

/// A repository that opens.
struct Found {
    repository: Repository,
    listed: Option<Vec<restic::Snapshot>>,
}

impl Found {
    async fn look(repository: &Repository, opening: Opening) -> Result<Option<Found>> {
        let listed = match opening {
            Opening::Probed => (repository.probe().await? == Probe::There).then_some(None),
            Opening::Listed => repository.probe_and_list().await?.map(Some),
        };
        Ok(listed.map(|listed| Found { repository: repository.clone(), listed }))
    }
}
