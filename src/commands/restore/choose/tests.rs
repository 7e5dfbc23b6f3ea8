//! What is chosen, from buckets and repositories that hold this and that.

use super::*;
use crate::commands::catalog::tags::Tags;
use crate::commands::catalog::{Kept, joined};
use crate::commands::repositories::Place;
use crate::sources::postgres::seal::Seal;

fn dump(name: &str, time: &str, sealed: Option<(&str, &str)>) -> Dump {
    let seal = sealed.map_or(SealState::Unsealed, |(run, app)| {
        let seal = Seal {
            format: 1,
            run: run.into(),
            app: app.into(),
            server: String::new(),
            client: String::new(),
            databases: BTreeMap::new(),
            skipped: vec![],
            files: vec![],
            safety: false,
            database_bytes: [].into(),
            measure: None,
            bytes: 0,
            digest: String::new(),
            stored: None,
        };
        SealState::Sealed(Box::new(Kept::of(seal)))
    });
    Dump { name: format!("db/{name}"), bytes: 1, time: time.parse().unwrap(), version: None, seal }
}

fn bucket() -> Vec<Dump> {
    vec![
        dump("e", "2026-11-21T12:00:00Z", None),
        dump("d", "2026-11-21T06:00:00Z", Some(("20261121T060000Z-aaaaaa", "shop"))),
        dump("c", "2026-11-20T23:10:00Z", Some(("20261120T231000Z-bbbbbb", "shop"))),
        dump("b", "2026-11-20T23:00:00Z", Some(("20261120T230000Z-cccccc", "other"))),
        dump("a", "2026-11-20T06:00:00Z", Some(("20261120T060000Z-dddddd", "shop"))),
    ]
}

fn now() -> Timestamp {
    "2026-11-21T13:00:00Z".parse().unwrap()
}

fn chosen(when: &str) -> Option<String> {
    let wish = Wish { when, ..wish() };
    choose(&joined(bucket(), vec![]), &wish, "shop", now()).ok().map(|choice| choice.dump.unwrap().name)
}

fn shop() -> Item {
    Item::Database("shop".into())
}

/// A snapshot of ours when a run is named, else one of an older script.
fn snapshot(id: &str, time: &str, item: Item, run: Option<&str>) -> Snapshot {
    let plan = vec![Item::Roles, shop()];
    let tags = run.map(|run| Tags {
        run: run.into(),
        app: "shop".into(),
        item: item.clone(),
        plan,
        safety: false,
        guarded: false,
    });
    Snapshot {
        id: id.repeat(8),
        time: time.parse().unwrap(),
        host: format!("pod-{id}"),
        place: Place::All,
        item,
        file: Some("/stdin".into()),
        app: tags.as_ref().map(|tags| tags.app.clone()),
        tags,
        bytes: None,
        files: None,
    }
}

fn restic() -> Vec<Snapshot> {
    let (whole, half) = (Some("20261120T231000Z-bbbbbb"), Some("20261121T060000Z-eeeeee"));
    vec![
        snapshot("aa", "2026-11-18T23:10:00Z", Item::Roles, None),
        snapshot("ab", "2026-11-18T23:11:00Z", shop(), None),
        snapshot("ac", "2026-11-19T23:10:00Z", Item::Roles, None),
        snapshot("ad", "2026-11-20T23:10:00Z", Item::Roles, whole),
        snapshot("ae", "2026-11-20T23:11:00Z", shop(), whole),
        snapshot("af", "2026-11-21T06:00:00Z", Item::Roles, half),
    ]
}

fn ids(dumps: Vec<Dump>, snapshots: Vec<Snapshot>, wish: &Wish<'_>) -> Option<(bool, Vec<String>)> {
    let choice = choose(&joined(dumps, snapshots), wish, "shop", now()).ok()?;
    let mut ids: Vec<String> = choice.snapshots.iter().map(|snapshot| snapshot.id[..2].to_owned()).collect();
    ids.sort();
    Some((choice.dump.is_some(), ids))
}

fn wish() -> Wish<'static> {
    static NONE: Shrunk = Shrunk::new();
    Wish {
        when: "latest",
        instead: &[],
        incomplete: false,
        other_app: false,
        kinds: Kinds::ALL,
        shrunk: &NONE,
        if_shrunk: IfShrunk::Refuse,
    }
}

fn found(when: &str) -> Option<Vec<String>> {
    ids(vec![], restic(), &Wish { when, ..wish() }).map(|(_, ids)| ids)
}

#[test]
fn latest_is_the_newest_run_that_lacks_nothing() {
    assert_eq!(found("latest").unwrap(), ["ad", "ae"]);
    assert_eq!(found("20261121T060000Z-eeeeee"), None);
    let wish = Wish { when: "20261121T060000Z-eeeeee", incomplete: true, ..wish() };
    assert_eq!(ids(vec![], restic(), &wish).unwrap().1, ["af"]);
}

#[test]
fn a_run_of_another_kind_is_passed_over_unless_it_is_named() {
    let run = "20261121T070000Z-ffffff";
    let mut saved = restic();
    saved.push(snapshot("fa", "2026-11-21T07:00:00Z", Item::Files("/media/shop".into()), Some(run)));
    if let Some(tags) = &mut saved.last_mut().unwrap().tags {
        tags.plan = vec![Item::Files("/media/shop".into())];
    }
    let (files, databases) = (Kinds { databases: false, ..Kinds::ALL }, Kinds { files: false, ..Kinds::ALL });
    let taken = |when, kinds| ids(vec![], saved.clone(), &Wish { when, kinds, ..wish() }).map(|(_, ids)| ids);
    assert_eq!(taken("latest", files).unwrap(), ["fa"]);
    assert_eq!(taken("latest", databases).unwrap(), ["ad", "ae"]);
    assert_eq!(taken("2026-11-21", databases), None);
    assert_eq!(taken(run, databases).unwrap(), ["fa"]);
    assert_eq!(taken("2026-11-20", files), None);
}

#[test]
fn of_older_scripts_the_newest_of_each_item_is_taken_whatever_pod_it_came_from() {
    assert_eq!(found("2026-11-20 00:00").unwrap(), ["ab", "ac"]);
    assert_eq!(found("2026-11-19 00:00").unwrap(), ["aa", "ab"]);
    assert_eq!(found("abab").unwrap(), ["ab"], "a snapshot that is named stands alone");
}

#[test]
fn a_snapshot_takes_the_place_of_the_chosen_one_of_its_item() {
    let instead = ["aaaaaaaa".to_owned()];
    let wish = Wish { when: "latest", instead: &instead, ..wish() };
    assert_eq!(ids(vec![], restic(), &wish).unwrap().1, ["aa", "ae"]);
    let wish = Wish { instead: &["ffff".to_owned()], ..wish };
    assert_eq!(ids(vec![], restic(), &wish), None);
}

#[test]
fn a_whole_dump_that_is_asked_for_takes_the_place_of_the_databases() {
    let mut saved = restic();
    saved.push(snapshot("ca", "2026-11-17T23:10:00Z", Item::Dump, None));
    let wish = Wish { instead: &["cacacaca".to_owned()], ..wish() };
    assert_eq!(ids(vec![], saved.clone(), &wish).unwrap().1, ["ad", "ca"]);
    saved.last_mut().unwrap().app = Some("other".into());
    assert_eq!(ids(vec![], saved.clone(), &wish), None, "another application's");
    assert!(ids(vec![], saved, &Wish { other_app: true, ..wish }).is_some());
}

#[test]
fn a_dump_whose_files_were_never_saved_is_not_the_latest() {
    let mut dumps = bucket();
    let seal = Seal { files: vec!["/media/shop".into()], ..dumps[1].seal().unwrap().clone() };
    dumps[1].seal = SealState::Sealed(Box::new(Kept::of(seal)));
    let taken = |wish| ids(dumps.clone(), vec![], &wish).map(|(dump, _)| dump);
    let choice = choose(&joined(dumps.clone(), vec![]), &wish(), "shop", now()).unwrap();
    assert_eq!(choice.dump.unwrap().name, "db/c");
    assert_eq!(taken(Wish { when: "d", ..wish() }), None);
    assert_eq!(taken(Wish { when: "d", incomplete: true, ..wish() }), Some(true));
}

#[test]
fn of_an_item_that_was_saved_twice_the_newest_counts_and_the_others_go_with_the_run() {
    let mut twice = restic();
    twice.push(snapshot("da", "2026-11-20T23:09:00Z", Item::Roles, Some("20261120T231000Z-bbbbbb")));
    assert_eq!(ids(vec![], twice.clone(), &wish()).unwrap().1, ["ad", "ae"]);
    let run = joined(vec![], twice).into_iter().find(|one| one.name.ends_with("bbbbbb")).unwrap();
    assert_eq!(run.copies[0].id, "dadadadadadadada");
}

#[test]
fn a_run_that_lies_in_both_is_one_and_the_dump_stands_in_for_what_restic_lacks() {
    let dumps = || vec![dump("x", "2026-11-21T06:00:00Z", Some(("20261121T060000Z-eeeeee", "shop")))];
    let latest = Wish { when: "latest", ..wish() };
    assert_eq!(ids(dumps(), restic(), &latest).unwrap(), (true, vec![]));
    let mut both = restic();
    both.push(snapshot("ba", "2026-11-21T06:01:00Z", shop(), Some("20261121T060000Z-eeeeee")));
    assert_eq!(ids(dumps(), both, &latest).unwrap(), (false, vec!["af".into(), "ba".into()]));
}

#[test]
fn latest_is_the_newest_sealed_dump_of_this_application() {
    assert_eq!(chosen("latest").as_deref(), Some("db/d"));
}

#[test]
fn names_runs_days_times_and_ages_choose_one() {
    for (when, name) in [
        ("db/a", "db/a"),
        ("a", "db/a"),
        ("20261120T231000Z-bbbbbb", "db/c"),
        ("20261120T2310", "db/c"),
        ("2026-11-20", "db/c"),
        ("2026-11-20 13:00", "db/a"),
        ("2026-11-21T05:00:00Z", "db/c"),
        ("2h ago", "db/d"),
        ("1d ago", "db/a"),
    ] {
        assert_eq!(chosen(when).as_deref(), Some(name), "{when}");
    }
}

#[test]
fn what_fits_nothing_or_several_is_an_error() {
    for when in ["2026-11-19", "nonsense", "9d ago", "20261120", "2026-01-01 00:00", ""] {
        assert_eq!(chosen(when), None, "{when}");
    }
}

/// The newest sealed dump of [`bucket`] shrank.
fn emptied() -> Shrunk {
    [("20261121T060000Z-aaaaaa".to_owned(), vec!["database shop has no rows, and had 9".to_owned()])].into()
}

#[test]
fn what_shrank_is_taken_only_when_it_is_called_by_its_name() {
    // Without the newer one that has no seal, which a day or a time would mean.
    let (saved, shrunk) = (joined(bucket().split_off(1), vec![]), emptied());
    for when in ["latest", "2026-11-21", "2026-11-21 12:00", "1h ago"] {
        let refused = choose(&saved, &Wish { when, shrunk: &shrunk, ..wish() }, "shop", now()).unwrap_err();
        assert!(refused.to_string().contains("database shop has no rows, and had 9"), "{when}: {refused}");
        let hints = crate::error::hints_of(&refused).join("; ");
        // Not the one between, which is another application's.
        assert!(hints.contains("bkp restore 20261120T231000Z-bbbbbb"), "{when}: {hints}");
        assert!(hints.contains("bkp restore 20261121T060000Z-aaaaaa"), "{when}: {hints}");
    }
    for when in ["20261121T060000Z-aaaaaa", "20261121T06", "db/d", "d"] {
        let choice = choose(&saved, &Wish { when, shrunk: &shrunk, ..wish() }, "shop", now()).unwrap();
        assert_eq!((choice.dump.unwrap().name.as_str(), choice.shrunk.len()), ("db/d", 1), "{when}");
    }
    let before = choose(&saved, &Wish { when: "2026-11-20", shrunk: &shrunk, ..wish() }, "shop", now()).unwrap();
    assert!(before.shrunk.is_empty());
    let tried = Wish { if_shrunk: IfShrunk::Tell, shrunk: &shrunk, ..wish() };
    assert_eq!(choose(&saved, &tried, "shop", now()).unwrap().shrunk.len(), 1);
}

#[test]
fn snapshots_that_are_named_in_the_place_of_all_of_what_shrank_are_taken() {
    let saved = joined(vec![], restic());
    let run = saved.iter().find(|one| one.snapshots.len() == 2).and_then(|one| one.run.clone()).unwrap();
    let shrunk: Shrunk = [(run, vec!["database shop has 1 B, and had 1.0 GB".to_owned()])].into();
    let with = |instead: &[&str]| {
        let instead: Vec<String> = instead.iter().map(|id| saved_id(&saved, id)).collect();
        choose(&saved, &Wish { instead: &instead, shrunk: &shrunk, ..wish() }, "shop", now())
    };
    assert!(with(&[]).is_err());
    assert!(with(&["ab"]).is_err(), "the roles are still those of the run that shrank");
    assert!(with(&["ab", "aa"]).unwrap().shrunk.is_empty());
    assert_eq!(with(&["ae", "aa"]).unwrap().shrunk.len(), 1, "named, and told all the same");
}

fn saved_id(saved: &[Saved], begin: &str) -> String {
    let all = saved.iter().flat_map(|one| &one.snapshots);
    all.map(|one| one.id.clone()).find(|id| id.starts_with(begin)).unwrap()
}
