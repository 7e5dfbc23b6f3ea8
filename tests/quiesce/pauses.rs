//! The way of a pause: to zero, until no pod is left, and back; and what others do meanwhile.

use std::time::Duration;

use bkp::pause::{self, Pause};
use bkp::process::Stop;

use super::{config, is_as_before, is_paused, within};
use crate::support::kube::{Fault, Kube, Op};
use crate::support::workdir::WorkDir;

#[test]
fn the_application_rests_when_no_pod_is_left_and_comes_back_as_it_was() {
    let (kube, work) = (Kube::start(), WorkDir::new());
    let config = config(&kube, &work);
    within(async {
        let stop = Stop::on_signals().unwrap();
        pause::during(&config, "r1", &stop, async |_| {
            is_paused(&kube, "r1");
            assert_eq!(kube.pods(), 0);
            Ok(())
        })
        .await
        .unwrap();
    });
    is_as_before(&kube);
    let changes: Vec<String> = kube.seen().into_iter().filter(|seen| seen.starts_with("Patch")).collect();
    assert_eq!(changes, ["Patch web", "Patch queue", "Patch queue", "Patch web"]);
}

#[test]
fn work_that_fails_is_followed_by_scaling_back() {
    let (kube, work) = (Kube::start(), WorkDir::new());
    let config = config(&kube, &work);
    within(async {
        let stop = Stop::on_signals().unwrap();
        let failed =
            pause::during(&config, "r1", &stop, async |_| -> anyhow::Result<()> { anyhow::bail!("the work failed") });
        assert_eq!(failed.await.unwrap_err().to_string(), "the work failed");
    });
    is_as_before(&kube);
}

#[test]
fn pods_that_do_not_go_end_the_pause_and_are_named() {
    let (kube, work) = (Kube::start(), WorkDir::new());
    kube.pods_stay(u32::MAX);
    let mut config = config(&kube, &work);
    config.scaled.as_mut().unwrap().wait = Duration::from_millis(200);
    let error = within(async {
        let mut pause = Pause::new(&config, "r1");
        let error = pause.pause().await.unwrap_err();
        pause.resume().await.unwrap();
        error
    });
    assert!(format!("{error:#}").contains("web-0 (running on node1)"), "{error:#}");
    is_as_before(&kube);
}

#[test]
fn what_another_tool_scales_again_is_scaled_to_zero_again() {
    let (kube, work) = (Kube::start(), WorkDir::new());
    kube.scaled_again("web", 3, 2);
    let config = config(&kube, &work);
    within(async {
        let mut pause = Pause::new(&config, "r1");
        pause.pause().await.unwrap();
        is_paused(&kube, "r1");
        // And once more while the work goes on.
        kube.scale("queue", 2, "kustomize-controller");
        pause.still().await.unwrap();
        is_paused(&kube, "r1");
        pause.resume().await.unwrap();
    });
    is_as_before(&kube);
}

#[test]
fn patience_with_other_tools_is_for_each_object() {
    let (kube, work) = (Kube::start(), WorkDir::new());
    let config = config(&kube, &work);
    within(async {
        let mut pause = Pause::new(&config, "r1");
        pause.pause().await.unwrap();
        // One of them three times, and the other once.
        kube.scaled_again("web", 3, 2);
        kube.scale("web", 3, "argocd-controller");
        kube.scale("queue", 2, "argocd-controller");
        pause.still().await.unwrap();
        is_paused(&kube, "r1");
        pause.resume().await.unwrap();
    });
    is_as_before(&kube);
}

#[test]
fn who_scales_again_without_end_is_named_and_has_its_way() {
    let (kube, work) = (Kube::start(), WorkDir::new());
    kube.scaled_again("web", 4, u32::MAX);
    let config = config(&kube, &work);
    let error = within(async {
        let mut pause = Pause::new(&config, "r1");
        let error = pause.pause().await.unwrap_err();
        pause.resume().await.unwrap();
        error
    });
    let told = format!("{error:#}");
    assert!(told.contains("deployment/web does not stay at zero: argocd-controller scaled it to 4"), "{told}");
    assert_eq!((kube.object("web"), kube.object("queue")), ((4, None), (2, None)));
}

#[test]
fn what_was_scaled_meanwhile_stays_as_it_is_found() {
    let (kube, work) = (Kube::start(), WorkDir::new());
    let config = config(&kube, &work);
    within(async {
        let mut pause = Pause::new(&config, "r1");
        pause.pause().await.unwrap();
        kube.scale("web", 5, "kubectl-scale");
        pause.resume().await.unwrap();
    });
    assert_eq!((kube.object("web"), kube.object("queue")), ((5, None), (2, None)));
}

#[test]
fn a_note_that_is_taken_away_meanwhile_is_not_needed_by_who_wrote_it() {
    let (kube, work) = (Kube::start(), WorkDir::new());
    let config = config(&kube, &work);
    within(async {
        let mut pause = Pause::new(&config, "r1");
        pause.pause().await.unwrap();
        kube.take_note("web");
        kube.take_note("queue");
        pause.still().await.unwrap();
        pause.resume().await.unwrap();
    });
    is_as_before(&kube);
}

#[test]
fn what_was_at_zero_before_stays_at_zero() {
    let (kube, work) = (Kube::start(), WorkDir::new());
    kube.scale("web", 0, "kubectl-scale");
    let config = config(&kube, &work);
    within(async {
        let mut pause = Pause::new(&config, "r1");
        pause.pause().await.unwrap();
        pause.resume().await.unwrap();
    });
    assert_eq!((kube.object("web"), kube.object("queue")), ((0, None), (2, None)));
}

#[test]
fn a_pause_that_is_cancelled_while_a_change_is_under_way_is_given_back() {
    let (kube, work) = (Kube::start(), WorkDir::new());
    kube.fault(Op::Patch, Fault::Late(Duration::from_millis(600)));
    let config = config(&kube, &work);
    within(async {
        let mut pause = Pause::new(&config, "r1");
        tokio::select! {
            paused = pause.pause() => panic!("not cancelled: {paused:?}"),
            () = async { while kube.seen().last().is_none_or(|seen| seen != "Patch web") { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
        }
        pause.resume().await.unwrap();
        kube.until_idle();
    });
    is_as_before(&kube);
}

#[test]
fn what_a_dead_run_left_is_found_and_given_back_from_anywhere() {
    let (kube, work) = (Kube::start(), WorkDir::new());
    within(async {
        let dead = config(&kube, &work);
        let mut pause = Pause::new(&dead, "r1");
        pause.pause().await.unwrap();
        std::mem::forget(pause);

        // Another pod, without whatever the first one wrote.
        let elsewhere = WorkDir::new();
        let config = config(&kube, &elsewhere);
        let found = pause::left_scaled(&config).await.unwrap();
        let left: Vec<String> = found.iter().map(|left| format!("{} {}", left.object, left.run)).collect();
        assert_eq!(left, ["deployment/web r1", "statefulset/queue r1"]);
        let other = pause::Config { app: "other".to_owned(), ..config.clone() };
        assert_eq!(pause::left_scaled(&other).await.unwrap(), []);
        let mut refused = Pause::new(&other, "r2");
        let told = format!("{:#}", refused.pause().await.unwrap_err());
        assert!(told.contains("run r1 of application shop"), "{told}");
        refused.resume().await.unwrap();
        is_paused(&kube, "r1");
        pause::resume_scaled(&config, &found).await.unwrap();
    });
    is_as_before(&kube);
}
