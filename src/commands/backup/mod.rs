//! `bkp backup`: one run over all items of the application. Reads as it happens.

mod before;
pub(super) mod bucket;
mod everywhere;
mod files;
mod opening;
pub(super) mod parts;
pub(super) mod plan;
mod record;
pub mod retain;
pub mod safety;

use anyhow::{Result, anyhow, bail};
use tracing::Instrument as _;

use super::catalog::snapshots;
use super::held::Held;
use super::pausing::{self, Reason};
use super::repositories::{Listed, Repositories};
use super::shrink::{self, Last};
use super::{Context, Run, now};
use crate::commands::restore::leftovers;
use crate::error::{Failure, exit_of};
use crate::exit::Exit;
use crate::pause::Pause;
use crate::report;
use crate::repository::bucket::pump::Pump;
use crate::repository::bucket::store::Object;
use crate::repository::restic;
use crate::settings::names::BKP_TABLE_WAIT;
use crate::sources::Item;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::dump::{self, Job};
use crate::sources::postgres::seal::{FORMAT, Seal, Stored};
use crate::sources::postgres::standby::{self, Watch};
use crate::sources::postgres::waits::Patience;
use everywhere::Everywhere;
use opening::{Opened, Unopened};
use parts::{Common, Kept, Parts};
use plan::Plan;
use record::Record;

/// What the operator asked for.
#[derive(Debug, Default)]
pub struct Request {
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
    /// What restic's snapshots are tagged with besides.
    pub tags: Vec<String>,
    /// It may be as small as it is, and is the measure of those after it.
    pub allow_shrink: bool,
}

/// Everything that a run has saved.
#[derive(Default)]
pub struct Saved {
    /// The dump in the bucket, with its seal.
    pub object: Option<(Object, Seal)>,
    /// Snapshots.
    pub kept: Vec<Kept>,
    /// Rows of all tables.
    pub rows: u64,
    /// What could not be read.
    pub unreadable: Vec<String>,
    /// What was in the repository of the directories before, once somebody has listed it.
    pub before: Option<Vec<restic::Snapshot>>,
    /// Why one of two repositories lacks the dump.
    half: Option<anyhow::Error>,
}

/// Saves everything of the application: its databases as one sealed dump, or as sealed snapshots, and its files.
///
/// # Errors
/// When anything fails before all is stored and sealed: what is not whole is not listed as a backup then.
pub async fn backup(context: &Context, request: &Request) -> Result<Exit> {
    let run = context.begin()?;
    let settings = &context.settings;
    let session_name = run.session_name("backup");

    let unopened = context.stop.or(Unopened::find(context)).await?;
    let held = context.stop.or(Held::take(context, &session_name)).await?;
    context.stop.or_soon(leftovers::give_back(context, &held, request.dry_run)).await?;

    let plan = context.stop.or(Plan::make(context, held.session.as_ref())).await?;
    plan.say(&settings.app);
    let mut common = plan.common(&run, settings, &request.tags, false);
    let limit = settings.shrink_limit.filter(|_| !request.allow_shrink);
    common.guarded = limit.is_some();
    if let Some(store) = unopened.bucket() {
        let there = context.stop.or(bucket::reachable(store)).await?;
        if let (Some(percent), Some(dump)) = (limit, &plan.dump) {
            let last = async { Ok(shrink::last(store, there, &settings.app, percent).await) };
            let Last { measure, seal } = context.stop.or(last).await?;
            common.measure = if dump.named { measure.map(|measure| measure.of_only(&dump.databases)) } else { measure };
            seal.iter().for_each(|seal| common.before.learn_of_dump(seal));
        }
    }
    let mut opened = match request.dry_run {
        true => context.stop.or(unopened.ask(true)).await?,
        false => context.stop.or(unopened.open(context, &common)).await?,
    };
    // Before anything is paused, and before half of the run is stored.
    let have_places = |there: &Repositories| match &there.restic {
        Some(places) => parts::all_have_places(places, &common.plan),
        None => Ok(()),
    };
    have_places(&opened.repositories)?;
    if request.dry_run {
        if context.json {
            report::json(&plan.record(&settings.app))?;
        }
        return Ok(Exit::Done);
    }

    let session_name = session_name.as_str();
    let save = async |Opened { repositories, listed, .. }: &Opened| {
        let mut common = common.clone();
        for (place, listed) in listed {
            common.before.learn_of_snapshots(&snapshots::of_place(listed, *place, settings), &settings.app);
        }
        let (run, plan, common) = (&run, &plan, &common);
        let saving = Saving { context, run, repositories, plan, session_name, common, listed };
        let everything = async |_: Option<&mut Pause<'_>>| saving.everything(held.session.as_ref()).await;
        pausing::around(context, run, Reason::Backup, everything).await
    };
    let saved = match save(&opened).await {
        Err(error) if opened.is_elsewhere(&error) => match context.stop.or(unopened.ask(false)).await {
            Ok(there) => {
                opened = there;
                match have_places(&opened.repositories) {
                    Ok(()) => save(&opened).await,
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        },
        saved => saved,
    };
    if saved.is_err() {
        held.release(&settings.app).await;
    }
    let saved = saved?;
    // A signal now only keeps the locks of the dead.
    let tidied = async {
        opened.tidied().await;
        Ok(())
    };
    let _ = context.stop.or(tidied).await;
    let repositories = &opened.repositories;

    if let Some(percent) = limit {
        // Not to be interrupted: what is stored is told as stored.
        let shrunk = shrink::of_run(context, repositories, &run, &saved).await;
        if !shrunk.is_empty() {
            held.release(&settings.app).await;
            Record::new(&run, &settings.app, &plan, &saved, &Ok(Vec::new()), now()).say(context, Exit::Failed)?;
            bail!(shrink::failure(&run, &shrunk, percent));
        }
    }
    let dropped = context.stop.or_soon(leftovers::drop_replaced(settings, &held, &run, &saved)).await;
    let forgotten = forget_old(context, &held, repositories, &run).await;
    if let Some(store) = &repositories.bucket {
        // The next run does it as well.
        let swept = async {
            bucket::sweep(store, &run).await;
            Ok(())
        };
        let _ = context.stop.or(swept).await;
    }
    held.release(&settings.app).await;
    let exit = match (&forgotten, saved.unreadable.is_empty()) {
        (_, false) => Exit::Partial,
        (Err(_), true) => Exit::RetentionFailed,
        (Ok(_), true) => Exit::Done,
    };
    Record::new(&run, &settings.app, &plan, &saved, &forgotten, now()).say(context, exit)?;
    if let Err(error) = dropped {
        tracing::warn!("what a restore replaced could not be dropped: {error:#}");
    }
    Ok(exit)
}

/// What saving needs and does not change.
struct Saving<'a> {
    context: &'a Context,
    run: &'a Run,
    repositories: &'a Repositories,
    plan: &'a Plan,
    session_name: &'a str,
    common: &'a Common,
    /// What was in restic's repositories when they were opened.
    listed: &'a Listed,
}

impl Saving<'_> {
    /// All of it, or what it means for the backups that there are.
    async fn everything(&self, session: Option<&Session>) -> Result<Saved> {
        let mut saved = self.parts(session).await.map_err(|error| {
            let exit = exit_of(&error);
            let is_cut_off = matches!(exit, Exit::HungUp | Exit::Interrupted | Exit::Terminated)
                && self.repositories.restic.is_some();
            let said = match is_cut_off {
                // restic may just have stored the last item when it was asked to end.
                true => {
                    "this run was cut off: no backup, unless bkp list shows it whole; earlier ones are as they were"
                }
                false => "this run made no whole backup, and earlier ones are as they were",
            };
            Failure::new(said).exit(exit).because(error)
        })?;
        // What is whole in one of two stores is a backup.
        match saved.half.take() {
            None => Ok(saved),
            Some(error) => Err(error),
        }
    }

    /// Databases first: a file that a row speaks of was there before the row, and is still there afterwards.
    async fn parts(&self, session: Option<&Session>) -> Result<Saved> {
        let settings = &self.context.settings;
        let (dump, common) = (self.plan.dump.as_ref(), self.common);
        let mut saved = match (session, dump) {
            (Some(session), Some(dump)) => {
                let watch = Watch {
                    session,
                    settings: self.context.postgres()?,
                    mode: settings.standby,
                    session_name: self.session_name,
                    databases: &dump.databases,
                };
                standby::during(&watch, &self.context.stop, async || self.databases(session, common).await).await?
            }
            _ => Saved::default(),
        };
        if let (Some(options), Some(places)) = (&settings.files, &self.repositories.restic) {
            let place = self.plan.roots.first().and_then(|root| places.for_item(&Item::Files(root.clone())));
            let mut known = place.and_then(|(place, _)| self.listed.get(&place).cloned());
            // Also where one repository lacks the dump: the other is to have all of the run.
            for root in &self.plan.roots {
                let saving = files::save(settings, options, places, common, &mut known, root);
                let span = tracing::info_span!("item", item = %Item::Files(root.clone()));
                let tree = self.context.stop.or(saving.instrument(span)).await?;
                saved.kept.push(tree.kept);
                saved.unreadable.extend(tree.unreadable);
            }
            saved.before = known;
        }
        self.repositories.restic.iter().try_for_each(|places| parts::are_there(places, &saved.kept))?;
        Ok(saved)
    }

    /// Produces once for all stores. Another application's run of the same second may take the name in the bucket while we
    /// produce; then that is done again under another one, because nothing is ever overwritten.
    async fn databases(&self, session: &Session, common: &Common) -> Result<Saved> {
        let mut saved = Saved::default();
        for attempt in 0..5 {
            let mut stores = Everywhere::default();
            if let Some(store) = &self.repositories.bucket {
                let level = self.context.settings.gzip_level;
                stores.bucket = Some(self.context.stop.or(bucket::begin(self.run, store, level, attempt)).await?);
            }
            if attempt == 0 {
                stores.restic = self.repositories.restic.as_ref().map(|places| Parts::new(places, common));
            }
            if self.dump(session, stores, &mut saved).await? {
                return Ok(saved);
            }
        }
        bail!("other runs took every name of this second")
    }

    /// Produces, seals, stores and commits; false when the name was taken.
    async fn dump(&self, session: &Session, mut stores: Everywhere<'_>, saved: &mut Saved) -> Result<bool> {
        let Some(plan) = &self.plan.dump else { return Ok(true) };
        let settings = &self.context.settings;
        let job = Job {
            settings: self.context.postgres()?,
            client: &plan.client,
            session_name: self.session_name,
            databases: &plan.databases,
            named: plan.named,
            roles: &settings.saved_roles,
            patience: match self.common.safety {
                true => safety::PATIENCE,
                false => Patience { limit: settings.table_wait, setting: Some(BKP_TABLE_WAIT) },
            },
            jobs: settings.jobs,
            before: &self.common.before.0,
        };
        let produced = self.context.stop.or(dump::dump(&job, session, &mut stores)).await;
        let sealed = produced.and_then(|dumped| {
            let seal = Seal {
                format: FORMAT,
                run: self.run.id.clone(),
                app: settings.app.clone(),
                server: plan.server.clone(),
                client: plan.client.version.clone(),
                databases: dumped.databases,
                skipped: plan.skipped.clone(),
                files: self.plan.roots.clone(),
                safety: self.common.safety,
                database_bytes: dumped.database_bytes,
                measure: self.common.measure.clone(),
                bytes: dumped.bytes,
                digest: format!("blake3:{}", dumped.digest),
                stored: Some(Stored::widest()),
            };
            // One that is too long is told of before anything is ended. What is stored is known at the very end.
            seal.line().map(|_| seal)
        });
        let mut seal = match sealed {
            Ok(sealed) => sealed,
            Err(error) => {
                stores.abort().await;
                return Err(error);
            }
        };
        // From here on the dump is whole: a signal no longer keeps it from being stored.
        saved.rows = seal.rows();
        saved.kept.extend(stores.restic.take().map(|parts| parts.kept).unwrap_or_default());
        if let Some(pump) = stores.bucket.take() {
            match self.commit(pump, &mut seal).await {
                Ok(Some(object)) => saved.object = Some((object, seal)),
                Ok(None) => return Ok(false),
                Err(error) => stores.failed.push(error.context("the bucket")),
            }
        }
        match stores.failed.pop() {
            None => Ok(true),
            Some(error) if saved.object.is_none() && saved.kept.is_empty() => Err(error),
            Some(error) => {
                saved.half = Some(self.half_saved(saved, error));
                Ok(true)
            }
        }
    }

    /// Ends the object in the bucket. A store that says nothing keeps nobody waiting who asked to stop: the application would stay paused
    /// until this run is killed, and after that.
    async fn commit(&self, pump: Pump, seal: &mut Seal) -> Result<Option<Object>> {
        let stop = &self.context.stop;
        if let Some(done) = stop.or_after(bucket::commit(pump, seal)).await {
            return done;
        }
        tracing::warn!(
            "the bucket has not said whether it took the dump: if it is listed, bkp check --read-data proves it"
        );
        stop.check().and(Err(anyhow!("stopped")))
    }

    /// One store has it, another has not: the run failed, and what is there stays and is listed.
    fn half_saved(&self, saved: &Saved, error: anyhow::Error) -> anyhow::Error {
        let there = match &saved.object {
            Some((object, _)) => format!("the bucket ({})", object.name),
            None => format!("restic (run {})", self.run.id),
        };
        Failure::new(format!("the dump is whole in {there}, but was not stored everywhere"))
            .hint("it can be restored from there; mend the other repository and run the backup again")
            .because(error)
            .into()
    }
}

/// Applies the retention while the lock is still ours: two runs that forget at once could each count on what the other deletes.
async fn forget_old(context: &Context, held: &Held, repositories: &Repositories, run: &Run) -> Result<Vec<String>> {
    if context.settings.retention.keeps_everything() {
        return Ok(Vec::new());
    }
    context.stop.or(held.still(&context.settings.app)).await?;
    context.stop.or(super::forget::apply(context, repositories, Some(&run.id), false)).await
}

/// The names of the databases that a run saved, wherever it did.
pub fn databases_of(saved: &Saved) -> Vec<String> {
    let in_bucket = saved.object.iter().flat_map(|(_, seal)| seal.databases.keys().cloned());
    let in_restic = saved.kept.iter().filter_map(|kept| match &kept.item {
        Item::Database(name) => Some(name.clone()),
        _ => None,
    });
    in_bucket.chain(in_restic).collect()
}
