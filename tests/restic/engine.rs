//! Finding restic and repositories, over a directory and over S3.

use std::time::Duration;

use bkp::error::exit_of;
use bkp::exit::Exit;
use bkp::repository::restic::{Password, Probe, Restic, Tree};
use bkp::settings::Secret;

use super::{Place, all, noise, options, parts, repository, save, saving};
use crate::store::servers;
use crate::support::workdir::WorkDir;

#[tokio::test]
async fn a_restic_that_is_too_old_or_not_there_is_told() {
    let work = WorkDir::new();
    let mut old = options(work.path());
    old.program = Some(parts::restic("0.14"));
    let error = Restic::find(old).await.err().expect("too old");
    assert!(error.to_string().contains("0.14.0") && exit_of(&error) == Exit::Usage, "{error:#}");

    let mut none = options(work.path());
    none.program = Some(work.join("nothing"));
    assert_eq!(exit_of(&Restic::find(none).await.err().expect("none")), Exit::Usage);
}

#[tokio::test]
async fn a_repository_is_missing_only_where_restic_saw_so() {
    let place = Place::empty().await;
    assert_eq!(place.repository.probe().await.expect("asked"), Probe::Missing);
    place.repository.init(None).await.expect("made");
    assert_eq!(place.repository.probe().await.expect("asked"), Probe::There);
    place.repository.init(None).await.expect_err("it is there");

    let other = place.repository.with_password(Password::Secret(Secret::new("other".into())));
    assert_eq!(exit_of(&other.probe().await.expect_err("wrong")), Exit::WrongPassword);

    let below = place.repository.at("files");
    assert_eq!(below.probe().await.expect("asked"), Probe::Missing);
    below.init(Some(&place.repository)).await.expect("made alike");
    let polynomial = |at: &str| {
        let said = run_config(&place, at);
        said["chunker_polynomial"].as_str().expect("a polynomial").to_owned()
    };
    assert_eq!(polynomial("repo"), polynomial("repo/files"), "equal data is cut at equal places");
}

fn run_config(place: &Place, at: &str) -> serde_json::Value {
    let mut command = place.command("0.18");
    command.env("RESTIC_REPOSITORY", place.work.join(at)).args(["cat", "config", "--no-lock"]);
    serde_json::from_slice(&crate::support::run::run(&mut command, b"").stdout).expect("a config")
}

#[tokio::test]
async fn a_store_that_is_not_reached_is_no_missing_repository() {
    let work = WorkDir::new();
    let mut impatient = options(work.path());
    impatient.answer_within = Duration::from_secs(2);
    let repository = repository(impatient, "rest:http://joe:hunter2@127.0.0.1:1/x").await;
    let error = repository.probe().await.expect_err("nobody is there");
    assert_eq!(exit_of(&error), Exit::Failed);
    assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
}

#[tokio::test]
async fn a_container_that_may_write_nowhere_but_tmp_can_save() {
    let place = Place::with(|options| options.environment.retain(|(name, _)| name != "HOME")).await;
    place.repository.init(None).await.expect("made");
    let id = save(&place.repository, "a.sql", b"SELECT 1;").await.expect("saved");
    assert_eq!(all(place.repository.read(&id, "/a.sql").expect("opened")).await.expect("read"), b"SELECT 1;");
}

#[tokio::test]
async fn s3_keeps_streams_and_trees() {
    let server = servers::seaweedfs();
    let endpoint = server.options.s3.endpoint.clone().expect("an endpoint");
    let work = WorkDir::new();
    let mut options = options(work.path());
    for (name, value) in [("AWS_ACCESS_KEY_ID", "KEY"), ("AWS_SECRET_ACCESS_KEY", "SECRET")] {
        options.environment.push((name.into(), value.into()));
    }
    let base = repository(options, &format!("s3:{endpoint}/test-bucket/app/")).await;
    let repository = base.at("pg-database");
    assert_eq!(repository.probe().await.expect("asked"), Probe::Missing);
    repository.init(None).await.expect("made");

    let content = noise(3_000_000);
    let id = save(&repository, "shop.sql", &content).await.expect("saved");
    assert!(all(repository.read(&id, "/shop.sql").expect("opened")).await.expect("read") == content);
    drop(repository.save_stream(&saving(), "cut.sql").expect("begun"));

    let tree = work.dir("tree/sub");
    std::fs::write(tree.join("file"), b"x").expect("written");
    let saved = repository.save_tree(&saving(), &work.join("tree"), &Tree::default()).await.expect("saved");
    repository.restore_tree(&saved.snapshot.id, None, &[], &work.join("back")).await.expect("restored");
    assert_eq!(std::fs::read(work.join("back/sub/file")).expect("there"), b"x");

    repository.forget(&[saved.snapshot.id]).await.expect("forgotten");
    repository.prune().await.expect("pruned");
    let left = repository.snapshots().await.expect("listed");
    assert_eq!(left.iter().map(|snapshot| snapshot.id.clone()).collect::<Vec<_>>(), [id]);
    repository.check(true).await.expect("sound");
    assert_eq!(base.at("files").probe().await.expect("asked"), Probe::Missing);
}
