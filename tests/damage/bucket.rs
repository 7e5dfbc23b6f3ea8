//! What lies in a bucket: dumps, and proofs of drills.

use std::fs;
use std::path::PathBuf;

use super::cells::{Cell, ask};
use super::inside::{self, Part};
use super::kinds::{Damage, Thing};
use super::words::Told;
use super::world::{Store, World};

/// The dumps, oldest first: another application's, then those of the two nights.
fn dumps(world: &World) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(world.place().join("db")).expect("dumps").map(|it| it.expect("it").path()).collect();
    all.sort();
    all
}

/// How many kinds [`things`] gives.
const THINGS: usize = 3;

fn things(world: &World) -> Vec<Thing> {
    let all = dumps(world);
    let [wiki, first, second] = &all[..] else { panic!("three dumps: {all:?}") };
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    let proof = |dump: &PathBuf, run: &str| world.place().join(format!("proven/{}.{run}.json", name(dump)));
    let later = world.place().join("db/db_dump-29991231_231000.bak.gz");
    vec![
        Thing {
            what: "dump of night 2",
            path: second.clone(),
            before: Some(first.clone()),
            foreign: Some(wiki.clone()),
            copy: Some(later),
        },
        Thing { what: "dump of night 1", path: first.clone(), before: None, foreign: Some(wiki.clone()), copy: None },
        Thing {
            what: "proof of night 2",
            path: proof(second, &world.runs[1]),
            before: Some(proof(first, &world.runs[0])),
            foreign: None,
            copy: Some(world.place().join("proven/another.json")),
        },
    ]
}

/// What a damage of a whole object is to be told as.
fn expected(thing: &Thing, how: Damage) -> Vec<Told> {
    match (thing.what, how) {
        // A bucket has no table of contents, and a proof is a word about a dump and no part of it.
        ("proof of night 2", _) => vec![Told::Nothing],
        (_, Damage::Deleted) => vec![Told::Nothing, Told::Missing],
        (_, Damage::Emptied | Damage::Halved | Damage::LastByte) => vec![Told::Cut],
        (_, Damage::Swapped | Damage::Foreign | Damage::Doubled | Damage::Older) => vec![Told::Mistaken, Told::Missing],
        (_, Damage::FlippedLast) => vec![Told::Changed, Told::Cut],
        _ => vec![Told::Changed],
    }
}

#[test]
fn whatever_happens_to_an_object_of_a_bucket_is_told_and_never_loaded() {
    let (mut world, mut cells): (World, Vec<Cell>) = (with_proofs(), Vec::new());
    for at in 0..THINGS {
        super::anew(&mut world, with_proofs);
        let thing = things(&world).remove(at);
        for how in super::some(&thing.damages(), at) {
            thing.damage(how);
            cells.push(ask(&world, thing.what, how.words(), &expected(&thing, how)));
        }
    }
    world.is_untouched();
    super::judge("in a bucket", &cells);
}

fn with_proofs() -> World {
    let world = World::saved(Store::Bucket);
    for run in &world.runs {
        world.bkp(&["drill", run]).run().ok();
    }
    world.keep();
    world
}

#[test]
fn whatever_happens_inside_a_dump_whose_gzip_is_faultless_is_told_and_never_loaded() {
    let (mut world, mut cells): (World, Vec<Cell>) = (with_proofs(), Vec::new());
    for (at, part) in Part::ALL.into_iter().enumerate() {
        super::anew(&mut world, with_proofs);
        let all = dumps(&world);
        let sqls = [&all[1], &all[2]].map(|path| inside::gunzip(&fs::read(path).expect("a dump")));
        for how in super::some(&part.damages(), at) {
            let Some(changed) = part.damage([&sqls[0], &sqls[1]], how) else { continue };
            super::kinds::put(&all[2], &inside::gzip(&changed));
            cells.push(ask(&world, part.words(), how.words(), &part.expected(how)));
        }
    }
    world.is_untouched();
    super::judge("in a dump", &cells);
}
