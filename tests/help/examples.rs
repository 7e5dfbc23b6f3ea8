//! The examples of all helps, run as they stand in a shell, against a real server, a bucket and a restic repository.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;

use super::{commands, examples, help};
use crate::items::App;
use crate::support::bkp::{Bkp, Output};
use crate::support::retimed::retimed;

/// A place in which everything is there that an example speaks of.
struct Scene {
    app: App,
    run: std::path::PathBuf,
}

impl Scene {
    fn set() -> Self {
        let app = App::quick();
        let dumps = app.work.dir("dumps");
        // Of the server alone: such a dump is restored by itself.
        let alone = app.bkp(["backup"]).bucket(&dumps).without("BKP_FILES").without("RESTIC_REPOSITORY");
        alone.without("RESTIC_PASSWORD_FILE").run().ok();
        let made = fs::read_dir(dumps.join("db")).expect("dumps").flatten().next().expect("a dump").path();
        for time in ["20261120_120000".to_owned(), hours_ago(3)] {
            let copy = dumps.join("db/db_dump-20000101_000000.bak.gz");
            fs::copy(&made, &copy).expect("copied");
            retimed(&copy, &time);
        }
        let run = app.work.dir("run");
        fs::copy(&made, run.join("dump.sql.gz")).expect("copied");
        app.bkp(["backup"]).bucket(&dumps).run().ok();
        for secret in [app.work.join("password"), app.work.file("run/new-password", "another\n")] {
            fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).expect("chmod");
        }
        Self { app, run }
    }

    fn bkp(&self, by: Bkp) -> Bkp {
        by.bucket(&self.app.work.join("dumps"))
    }

    /// One line, by a shell that finds bkp as an operator's does.
    fn run(&self, line: &str) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_bkp"));
        let found = format!("{}:/usr/bin:/bin", program.parent().expect("a directory").display());
        let script = format!("set -euo pipefail; cd {}\n{line}\n", self.run.display());
        let by = self.bkp(self.app.bkp([])).env("PATH", found);
        by.by_way_of(["bash", "-c", &script]).run()
    }
}

/// A time of before now, as the names of dumps have it.
fn hours_ago(hours: u64) -> String {
    let format = ["-u", "-d", &format!("{hours} hours ago"), "+%Y%m%d_%H%M%S"];
    let out = std::process::Command::new("date").args(format).output().expect("date");
    String::from_utf8(out.stdout).expect("a time").trim().to_owned()
}

#[test]
fn every_example_of_every_help_does_what_it_says() {
    let scene = Scene::set();
    let (mut tried, mut failed) = (0, Vec::new());
    let (last, first): (Vec<String>, _) = commands().into_iter().partition(|name| name == "change-password");
    // After another password nothing else opens the repository.
    for command in first.into_iter().chain(last) {
        for line in examples(&help(&command)) {
            tried += 1;
            match command.as_str() {
                "wait" => assert_eq!(waited(&scene), 0, "{line}"),
                _ => failed.extend(Some(scene.run(&line)).filter(|out| out.code != 0)),
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(tried > 30, "only {tried} examples");
    let copies = scene.app.cluster.psql("shop_copy", "SELECT count(*) FROM orders");
    assert_eq!(copies, "1000", "of restore --as");
    assert!(scene.run.join("look").exists() && scene.run.join("evidence.json").exists());
    assert!(fs::read_to_string(scene.run.join("rewritten.sql")).expect("SQL").contains("CREATE TABLE"));
}

fn waited(scene: &Scene) -> i32 {
    let idle = scene.bkp(scene.app.bkp(["wait"])).spawn();
    crate::support::wait::poll(std::time::Duration::from_secs(10), || catches_term(idle.pid()).then_some(()));
    idle.kill(Signal::TERM);
    idle.wait().code
}

/// Before it does, TERM ends it as it ends any program.
fn catches_term(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
    u64::from_str_radix(caught.trim(), 16).is_ok_and(|bits| bits & (1 << 14) != 0)
}

#[test]
fn the_examples_of_bkp_itself_are_those_of_its_commands() {
    let whole = Bkp::bare().args(["--help"]).run().ok().stdout;
    let all: Vec<String> = commands().iter().flat_map(|name| examples(&help(name))).collect();
    for line in examples(&whole) {
        let said = line.split('#').next().unwrap_or_default().trim();
        let is_there = all.iter().any(|other| other.split('#').next().unwrap_or_default().trim() == said);
        assert!(is_there || said == "bkp help restore", "{line}");
    }
}
