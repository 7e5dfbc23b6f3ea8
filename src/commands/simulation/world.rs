//! The world of a history: one bucket in a real directory, two applications that share it, and what the model knows of them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FlockOperation, flock};

use super::clock;
use super::model::{Known, Model};
use super::pod::{Pod, Said, Wanted, sql};
use crate::commands::Context;
use crate::commands::catalog::{self, Kinds, Saved};
use crate::commands::repositories::Repositories;
use crate::commands::restore::choose::{Choice, Wish, choose};
use crate::commands::restore::reading::{self, Stored};
use crate::commands::restore::shrunk::IfShrunk;
use crate::commands::shrink::Shrunk;
use crate::process::Stop;
use crate::report::facts::Told;
use crate::repository::bucket::faults::{Asked, Fault, Faults};
use crate::repository::bucket::layout;
use crate::repository::bucket::store::Store;
use crate::settings::environment::Made;
use crate::settings::{Overrides, Retention, resolve};
use crate::sources::postgres::survey::Survey;

/// The applications.
pub const APPS: [&str; 2] = ["shop", "wiki"];

/// A bucket, its applications, and what must be there.
pub struct World {
    directory: tempfile::TempDir,
    contexts: [Context; 2],
    pub model: Model,
    pub now: Timestamp,
    /// How many faults were met.
    pub met: usize,
}

/// What a run really did in the store.
#[derive(Default)]
struct Happened {
    /// An upload was begun.
    began: bool,
    /// A dump appeared.
    committed: bool,
    /// Dumps that are gone.
    gone: BTreeSet<String>,
}

/// One step's pod, its faults, and what it is about to save.
struct Doing {
    app: usize,
    faults: Faults,
    rows: u64,
    safety: bool,
    run: Rc<RefCell<Option<String>>>,
    began: Timestamp,
}

impl World {
    pub fn new() -> World {
        let directory = tempfile::Builder::new().prefix("bkp-simulation-").tempdir_in(fast()).expect("a directory");
        fs::create_dir(directory.path().join("bucket")).expect("a bucket");
        let contexts = APPS.map(|app| {
            fs::create_dir(directory.path().join(app)).expect("a directory");
            let bucket = format!("file://{}/bucket", directory.path().display());
            let made =
                Made::of(&[("BKP_APP", app), ("POSTGRES_HOST", "db"), ("POSTGRES_DB", app), ("BKP_BUCKET", &bucket)]);
            let settings = resolve(&made, &Overrides::default()).expect("settings");
            Context { settings, stop: Stop::on_signals().expect("signals"), json: false, told: Told::default() }
        });
        let now = "2026-01-31T23:10:00Z".parse().expect("a time");
        clock::set(now);
        World { directory, contexts, model: Model::default(), now, met: 0 }
    }

    pub fn pass(&mut self, time: SignedDuration) {
        self.now += time;
        clock::set(self.now);
    }

    pub fn rule(&mut self, app: usize, rules: Retention) {
        self.contexts[app].settings.retention = rules;
    }

    pub fn store(&self) -> Store {
        self.contexts[0].store().expect("a store")
    }

    fn pod(&self, app: usize) -> Pod<'_> {
        Pod { context: &self.contexts[app], store: self.store(), root: self.directory.path().join(APPS[app]) }
    }

    fn doing(&self, app: usize, rows: u64, safety: bool, faults: Faults) -> Doing {
        Doing { app, faults, rows, safety, run: Rc::default(), began: self.now }
    }

    fn backup_of(&self, doing: &Doing) -> impl Future<Output = Said> {
        let wanted = Wanted { rows: doing.rows, safety: doing.safety, run: doing.run.clone() };
        self.pod(doing.app).meeting(&doing.faults).backup(wanted)
    }

    pub async fn backup(&mut self, app: usize, rows: u64, safety: bool, faults: Faults) -> Result<(), String> {
        let doing = self.doing(app, rows, safety, faults);
        let said = self.until_its_end(&doing.faults, self.backup_of(&doing)).await;
        self.came_of(&doing, said)
    }

    pub async fn forget(&mut self, app: usize, faults: Faults) -> Result<(), String> {
        let doing = self.doing(app, 0, false, faults);
        let said = self.until_its_end(&doing.faults, self.pod(app).meeting(&doing.faults).forget()).await;
        self.came_of(&doing, said)
    }

    /// The second begins and ends while the first is in the middle of its run.
    pub async fn together(&mut self, [first, second]: [usize; 2], rows: u64, before: usize) -> Result<(), String> {
        let one = self.doing(first, rows, false, Faults::after(before, Fault::Held));
        let other = self.doing(second, rows + 1, false, Faults::default());
        let (said, beside, is_beside) = {
            let mut running = Box::pin(self.backup_of(&one));
            let ended = tokio::select! {
                biased;
                said = &mut running => Some(said),
                () = one.faults.stopped() => None,
            };
            let beside = self.backup_of(&other).await;
            match ended {
                // It was over before it came so far: the other comes after it.
                Some(said) => (said, beside, false),
                None => {
                    one.faults.go_on();
                    (running.await, beside, true)
                }
            }
        };
        self.met += usize::from(is_beside);
        let wanted = if is_beside && first == second { Said::Locked } else { Said::Done };
        if beside != wanted {
            return Err(format!("a run of {} beside or after one of {} says {beside:?}", APPS[second], APPS[first]));
        }
        if said != Said::Done {
            return Err(format!("a run that was held up says {said:?}"));
        }
        let before = self.model.clone();
        // Both are written down before either is judged: what the one deletes, the other may have seen.
        let happened = [(self.note(&other), &other), (self.note(&one), &one)];
        happened.iter().try_for_each(|(happened, doing)| self.kept_what_stays(&before, doing, &happened.gone))
    }

    pub async fn drill(&mut self, app: usize, which: usize, faults: Faults) -> Result<(), String> {
        let good = self.model.good(APPS[app]);
        let Some((name, run)) =
            good.get(which % good.len().max(1)).map(|(name, one)| (name.to_string(), one.run.clone()))
        else {
            return Ok(());
        };
        let run = run.expect("a run");
        let remembered = self.pod(app).meeting(&faults).remember(&name, &run);
        let said = self.until_its_end(&faults, remembered).await;
        let is_there = faults.happened().iter().any(|asked| matches!(asked, Asked::Commit(_)));
        let was_there = self.model.there[&name].proven;
        if said == Some(Said::Done) && !is_there && !was_there {
            return Err(format!("the proof of {name} is said to be kept and is not"));
        }
        self.model.there.get_mut(&name).expect("it is there").proven |= is_there;
        Ok(())
    }

    pub async fn old_script(&mut self, rows: u64) -> Result<(), String> {
        let written = self.pod(0).old_script(self.now, rows).await.map_err(|error| format!("{error:#}"))?;
        if let Some(name) = written {
            let known =
                Known { run: None, app: None, time: second(self.now), taken: 0, rows, safety: false, proven: false };
            self.model.there.insert(name, known);
        }
        Ok(())
    }

    /// Runs it to its end, or to its death: then what a killed process leaves in a directory stays there.
    async fn until_its_end(&self, faults: &Faults, running: impl Future<Output = Said>) -> Option<Said> {
        let mut running = Box::pin(running);
        tokio::select! {
            biased;
            said = &mut running => Some(said),
            () = faults.stopped() => {
                let kept = self.parts();
                for part in &kept {
                    fs::hard_link(part, aside(part)).expect("a link");
                }
                drop(running);
                for part in &kept {
                    if part.exists() {
                        // Of one who died before.
                        fs::remove_file(aside(part)).expect("removed");
                        continue;
                    }
                    fs::rename(aside(part), part).expect("renamed");
                    let file = fs::File::options().write(true).open(part).expect("opened");
                    // What was on its way to the file has come there once nobody has it open.
                    flock(&file, FlockOperation::LockExclusive).expect("locked");
                    let written = file.metadata().and_then(|file| file.modified()).expect("a time");
                    file.set_modified(written - Duration::from_secs(2 * 3600)).expect("aged");
                }
                None
            }
        }
    }

    fn parts(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path().join("bucket/db")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "part")).collect()
    }

    /// Judges what a run has done by what it says, and by what happened in the store.
    fn came_of(&mut self, doing: &Doing, said: Option<Said>) -> Result<(), String> {
        self.met += usize::from(doing.faults.was_met());
        let before = self.model.clone();
        let happened = self.note(doing);
        let is_backup = doing.run.borrow().is_some();
        match said {
            Some(Said::Done | Said::RetentionFailed) if is_backup && !happened.committed => {
                return Err("a backup that says it is stored is not".to_owned());
            }
            Some(Said::Locked) => return Err("it is locked, and nobody else is there".to_owned()),
            Some(Said::Failed | Said::RetentionFailed) if !doing.faults.was_met() => {
                return Err(format!("nothing was in the way, and it says {said:?}"));
            }
            Some(_) if happened.began && !self.parts().is_empty() => {
                return Err(format!("what a dead run left is still there: {:?}", self.parts()));
            }
            _ => {}
        }
        self.kept_what_stays(&before, doing, &happened.gone)?;
        let wanted = self.may_go(&before, doing);
        match said {
            Some(Said::Done) if !doing.safety && happened.gone != wanted => {
                Err(format!("retention deleted {:?} and was to delete {wanted:?}", happened.gone))
            }
            _ => Ok(()),
        }
    }

    /// What happened in the store, written down.
    fn note(&mut self, doing: &Doing) -> Happened {
        let mut happened = Happened::default();
        for asked in doing.faults.happened() {
            match asked {
                Asked::Create(_) => happened.began = true,
                Asked::Commit(name) => {
                    let known = Known {
                        run: doing.run.borrow().clone(),
                        app: Some(APPS[doing.app]),
                        time: second(doing.began),
                        taken: layout::taken(&name),
                        rows: doing.rows,
                        safety: doing.safety,
                        proven: false,
                    };
                    happened.committed = true;
                    self.model.there.insert(name, known);
                }
                Asked::Delete(name) => happened.gone.extend(self.model.there.remove(&name).map(|_| name)),
                _ => {}
            }
        }
        happened
    }

    /// Before, and with what the run has added.
    fn with_its_own(&self, before: &Model, doing: &Doing) -> Model {
        let mut all = before.clone();
        let run = doing.run.borrow().clone();
        let own = self.model.there.iter().filter(|(_, one)| run.is_some() && one.run == run);
        all.there.extend(own.map(|(name, one)| (name.clone(), one.clone())));
        all
    }

    fn must_stay(&self, before: &Model, doing: &Doing) -> (Model, BTreeSet<String>) {
        let all = self.with_its_own(before, doing);
        let rules = &self.contexts[doing.app].settings.retention;
        let stays = all.must_stay(APPS[doing.app], rules, self.now, doing.run.borrow().as_deref());
        (all, stays)
    }

    fn may_go(&self, before: &Model, doing: &Doing) -> BTreeSet<String> {
        let (all, stays) = self.must_stay(before, doing);
        all.there.keys().filter(|name| !stays.contains(*name)).cloned().collect()
    }

    /// That it deleted nothing which a rule keeps, and that enough is left.
    fn kept_what_stays(&self, before: &Model, doing: &Doing, gone: &BTreeSet<String>) -> Result<(), String> {
        let (all, stays) = self.must_stay(before, doing);
        let app = APPS[doing.app];
        if let Some(wrong) = gone.intersection(&stays).next() {
            return Err(format!("retention of {app} deleted {wrong}, which a rule keeps"));
        }
        let (had, left) = (all.good(app).len(), self.model.good(app).len());
        let min = self.contexts[doing.app].settings.retention.min as usize;
        if left < had.min(min) {
            return Err(format!("{left} good runs of {app} are left of {had}, and the floor is {min}"));
        }
        Ok(())
    }

    /// What must hold after every step.
    pub async fn holds(&self) -> Result<(), String> {
        let repositories = Repositories { bucket: Some(self.store()), restic: None };
        for (app, context) in APPS.iter().zip(&self.contexts) {
            let saved =
                catalog::saved(&repositories, &context.settings, None).await.map_err(|error| format!("{error:#}"))?;
            let listed: Vec<(String, Option<Known>)> = saved.iter().map(|one| (one.name.clone(), known(one))).collect();
            // Nobody has counted the rows of what has no seal.
            let told = |one: &Known| Known { rows: if one.run.is_some() { one.rows } else { 0 }, ..one.clone() };
            let there = self.model.newest_first(|_| true).into_iter();
            let there: Vec<(String, Option<Known>)> =
                there.map(|(name, one)| (name.to_owned(), Some(told(one)))).collect();
            if listed != there {
                return Err(format!("listed is\n{listed:#?}\nand there is\n{there:#?}"));
            }
            let latest = self.chosen(&saved, app, "latest").map(|choice| choice.name);
            if latest.as_deref() != self.model.latest(app) {
                return Err(format!(
                    "latest of {app} is {latest:?}, and the newest good one {:?}",
                    self.model.latest(app)
                ));
            }
            if let Some(name) = latest {
                self.gives_back(&saved, app, &name).await?;
            }
        }
        Ok(())
    }

    /// A restore of what is named gives what was saved.
    async fn gives_back(&self, saved: &[Saved], app: &str, name: &str) -> Result<(), String> {
        let choice = self.chosen(saved, app, name).ok_or_else(|| format!("{name} cannot be chosen"))?;
        let dump = choice.dump.ok_or("it has no dump")?;
        let stored = Stored::of_dump(&self.store(), &dump);
        let read = reading::prove(&stored).await.map_err(|error| format!("{error:#}"))?;
        let whole = reading::survey(&stored).await.map_err(|error| format!("{error:#}"))?.survey;
        if (Survey { digest: whole.digest.clone(), ..read.survey.clone() }) != whole {
            return Err(format!("{name} is surveyed as {:?}, and is {whole:?}", read.survey));
        }
        if let Some(seal) = dump.seal() {
            seal.prove(&read.survey).map_err(|error| format!("{name}: {error:#}"))?;
        }
        let rows: u64 = read.survey.sections.iter().flat_map(|section| &section.tables).map(|table| table.rows).sum();
        let known = &self.model.there[name];
        if rows != known.rows || dump.seal().is_some() && read.survey.bytes != sql(known.rows).len() as u64 {
            return Err(format!("{name} gives {rows} rows back, and {} were saved", known.rows));
        }
        Ok(())
    }

    /// Any dump, by its name.
    pub async fn restore(&self, which: usize) -> Result<(), String> {
        let repositories = Repositories { bucket: Some(self.store()), restic: None };
        let all: Vec<&String> = self.model.there.keys().collect();
        let Some(name) = all.get(which % all.len().max(1)) else { return Ok(()) };
        let saved = catalog::saved(&repositories, &self.contexts[0].settings, None).await;
        self.gives_back(&saved.map_err(|error| format!("{error:#}"))?, APPS[0], name).await
    }

    fn chosen(&self, saved: &[Saved], app: &str, when: &str) -> Option<Choice> {
        let shrunk = Shrunk::new();
        let kinds = Kinds { files: false, databases: true };
        let wish = Wish {
            when,
            instead: &[],
            incomplete: false,
            other_app: false,
            kinds,
            shrunk: &shrunk,
            if_shrunk: IfShrunk::Refuse,
        };
        choose(saved, &wish, app, self.now).ok()
    }
}

/// Where nothing waits for a disk.
fn fast() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn aside(part: &Path) -> PathBuf {
    part.with_extension("aside")
}

/// Names tell seconds.
fn second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).expect("a second")
}

/// What a list says of a dump, as the model has it.
fn known(one: &Saved) -> Option<Known> {
    let dump = one.dump.as_ref()?;
    let seal = dump.summary();
    let rows = if seal.is_some() { dump.seal()?.rows() } else { 0 };
    Some(Known {
        run: one.run.clone(),
        app: one.app.as_deref().and_then(|its| APPS.into_iter().find(|app| *app == its)),
        time: one.time,
        taken: layout::taken(&one.name),
        rows,
        safety: one.is_safety(),
        proven: one.proven.newest().is_some(),
    })
}
