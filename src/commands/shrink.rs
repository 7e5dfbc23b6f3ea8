//! Whether what was saved is much smaller than before: a table that was emptied by mistake, a volume that lost half of itself, a database that
//! is gone. The backup is stored and sealed, since it may be all that there is; but the run fails, and nothing old is forgotten for it.
//!
//! What was smaller than it may be never becomes the measure of what comes after it; only who says so makes it that
//! (`bkp backup --allow-shrink`). A dump in a bucket bears its measure in its seal. Of restic's snapshots one list tells all sizes, and a tag
//! ([`Tags::guarded`]) those that were held against the ones before them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::backup::Saved as Run;
use super::backup::parts::Kept;
use super::catalog::tags::Tags;
use super::catalog::{self, Saved, Snapshot, dumps, snapshots};
use super::repositories::{Place, Repositories};
use super::when::of_the_future;
use super::{Context, Run as Id, now};
use crate::error::Failure;
use crate::report::size;
use crate::repository::bucket::layout;
use crate::repository::bucket::store::{Object, Store};
use crate::settings::Settings;
use crate::sources::Item;
use crate::sources::postgres::seal::{Measure, Summary, shrank};

/// How many of the newest dumps are looked at for one of this application: several may share a bucket.
const LOOKED_AT: usize = 20;

/// Fewer files than this come and go.
const NOTICED_FILES: u64 = 20;

/// Less than this comes and goes.
const NOTICED_BYTES: u64 = 64 << 10;

/// What the seals in a bucket say of the runs before; nothing where there is none yet.
#[derive(Debug, Default)]
pub struct Last {
    /// What the next dump is held against.
    pub measure: Option<Measure>,
    /// The newest seal of this application.
    pub seal: Option<Summary>,
}

/// What the next dump in a bucket is held against, by the newest one of this application. `objects` are those of the bucket. Only a measure
/// is at stake: what cannot be read is a warning.
pub async fn last(store: &Store, objects: Vec<Object>, app: &str, percent: u8) -> Last {
    let mut dumps: Vec<Object> = objects.into_iter().filter(|object| layout::time_of(&object.name).is_some()).collect();
    dumps.sort_by(|a, b| {
        (layout::time_of(&b.name), layout::taken(&b.name)).cmp(&(layout::time_of(&a.name), layout::taken(&a.name)))
    });
    let Some(newest) = dumps.first().cloned() else { return Last::default() };
    let (mut last, mut told) = (Last::default(), None);
    let ahead = layout::time_of(&newest.name).and_then(|time| of_the_future(&newest.name, time, now()));
    if let Some(ahead) = ahead {
        tracing::warn!("{ahead}");
    }
    for object in dumps.into_iter().take(LOOKED_AT) {
        match dumps::summary(store, &object).await {
            Ok(Some(seal)) if seal.app == app && !seal.safety => {
                if let Some(measure) = seal.next_measure(percent) {
                    last.measure = Some(measure);
                    last.seal.get_or_insert(seal);
                    return last;
                }
                last.seal.get_or_insert(seal);
                told.get_or_insert_with(|| format!("{} was held against nothing either", object.name));
            }
            Ok(_) => {}
            // What may not be read will not be readable twenty times.
            Err(error) => {
                told = Some(format!("{error:#}"));
                break;
            }
        }
    }
    let Some(why) = told else { return last };
    tracing::warn!(
        "whether this backup is much smaller than before cannot be told, because the seals before it cannot be read: {why}; the newest object there has {}",
        size(newest.bytes)
    );
    last.measure = Some(Measure::unknown());
    last
}

/// What of a run is smaller than it may be. What cannot be learned is a warning: the run is saved.
pub async fn of_run(context: &Context, repositories: &Repositories, run: &Id, saved: &Run) -> Vec<String> {
    let Some(percent) = context.settings.shrink_limit else { return Vec::new() };
    let mut told = Vec::new();
    if let Some((_, seal)) = &saved.object {
        told.extend(Summary::from(seal).shrunk(percent));
    }
    match context.stop.or_soon(in_restic(repositories, &context.settings, run, saved)).await {
        Ok(all) => {
            warn_of_future(&all, &context.settings.app);
            let small = too_small(all.iter(), &context.settings.app, percent);
            told.extend(small.into_iter().filter(|(of, _)| *of == run.id).map(|(_, what)| what));
        }
        Err(error) => tracing::warn!("whether this backup is much smaller than before cannot be told: {error:#}"),
    }
    told
}

/// Whether it is held against a run that says a time that has not come yet.
fn warn_of_future(all: &[Snapshot], app: &str) {
    let newest = all.iter().filter(|one| one.app.as_deref().is_none_or(|its| its == app)).max_by_key(|one| one.time);
    if let Some(ahead) = newest.and_then(|one| of_the_future(&format!("snapshot {}", one.short()), one.time, now())) {
        tracing::warn!("{ahead}");
    }
}

/// What was in restic before, and what this run has added.
async fn in_restic(repositories: &Repositories, settings: &Settings, run: &Id, saved: &Run) -> Result<Vec<Snapshot>> {
    let Some(places) = &repositories.restic else { return Ok(Vec::new()) };
    let (mut all, mut listed): (Vec<Snapshot>, BTreeSet<Place>) = Default::default();
    for kept in saved.kept.iter().filter(|kept| kept.item != Item::Roles) {
        let Some((place, repository)) = places.for_item(&kept.item) else { continue };
        // Each call of restic takes half a second: the directories' repository was listed when they were saved.
        let of_files = saved.kept.iter().any(|kept| {
            matches!(kept.item, Item::Files(_)) && places.for_item(&kept.item).is_some_and(|(at, _)| at == place)
        });
        match saved.before.as_ref().filter(|_| of_files) {
            _ if !listed.insert(place) => {}
            Some(before) => all.extend(snapshots::of_place(before, place, settings)),
            None => {
                let now = places.list(place, repository).await?;
                all.extend(snapshots::of_place(&now, place, settings));
                // Retention wants the same list next.
                places.keep_list(place, now);
            }
        }
    }
    all.retain(|one| one.tags.as_ref().is_none_or(|tags| tags.run != run.id));
    all.extend(saved.kept.iter().map(|kept| of_kept(kept, settings, run)));
    Ok(all)
}

/// What this run has saved, as a list would tell it.
fn of_kept(kept: &Kept, settings: &Settings, run: &Id) -> Snapshot {
    let (item, app) = (kept.item.clone(), settings.app.clone());
    Snapshot {
        id: kept.snapshot.clone(),
        time: now(),
        host: String::new(),
        place: Place::All,
        item: item.clone(),
        file: None,
        tags: Some(Tags {
            run: run.id.clone(),
            app: app.clone(),
            item,
            plan: Vec::new(),
            safety: false,
            guarded: true,
        }),
        app: Some(app),
        bytes: Some(kept.bytes),
        files: Some(kept.files),
    }
}

/// Runs that are smaller than they may be, each with what of it is, as parts of a sentence.
pub type Shrunk = BTreeMap<String, Vec<String>>;

/// Runs that are smaller than they may be. Nothing where nobody wants to be told.
pub fn shrunk(saved: &[Saved], settings: &Settings) -> Shrunk {
    let mut told = Shrunk::new();
    let Some(percent) = settings.shrink_limit else { return told };
    for one in saved {
        if let (Some(run), Some(seal)) = (&one.run, one.dump.as_ref().and_then(catalog::Dump::summary)) {
            let less = seal.shrunk(percent);
            if !less.is_empty() {
                told.entry(run.clone()).or_default().extend(less);
            }
        }
    }
    let in_restic = saved.iter().flat_map(|one| one.snapshots.iter().chain(&one.copies));
    for (run, less) in too_small(in_restic, &settings.app, percent) {
        let of_run = told.entry(run).or_default();
        // A copy of a snapshot says the same again.
        if !of_run.contains(&less) {
            of_run.push(less);
        }
    }
    told
}

/// The runs of [`shrunk`] by their names. They take no place in the retention, so that nothing is forgotten for them.
pub fn suspects(saved: &[Saved], settings: &Settings) -> BTreeSet<String> {
    shrunk(saved, settings).into_keys().collect()
}

/// Each item by itself from its oldest snapshot to its newest: one that is not too small is the measure of those after it.
fn too_small<'a>(snapshots: impl Iterator<Item = &'a Snapshot>, app: &str, percent: u8) -> Vec<(String, String)> {
    let mut items: BTreeMap<&Item, Vec<&Snapshot>> = BTreeMap::new();
    let is_ours =
        |one: &&Snapshot| one.app.as_deref() == Some(app) && !one.tags.as_ref().is_some_and(|tags| tags.safety);
    for one in snapshots.filter(is_ours).filter(|one| matches!(one.item, Item::Files(_) | Item::Database(_))) {
        items.entry(&one.item).or_default().push(one);
    }
    let mut told = Vec::new();
    for (item, mut snapshots) in items {
        snapshots.sort_by_key(|one| one.time);
        let mut measure: Option<(u64, u64)> = None;
        for one in snapshots {
            // restic before 0.17 tells no sizes.
            let Some(bytes) = one.bytes else { continue };
            let now = (bytes, one.files.unwrap_or(0));
            let guarded = one.tags.as_ref().filter(|tags| tags.guarded);
            match (guarded, measure.and_then(|before| less(item, before, now, percent))) {
                (Some(tags), Some(what)) => told.push((tags.run.clone(), what)),
                _ => measure = Some(now),
            }
        }
    }
    told
}

/// What is less, as a part of a sentence.
fn less(item: &Item, before: (u64, u64), now: (u64, u64), percent: u8) -> Option<String> {
    let ((bytes_before, files_before), (bytes, files)) = (before, now);
    let is_tree = matches!(item, Item::Files(_));
    let fewer = shrank(files_before, files, percent) && (files_before >= NOTICED_FILES || files == 0);
    if is_tree && fewer {
        return Some(format!("{item} has {files} files, and had {files_before}"));
    }
    let is_less = shrank(bytes_before, bytes, percent) && bytes_before >= NOTICED_BYTES;
    is_less.then(|| format!("{item} has {}, and had {}", size(bytes), size(bytes_before)))
}

/// Why the run failed although it is stored.
pub fn failure(run: &Id, shrunk: &[String], percent: u8) -> Failure {
    Failure::new(format!(
        "the backup {} is stored and sealed, but it shrank by more than {percent} %: {}; nothing was forgotten or dropped for it",
        run.id,
        shrunk.join("; ")
    ))
    .hints([
        "if data is missing, restore an older one: bkp list".to_owned(),
        "if it is meant to be so small: bkp backup --allow-shrink, once; or another BKP_SHRINK_LIMIT (a part such as 80%, or off)".to_owned(),
    ])
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    fn night(number: i64, bytes: u64, files: u64, guarded: bool) -> Snapshot {
        let item = Item::Files("/media".into());
        let tags = Tags {
            run: number.to_string(),
            app: "shop".into(),
            item: item.clone(),
            plan: vec![item.clone()],
            safety: false,
            guarded,
        };
        Snapshot {
            id: number.to_string(),
            time: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * number),
            host: "shop".into(),
            place: Place::All,
            item,
            file: None,
            tags: Some(tags),
            app: Some("shop".into()),
            bytes: Some(bytes),
            files: Some(files),
        }
    }

    fn told(nights: &[Snapshot], percent: u8) -> Vec<String> {
        too_small(nights.iter(), "shop", percent).into_iter().map(|(run, _)| run).collect()
    }

    #[test]
    fn a_directory_that_lost_most_of_itself_is_too_small_every_night_until_it_is_allowed() {
        let mut nights: Vec<Snapshot> = [(1, 1000), (2, 900), (3, 300), (4, 300), (5, 310)]
            .map(|(number, files)| night(number, 1_000_000, files, true))
            .into();
        assert_eq!(told(&nights, 50), ["3", "4", "5"]);
        assert_eq!(told(&nights, 80), Vec::<String>::new());
        nights.push(night(6, 1_000_000, 300, false));
        nights.push(night(7, 1_000_000, 290, true));
        assert_eq!(told(&nights, 50), ["3", "4", "5"], "from the sixth on that is the measure");
    }

    #[test]
    fn files_that_became_much_smaller_are_told_and_little_ones_are_not() {
        assert_eq!(told(&[night(1, 9_000_000, 50, true), night(2, 9_000, 50, true)], 50), ["2"]);
        assert_eq!(told(&[night(1, 9_000, 5, true), night(2, 900, 1, true)], 50), Vec::<String>::new());
        assert_eq!(told(&[night(1, 9_000, 5, true), night(2, 0, 0, true)], 50), ["2"]);
        // What was saved before there was a guard is a measure, whatever was there before that.
        assert_eq!(
            told(&[night(1, 9_000_000, 50, false), night(2, 9_000, 1, false), night(3, 9_000, 1, true)], 50),
            Vec::<String>::new()
        );
    }
}
