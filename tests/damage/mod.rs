//! The damage matrix: each kind of stored thing, damaged in each way, against each command that reads it.
//!
//! Two nights are saved, then an accident. What a command may come to is one of two: it restores exactly what a night had, or it
//! says what is wrong and nothing live has changed by a byte. A damage that concerns a night and that neither a check, nor a drill, nor
//! a restore of it notices fails the test. `make damage` takes every cell and prints them, `make test` some of each kind.

mod bucket;
mod cells;
mod here;
mod inside;
mod kinds;
mod restic;
mod table;
mod words;
mod world;

use cells::Cell;
use kinds::Damage;
use world::World;

/// Whether all cells are wanted.
fn all() -> bool {
    std::env::var_os("BKP_TEST_ALL_DAMAGE").is_some()
}

/// Of `make test`, the damages of the `at`th kind of thing: other ones for each, so that all of them come.
fn some(damages: &[Damage], at: usize) -> Vec<Damage> {
    if all() {
        return damages.to_vec();
    }
    damages.get(at * 3 % damages.len().max(1)).copied().into_iter().collect()
}

/// A scene of its own for each kind of thing, where all is tried: the watch over tests that hang counts by its age.
fn anew(world: &mut World, saved: impl Fn() -> World) {
    if all() {
        world.is_untouched();
        *world = saved();
    }
}

/// Prints the table, and fails with every cell that is not as it must be.
fn judge(title: &str, cells: &[Cell]) {
    println!("{}", table::of(title, cells));
    let faults: Vec<String> = cells.iter().flat_map(Cell::faults).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
