//! What lies in a restic repository: restic's own files, and the items of a run.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::cells::{Cell, ask};
use super::inside::Part;
use super::kinds::{Damage, Thing, put};
use super::words::Told;
use super::world::{Store, World};
use crate::items::quick;

fn listed(world: &World, arguments: &[&str]) -> Value {
    let ran = quick::restic_at(&world.place(), arguments);
    assert!(ran.success, "{}", ran.stderr);
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

/// The snapshot of an item of a run.
fn snapshot(world: &World, run: &str, item: &str) -> Value {
    let wanted = [format!("run={run}"), format!("item={item}")];
    let all = listed(world, &["snapshots", "--json", "--no-lock"]);
    let is_it = |one: &&Value| {
        let tags: Vec<&str> = one["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        wanted.iter().all(|tag| tags.iter().any(|it| it.starts_with(tag.as_str())))
    };
    all.as_array().expect("a list").iter().find(is_it).expect("the snapshot").clone()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().expect("a text")
}

/// The pack that holds a blob.
fn pack_of(world: &World, blob: &str) -> PathBuf {
    for entry in fs::read_dir(world.place().join("index")).expect("indexes").flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        let index = listed(world, &["cat", "index", &id]);
        for pack in index["packs"].as_array().into_iter().flatten() {
            if pack["blobs"].as_array().into_iter().flatten().any(|one| one["id"] == blob) {
                let id = text(pack, "id");
                return world.place().join("data").join(&id[..2]).join(id);
            }
        }
    }
    panic!("no pack holds {blob}")
}

/// The index that names a pack.
fn index_of(world: &World, pack: &Path) -> PathBuf {
    let wanted = pack.file_name().expect("a name").to_string_lossy().into_owned();
    let entries = fs::read_dir(world.place().join("index")).expect("indexes").flatten();
    let names = |id: &str| {
        let index = listed(world, &["cat", "index", id]);
        index["packs"].as_array().into_iter().flatten().any(|pack| pack["id"] == wanted.as_str())
    };
    let found =
        entries.map(|entry| entry.path()).find(|path| names(&path.file_name().expect("a name").to_string_lossy()));
    found.expect("the index of the pack")
}

/// The packs of a night's database and of its files' top directory.
fn packs(world: &World, run: &str) -> [PathBuf; 2] {
    let database = snapshot(world, run, "database:shop");
    let tree = listed(world, &["cat", "tree", text(&database, "id")]);
    let content = tree["nodes"][0]["content"][0].as_str().expect("a blob");
    let files = snapshot(world, run, "files:");
    [pack_of(world, content), pack_of(world, text(&files, "tree"))]
}

/// How many kinds [`things`] gives.
const THINGS: usize = 8;

fn things(world: &World, other: &Path) -> Vec<Thing> {
    let place = world.place();
    let [first, second] = [&world.runs[0], &world.runs[1]];
    let [data, tree] = packs(world, second);
    let [data_before, tree_before] = packs(world, first);
    // A name as restic makes them, of nothing.
    let id = "5".repeat(64);
    let id = id.as_str();
    let key = |place: &Path| fs::read_dir(place.join("keys")).expect("keys").flatten().next().expect("a key").path();
    let of = |run: &str, item: &str| place.join("snapshots").join(text(&snapshot(world, run, item), "id"));
    let thing = |what, path: PathBuf, before: Option<PathBuf>, foreign: Option<PathBuf>, copy: PathBuf| Thing {
        what,
        path,
        before,
        foreign,
        copy: Some(copy),
    };
    let an_item = |what, item| {
        thing(
            what,
            of(second, item),
            Some(of(first, item)),
            Some(of(second, "database:blog")),
            place.join("snapshots").join(id),
        )
    };
    vec![
        thing("config", place.join("config"), None, Some(other.join("config")), place.join("config.bak")),
        thing("key", key(&place), None, Some(key(other)), place.join("keys").join(id)),
        thing("index", index_of(world, &data), Some(index_of(world, &data_before)), None, place.join("index").join(id)),
        an_item("snapshot of roles", "roles"),
        an_item("snapshot of a database", "database:shop"),
        an_item("snapshot of files", "files:"),
        thing("pack of data", data, Some(data_before), Some(tree.clone()), place.join("data/55").join(id)),
        thing("pack of trees", tree, Some(tree_before), None, place.join("data/55").join(id)),
    ]
}

fn expected(thing: &Thing, how: Damage) -> Vec<Told> {
    let changed = vec![Told::Changed];
    match (thing.what, how) {
        ("key", Damage::Deleted) => vec![Told::Password],
        ("config", Damage::Deleted) => vec![Told::Missing],
        (what, Damage::Deleted) if what.starts_with("snapshot") => vec![Told::Missing],
        // A check says that the file is another; the run whose item it was lacks that item.
        (what, how) if what.starts_with("snapshot") && how != Damage::Doubled => {
            vec![Told::Missing, Told::Changed, Told::Mistaken, Told::Cut]
        }
        (_, Damage::Deleted) => vec![Told::Missing, Told::Changed],
        (_, Damage::Emptied | Damage::Halved | Damage::LastByte) => vec![Told::Cut, Told::Changed],
        // Of two packs one is longer than the other.
        (_, Damage::Swapped | Damage::Older | Damage::Foreign) => vec![Told::Changed, Told::Mistaken, Told::Cut],
        (_, Damage::Doubled) => vec![Told::Nothing, Told::Changed, Told::Mistaken],
        _ => changed,
    }
}

/// Another repository that the same password opens.
fn another(world: &World) -> PathBuf {
    let other = world.app.work.join("another");
    if other.exists() {
        return other;
    }
    let restic = crate::support::quick::restic(&world.app.work);
    let made = world.bkp(&["init"]).env("RESTIC_REPOSITORY", &other).env("BKP_RESTIC_BIN", restic).run();
    made.ok();
    other
}

fn saved() -> World {
    let world = World::saved(Store::Restic);
    world.keep();
    world
}

#[test]
fn whatever_happens_to_a_file_of_a_restic_repository_is_told_and_never_loaded() {
    let (mut world, mut cells): (World, Vec<Cell>) = (saved(), Vec::new());
    for at in 0..THINGS {
        super::anew(&mut world, saved);
        let thing = things(&world, &another(&world)).remove(at);
        for how in super::some(&thing.damages(), at) {
            thing.damage(how);
            cells.push(ask(&world, thing.what, how.words(), &expected(&thing, how)));
        }
    }
    // restic tries to read a lock for half a minute: one damage is enough, and too slow for every day.
    if super::all() {
        super::anew(&mut world, saved);
        let whole = fs::read(world.place().join("config")).expect("the config");
        put(&world.place().join("locks").join("5".repeat(64)), &whole[..whole.len() / 2]);
        cells.push(ask(&world, "lock", Damage::Halved.words(), &[Told::Changed]));
    }
    world.is_untouched();
    super::judge("in a restic repository", &cells);
}

/// Puts a stream in the place of a snapshot, with all that is said of that one.
fn saved_again(world: &World, run: &str, item: &str, sql: &[u8]) {
    let old = snapshot(world, run, item);
    let tags: Vec<&str> = old["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let tags = tags.join(",");
    let (id, name) = (text(&old, "id"), old["paths"][0].as_str().expect("a path").trim_start_matches('/'));
    let words = [
        "backup",
        "--quiet",
        "--force",
        "--host",
        text(&old, "hostname"),
        "--tag",
        &tags,
        "--stdin",
        "--stdin-filename",
        name,
    ];
    let saved = quick::restic_fed(&world.place(), &words, sql);
    assert!(saved.success, "{}", saved.stderr);
    let gone = quick::restic_at(&world.place(), &["forget", "--quiet", id]);
    assert!(gone.success, "{}", gone.stderr);
}

fn stream(world: &World, run: &str, item: &str) -> Vec<u8> {
    let snapshot = snapshot(world, run, item);
    let ran = quick::restic_at(
        &world.place(),
        &["dump", text(&snapshot, "id"), snapshot["paths"][0].as_str().expect("a path")],
    );
    assert!(ran.success, "{}", ran.stderr);
    ran.stdout
}

#[test]
fn a_stream_in_restic_that_is_another_than_was_sealed_is_told_and_never_loaded() {
    let (mut world, mut cells): (World, Vec<Cell>) = (saved(), Vec::new());
    let parts =
        [("roles", Part::Roles), ("roles", Part::Seal), ("database:shop", Part::Rows), ("database:shop", Part::Seal)];
    for (at, (item, part)) in parts.into_iter().enumerate() {
        super::anew(&mut world, saved);
        let [first, second] = world.runs.clone();
        let streams = [stream(&world, &first, item), stream(&world, &second, item)];
        for how in super::some(&part.damages(), at + 1) {
            let Some(changed) = part.damage([&streams[0], &streams[1]], how) else { continue };
            saved_again(&world, &second, item, &changed);
            cells.push(ask(&world, &format!("{item}: {}", part.words()), how.words(), &part.expected(how)));
        }
    }
    super::anew(&mut world, saved);
    // Whole, and not what the snapshot says that it is.
    let [first, second] = world.runs.clone();
    let [old, shop, blog] = [(&first, "shop"), (&second, "shop"), (&second, "blog")]
        .map(|(run, name)| stream(&world, run, &format!("database:{name}")));
    saved_again(&world, &second, "database:shop", &old);
    cells.push(ask(&world, "database:shop", Damage::Older.words(), &[Told::Mistaken]));
    saved_again(&world, &second, "database:shop", &blog);
    cells.push(ask(&world, "database:shop", Damage::Foreign.words(), &[Told::Mistaken]));
    saved_again(&world, &second, "database:shop", &blog);
    saved_again(&world, &second, "database:blog", &shop);
    cells.push(ask(&world, "database:shop", "swapped with blog's", &[Told::Mistaken]));
    world.is_untouched();
    cells.iter_mut().for_each(|cell| cell.is_checked = false);
    super::judge("a stream in restic", &cells);
}
