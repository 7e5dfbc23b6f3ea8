//! The built binary, ended in the middle of what it paused the application for.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use super::is_as_before;
use crate::support::bkp::{Bkp, Output};
use crate::support::kube::Kube;
use crate::support::parts;
use crate::support::wait::until;
use crate::support::workdir::WorkDir;

/// An application of files alone, whose backup scales it to zero.
struct Shop {
    kube: Kube,
    work: WorkDir,
    pods: Cell<u32>,
}

impl Shop {
    fn open() -> Self {
        let shop = Self { kube: Kube::start(), work: WorkDir::new(), pods: Cell::new(0) };
        shop.work.file("files/a", "a");
        shop.work.file("password", "correct horse");
        shop.restic_that("");
        shop.bkp(["init"]).run().ok();
        shop
    }

    /// Lets restic do something else where it saves.
    fn restic_that(&self, script: &str) {
        let real = parts::restic("0.18");
        let hit = if script.is_empty() {
            String::new()
        } else {
            format!("case \" $* \" in *\" backup \"*) {script};; esac\n")
        };
        let restic = self.work.file("restic", format!("#!/bin/sh\n{hit}exec {} \"$@\"\n", real.display()));
        fs::set_permissions(restic, fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    /// A backup that is hit when the application rests, and has a restic that does not end.
    fn paused_and_hit_by(&self, signal: Signal) -> Output {
        self.restic_that("while kill -0 $PPID 2>/dev/null; do sleep 0.05; done; exit 1");
        let running = self.bkp(["backup"]).spawn();
        until("the application rests", || self.kube.pods() == 0);
        running.kill(signal);
        let out = running.wait();
        self.restic_that("");
        out
    }

    /// Each call is a pod of its own: nothing that one writes is there for the next, but for the repository.
    fn bkp<const N: usize>(&self, arguments: [&str; N]) -> Bkp {
        self.pods.set(self.pods.get() + 1);
        let state = self.work.join(&format!("state-{}", self.pods.get()));
        Bkp::bare()
            .env("BKP_APP", "shop")
            .env("BKP_FILES", self.work.join("files"))
            .env("RESTIC_REPOSITORY", self.work.join("repository"))
            .env("RESTIC_PASSWORD_FILE", self.work.join("password"))
            .env("BKP_RESTIC_BIN", self.work.join("restic"))
            .env("BKP_STATE_DIR", state)
            .env("BKP_QUIESCE", "deployment/web,statefulset/queue")
            .env("BKP_QUIESCE_ON", "backup,restore")
            .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            .env("KUBERNETES_SERVICE_PORT", self.kube.port().to_string())
            .env("BKP_SERVICE_ACCOUNT_DIR", self.kube.account())
            .args(arguments)
    }
}

#[test]
fn a_killed_run_is_given_back_by_the_next_start_and_by_resume() {
    let shop = Shop::open();
    for command in ["resume", "backup"] {
        shop.paused_and_hit_by(Signal::KILL).fails_with(137);
        assert!(shop.kube.object("web").1.is_some() && shop.kube.object("queue").1.is_some());
        shop.bkp([command])
            .run()
            .ok()
            .says("scaled deployment/web back to 3")
            .says("scaled statefulset/queue back to 2");
        is_as_before(&shop.kube);
    }
}

#[test]
fn a_run_that_is_terminated_gives_back_before_it_ends() {
    let shop = Shop::open();
    shop.paused_and_hit_by(Signal::TERM).fails_with(143).says("scaled deployment/web back to 3");
    is_as_before(&shop.kube);
}

#[test]
fn a_backup_that_pauses_nothing_does_not_fail_for_lack_of_an_api() {
    let shop = Shop::open();
    let away = |bkp: Bkp| bkp.without("KUBERNETES_SERVICE_HOST").env("BKP_QUIESCE_ON", "restore");
    away(shop.bkp(["backup"])).run().ok().says("KUBERNETES_SERVICE_HOST is not set");
    away(shop.bkp(["resume"])).run().fails_with(1);
    away(shop.bkp(["restore", "--yes"])).run().fails_with(1).says("run bkp in a pod of the cluster");
}

#[test]
fn a_note_that_cannot_be_read_keeps_nothing_else_from_being_given_back() {
    let shop = Shop::open();
    for (command, code) in [("backup", 0), ("resume", 1)] {
        shop.paused_and_hit_by(Signal::KILL).fails_with(137);
        shop.kube.spoil_note("queue");
        let bkp = shop.bkp([command]).env("BKP_QUIESCE_ON", "restore").run();
        let told = if code == 0 { bkp.ok() } else { bkp.fails_with(code) };
        told.says("scaled deployment/web back to 3")
            .says("bkp/paused of statefulset/queue is none of this program's: replicas: 2")
            .says("kubectl -n shop annotate statefulset/queue bkp/paused-");
        assert_eq!(shop.kube.object("web"), (3, None));
        shop.kube.take_note("queue");
        shop.kube.scale("queue", 2, "kubectl");
    }
}

#[test]
fn a_restore_rests_the_application_and_gives_it_back() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.work.file("files/a", "b");
    let out = shop.bkp(["restore", "--yes"]).run().ok();
    out.says("scaled deployment/web from 3 to 0").says("scaled statefulset/queue back to 2").never_says("token-1");
    assert_eq!(fs::read_to_string(shop.work.join("files/a")).unwrap(), "a");
    is_as_before(&shop.kube);
}
