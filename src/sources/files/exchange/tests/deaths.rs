//! Death and refusal at every step. A death is a panic that nothing between it and the test takes notice of, or a real KILL.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::recover::{drop_watched, recover_watched, undo_watched};
use super::super::swap::Step;
use super::*;

/// Without the words of a panic that nobody needs.
fn die() -> ! {
    std::panic::resume_unwind(Box::new("dead on purpose"))
}

/// Runs `act` again and again, dying at the first step, the second, …, until it comes to its end.
pub(super) fn dying_everywhere(
    mut prepare: impl FnMut() -> Bench,
    mut act: impl FnMut(&Bench, &mut Watch<'_>),
    mut check: impl FnMut(&Bench, Step),
) -> usize {
    for death in 0.. {
        let bench = prepare();
        let (steps, last) = (Cell::new(0), Cell::new(None));
        let mut watch = |step| {
            last.set(Some(step));
            if steps.replace(steps.get() + 1) == death {
                die();
            }
            Ok(())
        };
        match catch_unwind(AssertUnwindSafe(|| act(&bench, &mut watch))) {
            Ok(()) => return death,
            Err(other) if steps.get() <= death => std::panic::resume_unwind(other),
            Err(_) => {}
        }
        check(&bench, last.get().unwrap());
    }
    unreachable!()
}

fn swap(bench: &Bench, watch: &mut Watch<'_>) {
    let staging = bench.staged("r1");
    let plan = staging.plan(&keep(), &[]).unwrap();
    staging.swap_watched(plan, watch).unwrap();
}

pub(super) fn swapped() -> Bench {
    let bench = Bench::filled();
    swap(&bench, &mut unwatched);
    assert_eq!(bench.tree(), expected_new());
    bench
}

#[test]
fn a_swap_that_dies_anywhere_is_finished_by_the_next_start() {
    let mut finished = 0;
    let deaths = dying_everywhere(Bench::filled, swap, |bench, _| {
        let done = recover(&bench.root(), Way::AsBegun).unwrap();
        match done.as_slice() {
            [(_, Recovered::Removed)] => assert_eq!((bench.tree(), bench.own()), (expected_old(), vec![])),
            [(run, Recovered::Finished)] => {
                assert_eq!(bench.tree(), expected_new());
                assert_eq!(undo(&bench.root(), None).unwrap(), *run);
                assert_eq!(bench.tree(), expected_old());
                finished += 1;
            }
            other => panic!("{other:?}"),
        }
    });
    assert!(deaths > 15 && finished > 10, "{deaths} deaths, {finished} of them with something moved");
}

#[test]
fn a_swap_that_died_anywhere_can_be_given_back() {
    dying_everywhere(Bench::filled, swap, |bench, _| {
        let done = recover(&bench.root(), Way::Back).unwrap();
        assert!(matches!(done[..], [(_, Recovered::Removed | Recovered::GivenBack)]), "{done:?}");
        assert_eq!(bench.tree(), expected_old());
    });
}

#[test]
fn an_undo_that_dies_anywhere_is_finished_by_the_next_start() {
    let undo = |bench: &Bench, watch: &mut Watch<'_>| drop(undo_watched(&bench.root(), None, watch).unwrap());
    let deaths = dying_everywhere(swapped, undo, |bench, _| {
        let done = recover(&bench.root(), Way::AsBegun).unwrap();
        match done.as_slice() {
            [] => assert_eq!(bench.tree(), expected_new()),
            [(_, Recovered::GivenBack)] => assert_eq!(bench.tree(), expected_old()),
            other => panic!("{other:?}"),
        }
    });
    assert!(deaths > 15);
}

#[test]
fn a_recovery_that_dies_anywhere_is_recovered() {
    for way in [Way::AsBegun, Way::Back] {
        // One death of the swap for each of the first renames, and after it one at every step of the recovery.
        for first in 2..14 {
            let half = || {
                let bench = Bench::filled();
                let mut left = first;
                let mut watch = |_| {
                    left -= 1;
                    if left == 0 {
                        die();
                    }
                    Ok(())
                };
                let _ = catch_unwind(AssertUnwindSafe(|| swap(&bench, &mut watch)));
                bench
            };
            let again =
                |bench: &Bench, watch: &mut Watch<'_>| drop(recover_watched(&bench.root(), way, watch).unwrap());
            dying_everywhere(half, again, |bench, _| {
                recover(&bench.root(), way).unwrap();
                let tree = bench.tree();
                // Once back is the way, it stays the way.
                assert!(tree == expected_old() || (way == Way::AsBegun && tree == expected_new()), "{tree:#?}");
            });
        }
    }
}

#[test]
fn what_is_dropped_halfway_is_removed_by_the_next_start() {
    let drop = |bench: &Bench, watch: &mut Watch<'_>| drop_watched(&bench.root(), "r1", watch).unwrap();
    let deaths = dying_everywhere(swapped, drop, |bench, _| {
        assert_eq!(recover(&bench.root(), Way::AsBegun).unwrap(), [("r1".to_owned(), Recovered::Removed)]);
        assert_eq!((bench.tree(), bench.own()), (expected_new(), vec![]));
    });
    assert!(deaths > 4);
}

#[test]
fn a_step_that_is_refused_gives_everything_back() {
    for refused in 0.. {
        let bench = Bench::filled();
        let mut steps = 0;
        let mut watch = |_| {
            steps += 1;
            if steps == refused + 1 { Err(io::ErrorKind::CrossesDevices.into()) } else { Ok(()) }
        };
        let staging = bench.staged("r1");
        let plan = staging.plan(&keep(), &[]).unwrap();
        match staging.swap_watched(plan, &mut watch) {
            Ok(_) => {
                assert!(refused > 15);
                break;
            }
            Err(error) => assert_eq!((bench.tree(), bench.own()), (expected_old(), vec![]), "{error:#}"),
        }
    }
}

#[test]
fn a_volume_that_refuses_everything_is_recovered_when_it_no_longer_does() {
    for refused in 0.. {
        let bench = Bench::filled();
        let mut steps = 0;
        let mut watch = |_| {
            steps += 1;
            if steps > refused { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
        };
        let staging = bench.staged("r1");
        let plan = staging.plan(&keep(), &[]).unwrap();
        if staging.swap_watched(plan, &mut watch).is_ok() {
            break;
        }
        recover(&bench.root(), Way::AsBegun).unwrap();
        let tree = bench.tree();
        assert!(tree == expected_old() || tree == expected_new(), "{tree:#?}");
    }
}

#[test]
fn the_disk_has_everything_before_the_journal_claims_it() {
    let bench = Bench::filled();
    let mut steps = Vec::new();
    swap(&bench, &mut |step| {
        steps.push(step);
        Ok(())
    });
    steps.dedup();
    let (begun, done) = (State::Exchanging(Side::New), State::Settled(Side::New));
    assert_eq!(steps, [Step::Sync, Step::Journal(begun), Step::Move, Step::Sync, Step::Journal(done)]);
}

#[test]
fn what_an_application_makes_in_an_emptied_place_is_not_lost() {
    for way in [Way::AsBegun, Way::Back] {
        let mut strays = 0;
        dying_everywhere(Bench::filled, swap, |bench, step| {
            let place = bench.root().join("data");
            if step == Step::Move && !place.exists() {
                write(&place.join("made by the application"), "precious");
                strays += 1;
            }
            recover(&bench.root(), way).unwrap();
            let tree = bench.tree();
            assert!(tree == expected_old() || tree == expected_new(), "{tree:#?}");
            if strays == 1 {
                let kept = bench.root().join(".bkp-r1/stray/0/data/made by the application");
                assert_eq!(std::fs::read_to_string(kept).unwrap(), "precious");
                strays += 1;
            }
        });
        assert_eq!(strays, 2);
    }
}

#[test]
fn what_an_application_makes_where_nothing_is_to_be_stays() {
    let mut made = 0;
    dying_everywhere(Bench::filled, swap, |bench, _| {
        let place = bench.root().join("gone");
        let is_made = !place.exists();
        if is_made {
            std::fs::write(&place, "precious").unwrap();
            made += 1;
        }
        recover(&bench.root(), Way::AsBegun).unwrap();
        let mut tree = bench.tree();
        if is_made {
            assert!(tree.remove(Path::new("gone")).unwrap().ends_with("precious"));
            assert_eq!(tree, expected_new());
        }
    });
    assert!(made > 3);
}

/// An exchange while an application fills an emptied place again, so many times.
fn swap_with_a_busy_application(bench: &Bench, mut times: usize) -> Result<Replaced> {
    let place = bench.root().join("data");
    let mut watch = |step| {
        if step == Step::Move && times > 0 && !place.exists() {
            times -= 1;
            write(&place.join("made"), "precious");
        }
        Ok(())
    };
    let staging = bench.staged("r1");
    let plan = staging.plan(&keep(), &[]).unwrap();
    staging.swap_watched(plan, &mut watch)
}

#[test]
fn an_application_that_fills_an_emptied_place_again_is_outlasted() {
    let bench = Bench::filled();
    swap_with_a_busy_application(&bench, 3).unwrap();
    assert_eq!(bench.tree(), expected_new());
    for stray in 0..3 {
        let kept = bench.root().join(format!(".bkp-r1/stray/{stray}/data/made"));
        assert_eq!(std::fs::read_to_string(kept).unwrap(), "precious");
    }
}

#[test]
fn an_application_that_never_rests_is_told_and_the_next_start_ends_the_mixture() {
    let bench = Bench::filled();
    let error = swap_with_a_busy_application(&bench, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("nor given back"), "{error:#}");
    assert!(stage(&bench.root(), "r2").unwrap_err().to_string().contains("died halfway"));
    recover(&bench.root(), Way::AsBegun).unwrap();
    assert_eq!(bench.tree(), expected_old());
}

#[test]
fn what_went_astray_outlives_a_swap_that_is_given_back() {
    let bench = Bench::filled();
    let place = bench.root().join("data");
    let (mut filled, mut refused) = (false, false);
    let mut watch = |step| {
        if step == Step::Sync && filled && !refused {
            refused = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if step == Step::Move && !place.exists() && !filled {
            filled = true;
            write(&place.join("made"), "precious");
        }
        Ok(())
    };
    let staging = bench.staged("r1");
    let plan = staging.plan(&keep(), &[]).unwrap();
    let error = staging.swap_watched(plan, &mut watch).unwrap_err();
    assert!(error.to_string().ends_with("everything is as it was"), "{error:#}");
    assert_eq!(bench.tree(), expected_old());
    assert_eq!(std::fs::read_to_string(bench.root().join(".bkp-r1/stray/0/data/made")).unwrap(), "precious");
    assert_eq!(leftovers(&bench.root()).unwrap()[0].found, Found::Undone);
}

#[test]
fn a_mixture_on_a_volume_that_cannot_be_written_is_an_error_until_it_can() {
    let bench = Bench::filled();
    swap_with_a_busy_application(&bench, usize::MAX).unwrap_err();
    let mixture = bench.tree();
    let error = recover_watched(&bench.root(), Way::AsBegun, &mut |_| Err(io::ErrorKind::ReadOnlyFilesystem.into()));
    let error = format!("{:#}", error.unwrap_err());
    assert!(error.contains("some files are old and some are new"), "{error}");
    assert_eq!(bench.tree(), mixture);
    recover(&bench.root(), Way::AsBegun).unwrap();
    assert_eq!(bench.tree(), expected_old());
}
