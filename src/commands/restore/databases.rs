//! The databases of a restore: loaded beside the live ones, proven, swapped in one transaction, or taken back.

use anyhow::{Context as _, Result, anyhow, bail};

use super::in_place::{Load as InPlace, Way};
use super::loading::{self, Loaded, Loading};
use super::plan::Plan;
use super::preflight::{self, Target, Wish};
use super::reading::{self, Piece, Read, Stored};
use super::room::Room;
use super::undo::{Taken, Undo};
use super::{Request, aside, only, partial, plan, rights, tried};
use crate::commands::pausing::{self, Reason};
use crate::commands::{Context, Run};
use crate::error::Failure;
use crate::exit::Exit;
use crate::settings::Postgres;
use crate::sources::Item;
use crate::sources::act::{Act, Place, Since};
use crate::sources::postgres::clients::{self, Client};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::rewrite::Policy;
use crate::sources::postgres::seal::Seal;
use crate::sources::postgres::side::State;
use crate::sources::postgres::survey::Survey;
use crate::sources::postgres::swap::{self, Swap};
use crate::sources::postgres::{lock, obstacles, server, side};

/// Everything about the databases that is decided before anything is made.
pub struct Databases<'a> {
    context: &'a Context,
    postgres: &'a Postgres,
    run: &'a Run,
    stored: &'a Stored,
    read: &'a Read,
    main: &'a Session,
    targets: Vec<String>,
    target: Target,
    client: Client,
    plan: Plan,
    slots: Vec<String>,
    room: Room,
    undo: Undo,
    swapper: Option<Session>,
    loaded: Option<Loaded>,
    way: Option<Way>,
    in_place: InPlace,
}

impl<'a> Databases<'a> {
    /// Asks the server everything, and adds what cannot work to `faults`. `main` holds the lock.
    ///
    /// # Errors
    /// When the dump does not hold what is wanted, or the server cannot be asked.
    pub async fn prepare(
        context: &'a Context,
        run: &'a Run,
        request: &Request,
        (stored, read): (&'a Stored, &'a Read),
        main: &'a Session,
        faults: &mut Vec<String>,
    ) -> Result<Databases<'a>> {
        let (settings, postgres) = (&context.settings, context.postgres()?);
        let survey = &read.survey;
        let wish = Wish { only: only::database(request)?, under: request.under.clone() };
        let wanted = preflight::wanted(survey, &postgres.databases, &wish)?;
        let targets: Vec<String> = wanted.iter().map(|wanted| wanted.target.clone()).collect();
        let mut target = Target::ask(main).await?;
        let under = request.under.is_some();
        let way = if request.tables.is_empty() {
            Way::choose((context, run), (survey, &wanted, under), &mut target, faults).await?
        } else {
            faults.extend(preflight::no_side_database(&target));
            None
        };
        let provided = rights::provided_schemas(&target, way.as_ref());
        faults.extend(preflight::faults((survey, &provided), &wanted, &target, settings, under && way.is_none()));
        faults.extend(rights::faults(main, (survey, &wanted), &target, way.as_ref()).await?);
        let live: Vec<&str> = targets
            .iter()
            .map(String::as_str)
            .filter(|name| !under && way.is_none() && request.tables.is_empty() && target.database(name).is_some())
            .collect();
        faults.extend(obstacles::of_swap(main, &live).await?);
        faults.extend(tried::creations(main, survey, &wanted, &target).await?);
        let sessions = match (&way, request.tables.is_empty()) {
            // psql; where the databases are swapped, another session stands beside them.
            (None, true) => {
                vec![(main.database(), 1 + usize::from(targets.iter().any(|name| name == main.database())))]
            }
            (Some(_), _) => vec![(targets[0].as_str(), 1)],
            // One on each side, pg_dump, and psql.
            (None, false) => vec![(main.database(), 2), (targets[0].as_str(), 2)],
        };
        let here = |(name, _): &(&str, usize)| target.database(name).is_some();
        let sessions: Vec<(&str, usize)> = sessions.into_iter().filter(here).collect();
        let reason = if under { Reason::Beside } else { Reason::Restore };
        let pauses = request.tables.is_empty() && pausing::is_wanted(settings, reason)?;
        faults.extend(tried::sessions((main, postgres), &sessions, &run.session_name("restore"), pauses).await?);
        if way.is_some() {
            let emptied: Vec<&str> = targets.iter().map(String::as_str).collect();
            faults.extend(obstacles::prepared(main, &emptied).await?);
        }
        let room = Room::ask(main, postgres.port, survey, &wanted).await?;
        faults.extend(room.fault());
        let installed = clients::installed(&settings.client_dirs).await?;
        let client = clients::for_load(&installed, target.major)?.clone();
        let mut plan = Plan::make(run, settings, survey, &wanted, &target);
        plan.policy.provided_extensions = rights::provided_extensions(&target, way.as_ref());
        plan.policy.provided_schemas = rights::provided_schemas(&target, way.as_ref());
        let slots = obstacles::slots(main, &live).await?;
        let (undo, swapper, loaded) = (Undo::default(), None, None);
        Ok(Databases {
            context,
            postgres,
            run,
            stored,
            read,
            main,
            targets,
            target,
            client,
            plan,
            slots,
            room,
            undo,
            swapper,
            loaded,
            way,
            in_place: InPlace::default(),
        })
    }

    /// Tells the plan.
    pub fn say(&self) {
        if let Some(way) = &self.way {
            way.say();
        }
        self.plan.say(&self.client);
        self.say_doubts();
        for slot in &self.slots {
            tracing::warn!(
                "the logical replication slot {slot} stays with the database that is put aside; its consumer needs a new one"
            );
        }
    }

    /// Tells what may be less than expected: room, and what the server cannot have.
    pub fn say_doubts(&self) {
        self.room.say();
        for line in tried::left_out(&self.read.survey, &self.target) {
            tracing::warn!("plan: {line}");
        }
    }

    /// Names of the live databases.
    pub fn targets(&self) -> &[String] {
        &self.targets
    }

    /// The server, and what a replay into it leaves out.
    pub fn replay(&self) -> (&Target, &Policy) {
        (&self.target, &self.plan.policy)
    }

    /// The one side database and the live one that it is of, when there is one of each.
    pub fn only_side(&self) -> Option<(&str, &str)> {
        match self.plan.loads.as_slice() {
            [load] if load.replaces => Some((&load.side, &load.target)),
            _ => None,
        }
    }

    /// Drops what was loaded, after something was taken from it. Roles that were made for it stay: they may own that.
    pub async fn drop_sides(&mut self) {
        self.undo.roles.clear();
        self.take_back().await;
    }

    /// Says what the rewriter would change, and how many statements that are.
    ///
    /// # Errors
    /// When the dump cannot be read to its end.
    pub async fn explain(&self) -> Result<u64> {
        reading::explain(self.stored, self.read, self.plan.policy.clone()).await
    }

    /// Loads beside the live databases and proves.
    ///
    /// # Errors
    /// At the first statement that fails or row that is missing.
    pub async fn load(&mut self, allow_unproven: bool) -> Result<()> {
        let stop = &self.context.stop;
        if self.way.is_none() {
            let swapper = aside::session(self.context, self.run, self.main, &self.targets, &mut self.undo);
            self.swapper = stop.or(swapper).await?;
        }
        let here = (self.context, self.postgres, self.run);
        let main = self.swapper.as_ref().unwrap_or(self.main);
        let server = (&self.target, &self.client);
        let loading = Loading::new(here, self.read, &self.plan, server, main, State::Loading);
        if let Some(way) = &self.way {
            let allow_part = allow_unproven || self.is_sealed();
            let load = self.in_place.run((&loading, way), self.stored, &mut self.undo, allow_part);
            stop.or(load).await?;
            say_proven(&self.read.survey);
            return Ok(());
        }
        let loaded = stop.or(loading::load(&loading, self.stored, &mut self.undo)).await?;
        say_proven(&self.read.survey);
        if !self.is_sealed() && !allow_unproven {
            stop.or(partial::refuse(&loading, &loaded.sides)).await?;
        }
        self.loaded = Some(loaded);
        Ok(())
    }

    fn is_sealed(&self) -> bool {
        self.read.is_sealed(self.stored)
    }

    /// What will become of each name.
    ///
    /// # Errors
    /// When the server cannot be asked for the side databases.
    pub async fn places(&self) -> Result<Vec<Place>> {
        if let Some(way) = &self.way {
            let place = |load: &plan::Load| Place { name: load.target.clone(), had: true, oid: Some(way.oid()) };
            return Ok(self.plan.loads.iter().map(place).collect());
        }
        let sides = server::databases(self.swapper.as_ref().unwrap_or(self.main)).await?;
        let place = |load: &plan::Load| Place {
            name: load.target.clone(),
            had: load.replaces,
            oid: sides.iter().find(|side| side.name == load.side).map(|side| side.oid),
        };
        Ok(self.plan.loads.iter().map(place).collect())
    }

    /// Whether what is live is lost with the COMMIT: it is loaded in place.
    pub fn is_in_place(&self) -> bool {
        self.way.is_some()
    }

    /// The transaction that a database was loaded in, where that was in place.
    pub fn transaction(&self) -> Option<i64> {
        self.in_place.transaction
    }

    /// Notes an act that keeps nothing on what earlier acts kept. What can be undone notes itself on what it puts aside.
    ///
    /// # Errors
    /// When the server refuses; nothing has changed then.
    pub async fn note(&mut self, since: &Since) -> Result<()> {
        self.in_place.note(self.main, &self.context.settings.app, since).await
    }

    /// Puts the proven side databases in place, all in one transaction.
    ///
    /// # Errors
    /// When the lock was lost or the server refuses: the live databases are untouched then.
    pub async fn swap(&mut self, act: &Act) -> Result<()> {
        let settings = &self.context.settings;
        self.context.stop.check()?;
        self.context.stop.or(lock::held(self.main, &settings.app)).await?;
        self.undo.loaded = true;
        if self.way.is_some() {
            let committed = self.in_place.commit().await;
            self.undo.in_doubt = committed.is_err();
            return committed;
        }
        let loaded = self.loaded.as_ref().context("nothing is loaded")?;
        let session_name = self.run.session_name("restore");
        let main = self.swapper.as_ref().unwrap_or(self.main);
        let helper =
            async { Session::connect(self.postgres, main.database(), &session_name).await.map_err(server::told) };
        let helper = self.context.stop.or(helper).await?;
        let swaps: Vec<Swap> = loaded
            .sides
            .iter()
            .map(|side| {
                let live = self.target.database(&side.target);
                let live_comment = live.and_then(|live| live.comment.clone());
                Swap {
                    database: side.target.clone(),
                    side: Some(side.name.clone()),
                    replaced: live.map(|_| side::replaced_name(&side.target, &self.run.id)),
                    comment: if side.says_comment { side.comment.clone() } else { live_comment.clone() },
                    live_comment,
                }
            })
            .collect();
        let noted = (settings.app.as_str(), self.run.id.as_str(), act);
        let swapping = swap::swap(main, &helper, &swaps, &loaded.existing_roles, noted);
        let stopped = || self.context.stop.check().and(Err(anyhow!("stopped"))).context(swap::InDoubt);
        let swapped = self.context.stop.or_after(swapping).await.unwrap_or_else(stopped);
        self.undo.in_doubt = swapped.as_ref().is_err_and(|error| error.is::<swap::InDoubt>());
        swapped?;
        let commenting = async {
            for swap in &swaps {
                swap::comment_in_its_own_encoding(self.postgres, &session_name, swap).await;
            }
        };
        let _ = self.context.stop.or_after(commenting).await;
        Ok(())
    }

    /// Whether the swap turns out to be done.
    pub async fn outcome(&self) -> Taken {
        let session_name = self.run.session_name("restore");
        let asked = async {
            match self.way {
                Some(_) => self.in_place.outcome(&self.undo, self.main, self.postgres, &session_name).await,
                None => self.undo.outcome(self.main, self.postgres, &session_name).await,
            }
        };
        let unsaid = if self.undo.in_doubt { Taken::Unknown } else { Taken::Back };
        self.context.stop.or_after(asked).await.unwrap_or(unsaid)
    }

    /// Takes back what was made, when the swap is not done.
    pub async fn take_back(&self) {
        let taken = async {
            self.main.interrupt().await;
            self.in_place.take_back(self.main, &self.run.session_name("restore")).await;
            self.undo.clear(self.main, self.postgres, &self.run.session_name("restore")).await;
        };
        if self.context.stop.or_after(taken).await.is_none() {
            tracing::warn!("the server does not answer; what this restore made there is dropped by the next run");
        }
    }

    /// After the swap: clears up; names what is kept.
    pub async fn finish(&self) -> Vec<String> {
        if self.way.is_some() {
            return Vec::new();
        }
        let replaced = self.plan.loads.iter().filter(|load| load.replaces);
        let replaced = replaced.map(|load| side::replaced_name(&load.target, &self.run.id)).collect();
        let finished = aside::finish(self.context, self.run, self.main, replaced);
        self.context.stop.or_after(finished).await.unwrap_or_else(|| {
            tracing::warn!("all is swapped, but the server does not answer, so nothing more was cleared up");
            Vec::new()
        })
    }
}

/// What is proven, and no more than that.
fn say_proven(survey: &Survey) {
    if survey.sections.iter().all(|section| section.tables.is_empty()) {
        tracing::info!("loaded: no statement failed (the dump has no COPY, so there were no rows to compare)");
    } else {
        tracing::info!("proven: the server took every row of every table, and no statement failed");
    }
}

/// Every piece must be what was sealed; one of another tool must at least have pg_dump's own last line.
///
/// # Errors
/// Exit code 5 for a piece that is not whole.
pub fn prove(stored: &Stored, read: &Read, app: &str, request: &Request) -> Result<()> {
    for (at, piece) in stored.pieces.iter().enumerate() {
        let (name, survey) = (&piece.name, read.part(at));
        // Sealed by bkp, then packed again by somebody: the proof is inside all the same.
        let inside = || survey.seal.as_deref().map(Seal::parse).transpose();
        let seal = match &piece.seal {
            Some(seal) => Some((**seal).clone()),
            None => inside().with_context(|| name.clone())?,
        };
        if let Some(seal) = seal {
            same_app(name, &seal.app, app, request)?;
            mistaken(piece, &seal)?;
            seal.prove(survey).with_context(|| name.clone())?;
            let seen = if survey.digest.is_empty() { "what is stored is" } else { "the digest is" };
            tracing::info!("proven: {name}: {} rows, and {seen} as sealed by run {}", seal.rows(), seal.run);
        } else if let (Some(run), false) = (&piece.run, request.allow_unproven) {
            bail!(
                Failure::new(format!(
                    "{name} of run {run} has no seal, which all of bkp's have: cut short, or changed since"
                ))
                .hint("choose another one: bkp list; to load what is there all the same: --allow-unproven")
                .exit(Exit::ProofFailed)
            )
        } else if survey.trailer {
            tracing::warn!("{name} has no seal: beyond pg_dump's own last line it cannot be proven whole");
        } else if piece.item == Item::Roles {
            // Older scripts picked lines out of pg_dumpall's.
            tracing::warn!("{name} is a list of roles without an end: it cannot be proven whole");
        } else if request.allow_unproven {
            tracing::warn!("{name} does not end as a dump ends; taken as it is, as asked");
        } else {
            bail!(
                Failure::new(format!("{name} does not end as a dump ends: it was cut short, or is no dump"))
                    .hint("choose another one: bkp list; to load what is there all the same: --allow-unproven")
                    .exit(Exit::ProofFailed)
            )
        }
    }
    Ok(())
}

/// Whole, and another thing than it is said to be: somebody has tagged or saved it anew.
///
/// # Errors
/// Exit code 5 for the SQL of another run, or of another database.
fn mistaken(piece: &Piece, seal: &Seal) -> Result<()> {
    let broken = |what: String| {
        Failure::new(format!("{} holds {what}", piece.name))
            .hint("somebody has mixed up snapshots of this repository; choose another backup: bkp list")
            .exit(Exit::ProofFailed)
    };
    if let Some(run) = piece.run.as_ref().filter(|run| **run != seal.run) {
        bail!(broken(format!("what run {} saved, and is said to be of run {run}: it is of another run", seal.run)));
    }
    let names: Vec<&str> = seal.databases.keys().map(String::as_str).collect();
    match &piece.item {
        Item::Database(name) if names != [name.as_str()] => {
            bail!(broken(format!("another database than {name}: {}", names.join(", "))))
        }
        Item::Roles if !names.is_empty() => bail!(broken(format!("databases, not roles: {}", names.join(", ")))),
        _ => Ok(()),
    }
}

/// Another application's backup is restored only when that is said.
///
/// # Errors
/// When it is of another one.
pub fn same_app(name: &str, its: &str, app: &str, request: &Request) -> Result<()> {
    if its == app || request.allow_other_app {
        return Ok(());
    }
    bail!(
        Failure::new(format!("{name} is a backup of application {its}, not of {app}"))
            .hint(format!("set BKP_APP={its} if that is what you mean, or take it over with --allow-other-app"))
    )
}
