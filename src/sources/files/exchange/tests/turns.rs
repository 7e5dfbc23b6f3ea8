//! Exchanges turned round as part of an act that is decided elsewhere.

use std::io;

use super::super::turn::{announce, asides, conclude, conclude_watched, turn as turn_round, turn_watched, undecided};
use super::deaths::{dying_everywhere, swapped};
use super::*;
use crate::sources::act::{Act, Rename};

fn act(number: u64) -> Act {
    Act { number, ..Act::default() }
}

fn undo_as(bench: &Bench, by: &str) {
    announce(&bench.root(), "r1", (by, &act(2)), &[], &keep()).unwrap();
    turn_round(&bench.root(), "r1").unwrap();
    conclude(&bench.root(), "r1", true).unwrap();
}

#[test]
fn it_goes_to_and_fro_with_what_was_made_and_removed_meanwhile() {
    let bench = swapped();
    let root = bench.root();
    write(&root.join("since"), "made since");
    write(&root.join("gone"), "made again");
    std::fs::remove_dir_all(root.join("fresh")).unwrap();
    write(&root.join("config/config.php"), "changed where it stays");
    let restored = bench.tree();

    undo_as(&bench, "u1");
    let mut expected = expected_old();
    expected.insert("config/config.php".into(), restored[Path::new("config/config.php")].clone());
    assert_eq!(bench.tree(), expected);
    let lies = asides(&root).unwrap();
    assert_eq!((lies.len(), lies[0].by.as_str(), lies[0].act.clone()), (1, "u1", Some(act(2))));
    assert!(!lies[0].is_rubbish);

    write(&root.join("later"), "made after the undo");
    let before = bench.tree();
    undo_as(&bench, "u2");
    assert_eq!(bench.tree(), restored);
    undo_as(&bench, "u3");
    assert_eq!(bench.tree(), before);
    drop_replaced(&root, "r1").unwrap();
    assert_eq!((bench.tree(), bench.own()), (before, vec![]));
}

#[test]
fn what_was_kept_stays_even_when_it_is_not_to_be_kept_any_more() {
    let bench = swapped();
    announce(&bench.root(), "r1", ("u1", &act(2)), &[], &[]).unwrap();
    turn_round(&bench.root(), "r1").unwrap();
    conclude(&bench.root(), "r1", true).unwrap();
    assert_eq!(bench.tree(), expected_old());
}

#[test]
fn what_is_undecided_is_neither_dropped_nor_restored_over() {
    let bench = swapped();
    let renames = [Rename { oid: 7, from: "a".into(), to: "b".into() }];
    announce(&bench.root(), "r1", ("u1", &act(2)), &renames, &keep()).unwrap();
    let left = undecided(&bench.root()).unwrap();
    assert_eq!((left[0].by.as_str(), left[0].renames.as_slice(), left[0].is_before), ("u1", &renames[..], true));
    turn_round(&bench.root(), "r1").unwrap();
    assert!(!undecided(&bench.root()).unwrap()[0].is_before);
    for refused in [drop_replaced(&bench.root(), "r1").unwrap_err(), stage(&bench.root(), "r2").unwrap_err()] {
        assert!(refused.to_string().contains("what came of the undo u1"), "{refused}");
    }
    // Putting the root in order decides nothing.
    assert_eq!(recover(&bench.root(), Way::AsBegun).unwrap(), []);
    conclude(&bench.root(), "r1", false).unwrap();
    assert_eq!((bench.tree(), undecided(&bench.root()).unwrap()), (expected_new(), vec![]));
    assert_eq!(asides(&bench.root()).unwrap()[0].by, "r1");
}

#[test]
fn a_turn_that_dies_anywhere_is_concluded_either_way() {
    for is_done in [true, false] {
        let prepare = || {
            let bench = swapped();
            announce(&bench.root(), "r1", ("u1", &act(2)), &[], &keep()).unwrap();
            bench
        };
        let turn = |bench: &Bench, watch: &mut Watch<'_>| turn_watched(&bench.root(), "r1", watch).unwrap();
        let deaths = dying_everywhere(prepare, turn, |bench, _| {
            conclude(&bench.root(), "r1", is_done).unwrap();
            assert_eq!(bench.tree(), if is_done { expected_old() } else { expected_new() });
            // Twice is as good as once.
            conclude(&bench.root(), "r1", !is_done).unwrap();
            assert_eq!(bench.tree(), if is_done { expected_old() } else { expected_new() });
        });
        assert!(deaths > 10, "{deaths}");
    }
}

#[test]
fn a_conclusion_that_dies_anywhere_is_concluded() {
    let prepare = || {
        let bench = swapped();
        announce(&bench.root(), "r1", ("u1", &act(2)), &[], &keep()).unwrap();
        turn_round(&bench.root(), "r1").unwrap();
        bench
    };
    let back = |bench: &Bench, watch: &mut Watch<'_>| conclude_watched(&bench.root(), "r1", false, watch).unwrap();
    let deaths = dying_everywhere(prepare, back, |bench, _| {
        recover(&bench.root(), Way::AsBegun).unwrap();
        conclude(&bench.root(), "r1", false).unwrap();
        assert_eq!(bench.tree(), expected_new());
    });
    assert!(deaths > 10, "{deaths}");
}

#[test]
fn a_turn_that_is_refused_leaves_the_tree_as_it_was() {
    for refused in 0..12 {
        let bench = swapped();
        announce(&bench.root(), "r1", ("u1", &act(2)), &[], &keep()).unwrap();
        let mut left = refused;
        let mut watch = |_| {
            left -= 1;
            if left == -1 { Err(io::Error::from(io::ErrorKind::ResourceBusy)) } else { Ok(()) }
        };
        turn_watched(&bench.root(), "r1", &mut watch).unwrap_err();
        assert_eq!(bench.tree(), expected_new(), "{refused}");
        assert!(undecided(&bench.root()).unwrap()[0].is_before);
        conclude(&bench.root(), "r1", false).unwrap();
        assert_eq!(bench.tree(), expected_new(), "{refused}");
    }
}

#[test]
fn what_a_failed_restore_took_back_is_nothing_to_undo() {
    let bench = swapped();
    undo(&bench.root(), Some("r1")).unwrap();
    assert!(asides(&bench.root()).unwrap()[0].is_rubbish);
}
