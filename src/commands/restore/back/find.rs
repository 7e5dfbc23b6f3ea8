//! What the last act replaced, found by its copies: which of the application's databases and files go back, and why they could not. Pure.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::error::Failure;
use crate::report::size;
use crate::sources::act::{Act, Place, Since};
use crate::sources::files::exchange::turn::Aside;
use crate::sources::postgres::server::Database;
use crate::sources::postgres::side::{self, Journal, State};

/// Everything that is looked at.
#[derive(Debug, Default)]
pub struct Seen {
    /// The server's databases; nothing without a server.
    pub databases: Option<Vec<Database>>,
    /// The directories of files, with what lies aside in them.
    pub roots: Vec<(PathBuf, Vec<Aside>)>,
}

/// One database of the act.
#[derive(Debug)]
pub struct Turn {
    /// Its name.
    pub name: String,
    /// What bears the name now; it is put aside.
    pub live: Option<Database>,
    /// What bore it before, and what is written on that; it comes back.
    pub copy: Option<(Database, Journal)>,
}

/// The last act.
#[derive(Debug)]
pub struct Last {
    /// Its run.
    pub run: String,
    /// The number of the next one.
    pub next: u64,
    /// Its databases.
    pub turns: Vec<Turn>,
    /// Its directories, each with the run whose exchange is turned round there.
    pub roots: Vec<(PathBuf, String)>,
    /// Why it cannot be undone as one.
    pub faults: Vec<String>,
}

type Copy<'a> = (&'a Database, Journal);

impl Seen {
    /// The application's copies.
    fn copies(&self, app: &str) -> Vec<Copy<'_>> {
        let journals = self.databases.iter().flatten().filter_map(|database| Some((database, database.journal()?)));
        journals.filter(|(_, journal)| journal.state == State::Replaced && journal.app == app).collect()
    }

    fn asides(&self) -> impl Iterator<Item = (&PathBuf, &Aside)> {
        let all = self.roots.iter().flat_map(|(root, asides)| asides.iter().map(move |aside| (root, aside)));
        all.filter(|(_, aside)| !aside.is_rubbish)
    }

    /// The number that comes after all that is known of.
    pub fn next_number(&self, app: &str) -> u64 {
        let of = |act: &Option<Act>| act.as_ref().map_or(0, Act::last_number);
        let databases = self.copies(app).iter().map(|(_, journal)| of(&journal.act)).max();
        let files = self.asides().map(|(_, aside)| of(&aside.act)).max();
        databases.max(files).unwrap_or(0) + 1
    }

    /// Finds the last act.
    ///
    /// # Errors
    /// When nothing is there to go back to; names what is.
    pub fn last(&self, app: &str) -> Result<Last, Failure> {
        let copies = self.copies(app);
        let known = copies.iter().map(|(_, journal)| (journal.run.as_str(), &journal.act));
        let known = known.chain(self.asides().map(|(_, aside)| (aside.by.as_str(), &aside.act)));
        // Run ids begin with their time, which tells acts without a number apart.
        let last = known.max_by_key(|(run, act)| (act.as_ref().map_or(0, |act| act.number), *run));
        let Some((run, act)) = last else { return Err(self.nothing(app)) };
        let number = act.as_ref().map_or(0, |act| act.number);
        let acts = copies.iter().map(|(_, its)| &its.act).chain(self.asides().map(|(_, aside)| &aside.act)).flatten();
        let since = acts.filter_map(|act| act.since.as_ref()).max_by_key(|since| since.number);
        if let Some(since) = since.filter(|since| since.number > number) {
            return Err(in_place(since, run));
        }
        let run = run.to_owned();
        let copies: Vec<Copy<'_>> = copies.into_iter().filter(|(_, journal)| journal.run == run).collect();
        let asides: Vec<_> = self.asides().filter(|(_, aside)| aside.by == run).collect();
        let act = copies.iter().map(|(_, journal)| &journal.act).chain(asides.iter().map(|(_, aside)| &aside.act));
        let act = act.flatten().next().cloned().unwrap_or_else(|| told_by(&copies));
        let turns: Vec<Turn> = act.databases.iter().map(|place| self.turn(place, &copies)).collect();
        let mut last = Last {
            next: self.next_number(app),
            turns,
            roots: asides.iter().map(|(root, aside)| ((*root).clone(), aside.run.clone())).collect(),
            faults: Vec::new(),
            run,
        };
        last.faults = self.faults(&last, &act);
        Ok(last)
    }

    fn turn(&self, place: &Place, copies: &[Copy<'_>]) -> Turn {
        let copy = copies.iter().find(|(_, journal)| journal.database == place.name);
        Turn {
            name: place.name.clone(),
            live: self.databases.iter().flatten().find(|database| database.name == place.name).cloned(),
            copy: copy.map(|(database, journal)| ((*database).clone(), journal.clone())),
        }
    }

    fn faults(&self, last: &Last, act: &Act) -> Vec<String> {
        let mut faults = Vec::new();
        let run = &last.run;
        if self.databases.is_none() && !act.databases.is_empty() {
            let names: Vec<&str> = act.databases.iter().map(|place| place.name.as_str()).collect();
            faults.push(format!("run {run} replaced databases too ({}), and no server is set", names.join(", ")));
            return faults;
        }
        for (place, turn) in act.databases.iter().zip(&last.turns) {
            let (name, copy) = (&place.name, side::replaced_name(&place.name, run));
            if place.had && turn.copy.is_none() && act.transaction.is_some() {
                faults.push(format!(
                    "the database {name} was loaded in place by run {run}, which kept nothing of it: {}",
                    instead(act.safety.as_deref())
                ));
            } else if place.had && turn.copy.is_none() {
                faults.push(match self.renamed(run, name) {
                    Some(now) => format!("{copy}, the database {name} from before run {run}, is called {now} by now"),
                    None => format!(
                        "{copy}, the database {name} from before run {run}, is not there any more: a sealed backup of its successor drops it, or somebody did"
                    ),
                });
            }
            let is_its = |live: &Database| place.oid.is_none_or(|oid| oid == live.oid);
            if turn.live.as_ref().is_some_and(|live| !is_its(live)) {
                faults.push(format!(
                    "the database {name} is not the one that run {run} put there: it was replaced or renamed since"
                ));
            }
        }
        if last.roots.len() < act.files.len() {
            let here: Vec<String> = last.roots.iter().map(|(root, _)| root.display().to_string()).collect();
            let gone: Vec<&str> = act.files.iter().filter(|root| !here.contains(root)).map(String::as_str).collect();
            faults.push(format!(
                "what run {run} replaced in {} is not there any more: a backup dropped it, or BKP_FILES names another directory",
                gone.join(", ")
            ));
        }
        faults
    }

    /// What a copy is called that somebody has renamed: its comment still says what it is.
    fn renamed(&self, run: &str, database: &str) -> Option<&str> {
        let is_it =
            |comment: &str| Journal::parse(comment).is_some_and(|its| its.run == run && its.database == database);
        let mut all = self.databases.iter().flatten();
        all.find(|other| other.comment.as_deref().is_some_and(is_it)).map(|other| other.name.as_str())
    }

    fn nothing(&self, app: &str) -> Failure {
        let journals = || {
            let commented = self.databases.iter().flatten();
            commented.filter_map(|database| Some((database, Journal::parse(database.comment.as_deref()?)?)))
        };
        let renamed = journals()
            .filter(|(database, its)| its.state == State::Replaced && its.app == app && !side::is_ours(&database.name));
        let renamed: Vec<String> = renamed
            .map(|(database, its)| format!("{} is the {} from before run {}", database.name, its.database, its.run))
            .collect();
        let others: BTreeSet<String> = journals().map(|(_, its)| its.app).filter(|other| other != app).collect();
        let mut hint = "what a restore replaced is kept until a sealed backup of what came in its place, as BKP_KEEP_REPLACED says; \
                        an older state is restored: bkp list"
            .to_owned();
        if !renamed.is_empty() {
            hint.push_str(&format!("; renamed by somebody: {}", renamed.join(", ")));
        }
        if !others.is_empty() {
            let others: Vec<String> = others.into_iter().collect();
            hint.push_str(&format!("; copies of other applications are there: {}", others.join(", ")));
        }
        Failure::new(format!("there is nothing to undo: nothing that a restore of {app} replaced is there")).hint(hint)
    }
}

/// The last restore kept nothing, and what is kept is older: to bring that back would undo more than was asked.
fn in_place(since: &Since, earlier: &str) -> Failure {
    Failure::new(format!(
        "the last restore, run {}, was in place, which --undo cannot take back; nothing was begun",
        since.run
    ))
    .hint(format!(
        "{}; what run {earlier} put aside before that is still there: bkp list",
        instead(since.safety.as_deref())
    ))
}

fn instead(safety: Option<&str>) -> String {
    match safety {
        Some(run) => format!("its safety backup has what was there before: bkp restore {run}"),
        None => "it was without a safety backup, so only an older backup can help: bkp list".to_owned(),
    }
}

/// A copy of before says nothing of others; what bears its run's name belongs together.
fn told_by(copies: &[Copy<'_>]) -> Act {
    let place = |(_, journal): &Copy<'_>| Place { name: journal.database.clone(), had: true, oid: None };
    Act { databases: copies.iter().map(place).collect(), ..Act::default() }
}

impl Last {
    /// What there is of it, for who wants to go back by hand.
    pub fn there(&self) -> Vec<String> {
        let databases = self.turns.iter().filter_map(|turn| turn.copy.as_ref()).map(|(copy, _)| {
            let bytes = copy.bytes.and_then(|bytes| u64::try_from(bytes).ok());
            format!("{}{}", copy.name, bytes.map_or(String::new(), |bytes| format!(" ({})", size(bytes))))
        });
        databases.chain(self.roots.iter().map(|(root, run)| format!("{}/.bkp-{run}", root.display()))).collect()
    }
}

#[cfg(test)]
#[path = "find_tests.rs"]
mod tests;
