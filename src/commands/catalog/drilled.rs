//! What drills have proven of runs in restic repositories: a tiny snapshot for each run, whose only file is the drill's evidence.
//!
//! It is no backup to anybody. bkp knows it by its tag. For everything else it is of 1970, so that nothing takes it for `latest` while
//! there is one backup, even after the run that it speaks of was removed by hand; and of a host of its own, so that neither a list of
//! the application's host nor a `forget` of restic's own, which goes by host and path, puts it among backups.
//!
//! One proof is enough for a run whose items lie in several repositories, because it names all of their snapshots: it lies in the
//! first that takes it, and counts while every one of those is there and the run has no other item. It goes with its run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;

use super::tags::{decode, encode};
use super::{Saved, Snapshot, snapshots};
use crate::commands::repositories::{Place, ResticPlaces};
use crate::error::{Failure, exit_of};
use crate::exit::Exit;
use crate::repository::restic::{self, Parent, Repository, Saving};
use crate::settings::Settings;

/// Its tag, and its host.
const PROOF: &str = "bkp-drill-proof";

const FILE: &str = "bkp-drill-proof.json";

/// For a store to take a proof, besides the time that its locks are waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a locked repository is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// A proof in a restic repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The repository that it is in.
    pub place: Place,
    /// The id of the snapshot that it is.
    pub id: String,
    /// What it says.
    pub says: Statement,
}

/// What a proof says in its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The run that was proven.
    pub run: String,
    /// The application.
    pub app: String,
    /// When it was proven.
    pub proven: Timestamp,
    /// The ids, as people type them, of the snapshots that were proven: all of the run's.
    pub snapshots: Vec<String>,
}

impl Statement {
    /// That these snapshots, all of one run of ours, restore; nothing when they are not.
    pub fn of(snapshots: &[Snapshot], proven: Timestamp) -> Option<Statement> {
        let tags = snapshots.first()?.tags.as_ref()?;
        let is_of_run =
            |one: &Snapshot| one.tags.as_ref().is_some_and(|its| (&its.run, &its.app) == (&tags.run, &tags.app));
        let all_are = snapshots.iter().all(is_of_run);
        all_are.then(|| Statement {
            run: tags.run.clone(),
            app: tags.app.clone(),
            proven,
            snapshots: snapshots.iter().map(|one| one.short().to_owned()).collect(),
        })
    }

    fn tags(&self) -> Vec<String> {
        vec![
            PROOF.to_owned(),
            format!("run={}", encode(&self.run)),
            format!("app={}", encode(&self.app)),
            format!("proven={}", self.proven),
            format!("snapshots={}", self.snapshots.join("+")),
        ]
    }

    fn read(tags: &[String]) -> Option<Statement> {
        let value = |name: &str| tags.iter().find_map(|tag| tag.strip_prefix(name)?.strip_prefix('='));
        if !is_proof(tags) {
            return None;
        }
        Some(Statement {
            run: decode(value("run")?)?,
            app: decode(value("app")?)?,
            proven: value("proven")?.parse().ok()?,
            snapshots: value("snapshots")?.split('+').map(str::to_owned).collect(),
        })
    }

    /// Whether all that was proven is there, and each item of the run was.
    fn holds_for(&self, run: &Saved) -> bool {
        let named = |one: &Snapshot| self.snapshots.iter().any(|id| id == one.short());
        let there = || run.snapshots.iter().chain(&run.copies);
        let all_there = self.snapshots.iter().all(|id| there().any(|one| one.short() == id));
        let all_proven = run.snapshots.iter().all(|item| there().any(|one| one.item == item.item && named(one)));
        all_there && all_proven && run.is_complete()
    }
}

/// Whether a snapshot with these tags is a proof, and so no backup.
pub fn is_proof(tags: &[String]) -> bool {
    tags.iter().any(|tag| tag == PROOF)
}

/// Reads a proof; nothing when it is none, or not one that can be read.
pub fn read(snapshot: &restic::Snapshot, place: Place) -> Option<Proof> {
    Some(Proof { place, id: snapshot.id.clone(), says: Statement::read(&snapshot.tags)? })
}

/// Says of each run whether it is proven, and what proofs go with it.
pub fn mark(all: &mut [Saved], proofs: Vec<Proof>) {
    let mut by_run: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (at, saved) in all.iter().enumerate().filter(|(_, saved)| !saved.snapshots.is_empty()) {
        if let (Some(run), Some(app)) = (&saved.run, &saved.app) {
            by_run.entry((run.clone(), app.clone())).or_insert(at);
        }
    }
    for proof in proofs {
        let of_run = by_run.get(&(proof.says.run.clone(), proof.says.app.clone()));
        let Some(run) = of_run.and_then(|at| all.get_mut(*at)) else { continue };
        if proof.says.holds_for(run) {
            run.proven.restic = run.proven.restic.max(Some(proof.says.proven));
        }
        run.proofs.push(proof);
    }
}

/// The proofs that nobody needs any more: of a run of which not one snapshot is left, and those that a newer one replaces.
pub fn stale(proofs: &[Proof], snapshots: &[Snapshot]) -> Vec<Proof> {
    let runs: BTreeSet<(&str, &str)> = snapshots
        .iter()
        .filter_map(|one| one.tags.as_ref())
        .map(|tags| (tags.run.as_str(), tags.app.as_str()))
        .collect();
    let is_gone = |proof: &Proof| !runs.contains(&(proof.says.run.as_str(), proof.says.app.as_str()));
    // What a newer one says of other snapshots of the run is another matter.
    let mut newest: BTreeMap<(&str, &str, &[String]), (Timestamp, &str)> = BTreeMap::new();
    fn about(one: &Statement) -> (&str, &str, &[String]) {
        (&one.run, &one.app, &one.snapshots)
    }
    for proof in proofs {
        let this = (proof.says.proven, proof.id.as_str());
        newest.entry(about(&proof.says)).and_modify(|newest| *newest = this.max(*newest)).or_insert(this);
    }
    let is_replaced = |proof: &Proof| {
        newest.get(&about(&proof.says)).is_some_and(|newest| *newest > (proof.says.proven, proof.id.as_str()))
    };
    proofs.iter().filter(|proof| is_gone(proof) || is_replaced(proof)).cloned().collect()
}

/// Remembers a proof in the first of the run's repositories that takes it. Older ones of the run stay until the next retention: to
/// remove one, restic would keep everybody else out for a moment, and a backup that comes then would fail because of a drill.
///
/// # Errors
/// When none takes it, or a snapshot that was proven is gone meanwhile.
pub async fn remember(places: &ResticPlaces, settings: &Settings, proven: &Statement, evidence: &[u8]) -> Result<()> {
    let here = snapshots::snapshots(places, settings).await?;
    let is_proven = |one: &&Snapshot| proven.snapshots.iter().any(|id| id == one.short());
    let of_run: Vec<&Snapshot> = here.iter().filter(is_proven).collect();
    if of_run.len() < proven.snapshots.len() {
        bail!(Failure::new(format!("run {} is no longer whole: snapshots were removed meanwhile", proven.run)));
    }
    let holds = |place: Place| of_run.iter().any(|one| one.place == place);
    let mut refused = None;
    for (_, repository) in places.each().filter(|(place, _)| holds(*place)) {
        let address = repository.address();
        match save_in_time(repository, proven, evidence, settings.lock_wait + PATIENCE).await {
            Ok(()) => {
                tracing::info!("the proof of run {} is kept in {address}", proven.run);
                return Ok(());
            }
            Err(error) => {
                if let Some(earlier) = refused.replace(error.context(format!("{address} does not take it"))) {
                    tracing::warn!("{earlier:#}");
                }
            }
        }
    }
    Err(refused.unwrap_or_else(|| anyhow::anyhow!("there is no repository of run {}", proven.run)))
}

/// Waits for a prune, which takes a moment, even where runs do not wait for each other. And not for long: restic tries a store that
/// refuses for a quarter of an hour, and what the drill has shown is shown.
async fn save_in_time(repository: &Repository, proven: &Statement, evidence: &[u8], limit: Duration) -> Result<()> {
    let mut locked = None;
    let saving = async {
        loop {
            match save(repository, proven, evidence).await {
                Err(error) if exit_of(&error) == Exit::Locked => locked = Some(error),
                done => return done,
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    match tokio::time::timeout(limit, saving).await {
        Ok(done) => done,
        Err(_) => Err(locked.unwrap_or_else(|| anyhow::anyhow!("no answer within {} s", limit.as_secs()))),
    }
}

async fn save(repository: &Repository, proven: &Statement, evidence: &[u8]) -> Result<()> {
    let time = Some(Timestamp::UNIX_EPOCH);
    let saving = Saving { host: PROOF.to_owned(), tags: proven.tags(), time, parent: Parent::None };
    let mut stream = repository.save_stream(&saving, FILE)?;
    stream.write(evidence).await?;
    stream.commit().await?;
    Ok(())
}

/// Removes proofs. Their few bytes stay until something is pruned.
///
/// # Errors
/// When a repository does not let go of them.
pub async fn remove(places: &ResticPlaces, proofs: impl IntoIterator<Item = &Proof>) -> Result<()> {
    let mut ids: BTreeMap<Place, Vec<String>> = BTreeMap::new();
    for proof in proofs {
        ids.entry(proof.place).or_default().push(proof.id.clone());
    }
    for (place, ids) in ids {
        if let Some(repository) = places.at(place) {
            repository.forget(&ids).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::catalog::joined;
    use crate::commands::catalog::tags::Tags;
    use crate::sources::Item;

    const RUN: &str = "20261121T231004Z-7f3a9c";

    fn proven() -> Timestamp {
        "2026-11-22T06:00:00Z".parse().unwrap()
    }

    fn snapshot(id: &str, item: Item) -> Snapshot {
        let plan = vec![Item::Roles, Item::Database("shop".into()), Item::Files("/media".into())];
        let tags = Tags {
            run: RUN.into(),
            app: "shop, of all".into(),
            item: item.clone(),
            plan,
            safety: false,
            guarded: false,
        };
        Snapshot {
            id: format!("{id}99999999"),
            time: proven(),
            host: "shop".into(),
            place: Place::All,
            item,
            file: None,
            app: Some(tags.app.clone()),
            tags: Some(tags),
            bytes: None,
            files: None,
        }
    }

    fn whole() -> Vec<Snapshot> {
        let database = || Item::Database("shop".into());
        vec![
            snapshot("aaaaaaaa", Item::Roles),
            snapshot("bbbbbbbb", database()),
            snapshot("cccccccc", Item::Files("/media".into())),
        ]
    }

    fn proof(id: &str, says: Statement) -> Proof {
        Proof { place: Place::Files, id: id.into(), says }
    }

    fn counts(snapshots: Vec<Snapshot>) -> bool {
        let says = Statement::of(&whole(), proven()).unwrap();
        let mut all = joined(vec![], snapshots);
        mark(&mut all, vec![proof("0", says)]);
        assert_eq!(all[0].proofs.len(), 1, "it goes with its run, whether it counts or not");
        all[0].proven.newest() == Some(proven())
    }

    #[test]
    fn what_is_written_is_read_and_rubbish_is_none() {
        let says = Statement::of(&whole(), proven()).unwrap();
        assert_eq!(says.snapshots, ["aaaaaaaa", "bbbbbbbb", "cccccccc"]);
        assert!(says.tags().iter().all(|tag| !tag.contains([',', ' '])), "{:?}", says.tags());
        assert_eq!(Statement::read(&says.tags()), Some(says.clone()));
        for lacking in 0..says.tags().len() {
            let mut tags = says.tags();
            tags.remove(lacking);
            assert_eq!(Statement::read(&tags), None, "without {}", says.tags()[lacking]);
        }
    }

    #[test]
    fn snapshots_without_a_run_or_of_two_runs_have_no_proof() {
        let mut all = whole();
        all[1].tags.as_mut().unwrap().run = "another".into();
        assert_eq!(Statement::of(&all, proven()), None);
        all[1].tags = None;
        assert_eq!(Statement::of(&all, proven()), None);
        assert_eq!(Statement::of(&[], proven()), None);
    }

    #[test]
    fn a_proof_counts_while_all_that_was_proven_is_there_and_nothing_else_is() {
        assert!(counts(whole()));
        for gone in 0..3 {
            let mut left = whole();
            left.remove(gone);
            assert!(!counts(left), "without {gone}");
        }
        let mut copied = whole();
        copied.push(snapshot("dddddddd", Item::Roles));
        assert!(counts(copied.clone()), "a copy beside it takes nothing away");
        copied.remove(0);
        assert!(!counts(copied), "nobody has read the copy");
        let mut more = whole();
        more.push(snapshot("eeeeeeee", Item::Database("more".into())));
        assert!(!counts(more), "a part that was not tried");
    }

    #[test]
    fn a_proof_without_any_snapshot_of_its_run_is_stale_and_so_is_one_that_a_newer_one_replaces() {
        let says = Statement::of(&whole(), proven()).unwrap();
        let of_run = proof("0", says.clone());
        let of_none = proof("1", Statement { run: "20200101T000000Z-000000".into(), ..says.clone() });
        let of_other = proof("2", Statement { app: "other".into(), ..says.clone() });
        let all = [of_run.clone(), of_none.clone(), of_other.clone()];
        assert_eq!(stale(&all, &whole()[..1]), [of_none, of_other]);

        let later = proven() + jiff::SignedDuration::from_hours(1);
        let newer = proof("3", Statement { proven: later, ..says.clone() });
        let same_time = proof("4", says.clone());
        let of_less = proof("5", Statement { proven: later, snapshots: vec!["aaaaaaaa".into()], ..says });
        let stale = |two: [&Proof; 2]| -> Vec<String> {
            stale(&two.map(Clone::clone), &whole()).into_iter().map(|one| one.id).collect()
        };
        assert_eq!(stale([&newer, &of_run]), ["0"]);
        assert_eq!(stale([&of_run, &same_time]), ["0"], "just one of them stays");
        assert_eq!(stale([&of_run, &of_less]), [""; 0], "that one may not count");
    }
}
