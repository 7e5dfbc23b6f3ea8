//! Which act is the last, and when it is not whole any more.

use super::*;

const FIRST: &str = "20261121T100000Z-aaaaaa";
const SECOND: &str = "20261121T110000Z-bbbbbb";

fn place(name: &str, had: bool, oid: Option<u32>) -> Place {
    Place { name: name.to_owned(), had, oid }
}

fn act(number: u64, databases: &[Place], files: &[&str]) -> Option<Act> {
    let files = files.iter().map(|root| (*root).to_owned()).collect();
    Some(Act { number, databases: databases.to_vec(), files, ..Act::default() })
}

fn live(oid: u32, name: &str) -> Database {
    Database { oid, name: name.to_owned(), connectable: true, comment: None, bytes: None }
}

fn copy(oid: u32, name: &str, run: &str, app: &str, act: Option<Act>) -> Database {
    let journal = Journal {
        state: State::Replaced,
        app: app.to_owned(),
        run: run.to_owned(),
        database: name.to_owned(),
        comment: None,
        act,
    };
    Database { comment: Some(journal.comment_text()), ..live(oid, &side::replaced_name(name, run)) }
}

fn aside(by: &str, act: Option<Act>) -> Aside {
    Aside { run: FIRST.to_owned(), by: by.to_owned(), act, is_rubbish: false }
}

fn seen(databases: Vec<Database>, roots: Vec<(&str, Vec<Aside>)>) -> Seen {
    let roots = roots.into_iter().map(|(root, asides)| (PathBuf::from(root), asides)).collect();
    Seen { databases: Some(databases), roots }
}

fn last(seen: &Seen) -> Last {
    seen.last("shop").unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn the_number_tells_the_last_act_whatever_the_clock_said() {
    let (early, late) = (act(2, &[place("shop", true, Some(1))], &[]), act(1, &[place("crm", true, Some(2))], &[]));
    let there = vec![
        live(1, "shop"),
        live(2, "crm"),
        copy(3, "shop", FIRST, "shop", early),
        copy(4, "crm", SECOND, "shop", late),
    ];
    let last = last(&seen(there, vec![]));
    assert_eq!((last.run.as_str(), last.next, last.turns.len()), (FIRST, 3, 1));
    assert!(last.faults.is_empty());
}

#[test]
fn copies_of_before_have_no_number_and_go_by_their_time() {
    let there = vec![live(1, "shop"), copy(3, "shop", FIRST, "shop", None), copy(4, "shop", SECOND, "shop", None)];
    let last = last(&seen(there, vec![("/files", vec![aside(FIRST, None)])]));
    assert_eq!((last.run.as_str(), last.roots.len(), last.next), (SECOND, 0, 1));
}

#[test]
fn an_undo_takes_all_of_the_act_and_nothing_of_others() {
    let did = act(1, &[place("shop", true, Some(1)), place("new", false, Some(2))], &["/files"]);
    let there = vec![
        live(1, "shop"),
        live(2, "new"),
        live(9, "other"),
        copy(3, "shop", SECOND, "shop", did.clone()),
        copy(4, "other", SECOND, "another", None),
    ];
    let last = last(&seen(there, vec![("/files", vec![aside(SECOND, did)]), ("/more", vec![])]));
    let turns: Vec<_> =
        last.turns.iter().map(|turn| (turn.name.as_str(), turn.live.is_some(), turn.copy.is_some())).collect();
    assert_eq!(turns, [("shop", true, true), ("new", true, false)]);
    assert_eq!(last.roots, [(PathBuf::from("/files"), FIRST.to_owned())]);
    assert!(last.faults.is_empty(), "{:?}", last.faults);
}

#[test]
fn what_is_missing_or_not_its_own_is_said_by_name() {
    let did =
        act(1, &[place("shop", true, Some(1)), place("crm", true, Some(2)), place("hr", true, Some(5))], &["/a", "/b"]);
    let mut renamed = copy(4, "hr", FIRST, "shop", did.clone());
    renamed.name = "hr_old".to_owned();
    let there =
        vec![live(8, "shop"), live(2, "crm"), live(5, "hr"), copy(3, "shop", FIRST, "shop", did.clone()), renamed];
    let last = last(&seen(there, vec![("/a", vec![aside(FIRST, did)])]));
    let said = last.faults.join("\n");
    for part in
        ["shop is not the one that run", "the database crm from before", "is called hr_old by now", "replaced in /b"]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert_eq!(last.faults.len(), 4, "{said}");
    assert_eq!(last.there(), [side::replaced_name("shop", FIRST), format!("/a/.bkp-{FIRST}")]);
}

#[test]
fn files_that_went_with_databases_do_not_go_back_without_them() {
    let did = act(1, &[place("shop", true, Some(1))], &["/a"]);
    let without = Seen { databases: None, ..seen(vec![], vec![("/a", vec![aside(FIRST, did)])]) };
    let last = last(&without);
    assert!(last.faults.len() == 1 && last.faults[0].contains("no server is set"), "{:?}", last.faults);
}

#[test]
fn a_restore_in_place_since_is_never_passed_over_for_an_older_act() {
    let since = |number| Since { run: SECOND.to_owned(), number, transaction: 7, safety: Some("saved".to_owned()) };
    let marked = |act: Option<Act>, number| act.map(|act| Act { since: Some(since(number)), ..act });
    let did = act(1, &[place("shop", true, Some(1))], &[]);
    for there in [
        seen(vec![live(1, "shop"), copy(3, "shop", FIRST, "shop", marked(did.clone(), 2))], vec![]),
        seen(vec![], vec![("/a", vec![aside(FIRST, marked(act(1, &[], &["/a"]), 2))])]),
    ] {
        let error = anyhow::Error::from(there.last("shop").unwrap_err());
        assert!(error.to_string().contains("was in place"), "{error}");
        let hints = crate::error::hints_of(&error).join("");
        assert!(hints.contains("bkp restore saved") && hints.contains(FIRST), "{hints}");
        assert_eq!(there.next_number("shop"), 3);
    }
    // What came after it is the last again.
    let (older, newer) = (marked(did.clone(), 2), act(3, &[place("shop", true, Some(1))], &[]));
    let copies = vec![live(1, "shop"), copy(3, "shop", SECOND, "shop", older), copy(4, "shop", FIRST, "shop", newer)];
    assert_eq!(last(&seen(copies, vec![])).run, FIRST);
}

#[test]
fn what_was_loaded_in_place_with_files_is_told_with_its_safety_backup() {
    let did = act(1, &[place("shop", true, Some(1))], &["/a"]);
    let did = did.map(|act| Act { transaction: Some(7), safety: Some("saved".to_owned()), ..act });
    let last = last(&seen(vec![live(1, "shop")], vec![("/a", vec![aside(FIRST, did)])]));
    assert!(last.faults.len() == 1 && last.faults[0].contains("in place"), "{:?}", last.faults);
    assert!(last.faults[0].contains("bkp restore saved"), "{:?}", last.faults);
}

#[test]
fn a_live_database_that_is_gone_is_no_hindrance() {
    let did = act(1, &[place("shop", true, Some(1))], &[]);
    let last = last(&seen(vec![copy(3, "shop", FIRST, "shop", did)], vec![]));
    assert!(last.faults.is_empty() && last.turns[0].live.is_none() && last.turns[0].copy.is_some());
}

#[test]
fn where_nothing_is_left_it_says_what_is() {
    let mut renamed = copy(4, "shop", FIRST, "shop", None);
    renamed.name = "shop".to_owned();
    let rubbish = Aside { is_rubbish: true, ..aside(FIRST, None) };
    let there = seen(vec![renamed, copy(3, "crm", FIRST, "crm", None)], vec![("/a", vec![rubbish])]);
    let error = anyhow::Error::from(there.last("shop").unwrap_err());
    let hints = crate::error::hints_of(&error).join("");
    assert!(hints.contains(&format!("shop is the shop from before run {FIRST}")), "{hints}");
    assert!(hints.contains("other applications are there: crm"), "{hints}");
}

#[test]
fn a_copy_without_a_successor_goes_when_the_rest_of_its_act_is_saved() {
    let did = act(1, &[place("shop", true, Some(1)), place("new", true, None)], &[]);
    let of = |name: &str| copy(3, name, FIRST, "shop", did.clone()).journal().unwrap();
    let saved = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (name, names, is_done) in [
        ("shop", vec!["shop"], true),
        ("shop", vec!["new"], false),
        ("new", vec!["shop"], true),
        ("new", vec!["new"], false),
    ] {
        assert_eq!(super::super::succeeded(&of(name), &saved(&names)), is_done, "{name} {names:?}");
    }
}
