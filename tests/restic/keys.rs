//! Passwords: added, tried, removed; and no way to lock oneself out.

use bkp::error::exit_of;
use bkp::exit::Exit;
use bkp::repository::restic::Password;
use bkp::settings::Secret;

use super::{Place, password, save};

fn secret(text: &str) -> Password {
    Password::Secret(Secret::new(text.to_owned()))
}

#[tokio::test]
async fn a_password_is_added_and_an_old_one_removed() {
    let place = Place::made().await;
    let (repository, new) = (&place.repository, secret("  nouveau mot d'été "));
    assert!(!repository.opens_with(&new).await.expect("tried"));
    let id = repository.add_key(&new, "shop").await.expect("added");
    assert!(
        repository.opens_with(&new).await.expect("tried") && repository.opens_with(&password()).await.expect("tried")
    );
    let keys = repository.keys().await.expect("listed");
    let added = keys.iter().find(|key| key.id == id).expect("listed");
    assert_eq!((keys.len(), added.current, added.host.as_str()), (2, false, "shop"));
    let old = keys.iter().find(|key| key.current).expect("ours").id.clone();

    repository.remove_key(&old).await.expect_err("the one in use");
    let renewed = repository.with_password(new);
    renewed.remove_key(&old).await.expect("removed");
    assert!(!renewed.opens_with(&password()).await.expect("tried"));
    assert_eq!(exit_of(&repository.keys().await.expect_err("wrong")), Exit::WrongPassword);
    save(&renewed, "a", b"x").await.expect("saved");
}

#[tokio::test]
async fn a_password_in_a_file_is_what_restic_reads_there() {
    let place = Place::made().await;
    let file = Password::File(place.work.file("new", "sesame\n"));
    place.repository.add_key(&file, "shop").await.expect("added");
    assert!(place.repository.opens_with(&file).await.expect("tried"));
    assert!(place.repository.opens_with(&secret("sesame")).await.expect("tried"));
    let command = Password::Command("echo sesame".into());
    assert!(place.repository.opens_with(&command).await.expect("tried"));

    for bad in [
        Password::File(place.work.join("none")),
        Password::File(place.work.file("empty", "\n")),
        secret(""),
        secret("a\nb"),
    ] {
        place.repository.add_key(&bad, "shop").await.expect_err("no password");
    }
    assert_eq!(place.repository.keys().await.expect("listed").len(), 2);
    let missing = place.repository.at("files").opens_with(&password()).await.expect_err("nothing there");
    assert_eq!(exit_of(&missing), Exit::NoRepository);
}
