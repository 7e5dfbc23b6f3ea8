//! Damage is found, and is not taken for a store that cannot be reached.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bkp::error::exit_of;
use bkp::exit::Exit;

use super::{Place, all, noise, save};

fn flip(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("chmod");
    let mut content = fs::read(path).expect("a file");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(path, content).expect("written");
}

#[tokio::test]
async fn a_flipped_byte_in_the_data_is_found_by_reading_it() {
    let place = Place::made().await;
    let id = save(&place.repository, "a.sql", &noise(2_000_000)).await.expect("saved");
    place.repository.check(true).await.expect("sound");
    let pack = place.stored("data").into_iter().max_by_key(|path| fs::metadata(path).expect("a pack").len());
    flip(&pack.expect("a pack"));
    place.repository.check(false).await.expect("its structure is sound");
    let error = place.repository.check(true).await.expect_err("damaged");
    assert_eq!(exit_of(&error), Exit::ProofFailed, "{error:#}");
    assert!(!format!("{error:#}").contains('{'), "words, not JSON: {error:#}");
    all(place.repository.read(&id, "/a.sql").expect("started")).await.expect_err("damaged");
}

#[tokio::test]
async fn a_lost_pack_and_a_broken_config_are_damage() {
    let place = Place::made().await;
    save(&place.repository, "a.sql", b"x").await.expect("saved");
    fs::remove_file(place.stored("data").first().expect("a pack")).expect("removed");
    let error = place.repository.check(false).await.expect_err("damaged");
    assert_eq!(exit_of(&error), Exit::ProofFailed, "{error:#}");
    flip(&place.work.join("repo/config"));
    let error = place.repository.check(false).await.expect_err("damaged");
    assert_eq!(exit_of(&error), Exit::ProofFailed, "{error:#}");
}

#[tokio::test]
async fn a_check_that_cannot_begin_proves_no_damage() {
    let place = Place::empty().await;
    let error = place.repository.check(false).await.expect_err("nothing there");
    assert_eq!(exit_of(&error), Exit::NoRepository, "{error:#}");
}
