//! Histories that nobody thought of, by the built binary: backups, restores, retention, password changes and second pods, each in a pod of
//! its own that may be killed, told to end or refused at any call of restic, against a real server and real repositories. After every step
//! the world is held against a simple model: which runs are whole, what the application has, that it is open, and which password opens.
//!
//! A history that fails is told up to where it failed. `BKP_SEEDS=200` plays more of them (`make simulate`). Thousands, of what needs no
//! program: `src/commands/simulation`.

mod world;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::world::{Good, World, died};
use crate::support::bkp::Output;
use crate::support::cluster::Cluster;

/// What goes wrong at a call of restic, and before how many others it does not.
type Fault = Option<(usize, &'static str)>;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// The application writes, and time goes by.
    Write {
        minutes: i64,
    },
    Backup {
        fault: Fault,
    },
    Restore {
        which: usize,
        fault: Fault,
    },
    ChangePassword {
        fault: Fault,
    },
    /// Two backups at once.
    Together,
    Forget,
}

fn fault(calls: usize, of: Vec<&'static str>) -> impl Strategy<Value = Fault> {
    prop::option::weighted(0.75, (0..calls, prop::sample::select(of)))
}

/// `calls` is about how many times a backup calls restic.
fn step(calls: usize) -> impl Strategy<Value = Step> {
    let any = move || fault(calls, vec!["kill", "kill-after", "fail", "term"]);
    prop_oneof![
        2 => (1..2000_i64).prop_map(|minutes| Step::Write { minutes }),
        6 => any().prop_map(|fault| Step::Backup { fault }),
        3 => (0..5_usize, any()).prop_map(|(which, fault)| Step::Restore { which, fault }),
        // Ended while it makes a key, the quick restic would stand still for ever.
        1 => fault(8, vec!["kill", "kill-after", "fail"]).prop_map(|fault| Step::ChangePassword { fault }),
        1 => Just(Step::Together),
        1 => Just(Step::Forget),
    ]
}

/// The history of a seed.
fn history(seed: u64, steps: usize, calls: usize) -> Vec<Step> {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    prop::collection::vec(step(calls), steps).new_tree(&mut runner).expect("a history").current()
}

impl World<'_> {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Write { minutes } => {
                self.pass(*minutes);
                self.write();
            }
            Step::Backup { fault } => self.backup(*fault),
            Step::Restore { which, fault } => self.restore(*which, *fault),
            Step::ChangePassword { fault } => self.change_password(*fault),
            Step::Together => self.together(),
            Step::Forget => {
                self.bkp(&["forget"]).env("BKP_LOCK_WAIT", "30").run().ok();
                self.good.truncate(self.last);
                let listed = self.listed();
                self.are_whole(&listed);
            }
        }
    }

    fn are_whole(&self, listed: &[String]) {
        let wanted: Vec<&String> = self.good.iter().map(|good| &good.run).collect();
        assert_eq!(listed.iter().collect::<Vec<_>>(), wanted, "what is whole");
    }

    /// What a list shows that was not there before, as the newest.
    fn newer(&mut self, listed: &[String]) -> usize {
        let new: Vec<&String> = listed.iter().filter(|run| self.good.iter().all(|good| good.run != **run)).collect();
        for run in new.iter().rev() {
            self.good.insert(0, Good { run: (*run).clone(), version: self.version });
        }
        new.len()
    }

    fn backup(&mut self, fault: Fault) {
        self.pass(1);
        self.plan(fault);
        let out = self.bkp(&["backup"]).env("BKP_LOCK_WAIT", "30").run();
        self.is_quiet();
        let was_met = self.was_met();
        let listed = self.listed();
        let new = self.newer(&listed);
        assert!(new <= 1, "{new} new runs of one backup");
        match out.code {
            0 | 4 => assert_eq!(new, 1, "it says that it is saved: {out:?}"),
            // What is whole in one of two stores is a backup.
            1 => assert!(was_met && (new == 0 || self.bucket), "{out:?}"),
            _ => assert!(was_met && died(&out), "{out:?}"),
        }
        match out.code {
            0 => self.good.truncate(self.last),
            // As far as it came: the oldest go first, and none that the rule keeps.
            _ => {
                let (stay, may_go) = self.good.split_at(self.good.len().min(self.last));
                let left = may_go.iter().filter(|good| listed.contains(&good.run));
                self.good = stay.iter().chain(left).cloned().collect();
            }
        }
        self.are_whole(&listed);
        self.is_open(&out);
    }

    fn restore(&mut self, which: usize, fault: Fault) {
        if self.good.is_empty() {
            return;
        }
        let chosen = self.good[which % self.good.len()].clone();
        let before = self.version;
        self.plan(fault);
        let out = self.bkp(&["restore", &chosen.run]).env("BKP_LOCK_WAIT", "30").run();
        self.is_quiet();
        let was_met = self.was_met();
        assert!(was_met || out.code == 0, "{out:?}");
        self.is_open(&out);
        if out.code == 137 {
            self.bkp(&["resume"]).env("BKP_LOCK_WAIT", "30").run().ok();
        }
        let is_new = self.is_of(chosen.version);
        assert!(
            is_new || (out.code != 0 && self.is_of(before)),
            "neither {before} nor {}: {:?} {out:?}",
            chosen.version,
            self.state()
        );
        assert!(self.half_made().is_empty(), "{:?}", self.half_made());
        if is_new {
            self.version = chosen.version;
        }
        let listed = self.listed();
        self.are_whole(&listed);
    }

    fn change_password(&mut self, fault: Fault) {
        let new = self.next_password();
        self.plan(fault);
        let mut out = self.bkp(&["change-password"]).env("RESTIC_NEW_PASSWORD_FILE", &new).run();
        self.is_quiet();
        let was_met = self.was_met();
        if out.code != 0 {
            assert!(was_met, "{out:?}");
            // Whoever comes meanwhile has both.
            let listed = self.bkp(&["list", "--json"]).env("RESTIC_NEW_PASSWORD_FILE", &new).env("BKP_LOCK_WAIT", "30");
            listed.run().ok();
            out = self.bkp(&["change-password"]).env("RESTIC_NEW_PASSWORD_FILE", &new).env("BKP_LOCK_WAIT", "30").run();
        }
        out.ok();
        self.turn_password();
        let old = self.work.join("old");
        // A bucket has no password, and is listed all the same where it is the only one that opens: restic is asked for its own.
        self.bkp(&["list"]).env("RESTIC_PASSWORD_FILE", old).run().fails_with(12);
    }

    fn together(&mut self) {
        self.pass(1);
        let one = self.bkp(&["backup"]).spawn();
        let other = self.bkp(&["backup"]).run();
        let one = one.wait();
        let codes = [one.code, other.code];
        let done = codes.iter().filter(|code| **code == 0).count();
        assert!(codes.iter().all(|code| matches!(code, 0 | 11)) && done > 0, "{one:?}\n{other:?}");
        let listed = self.listed();
        let new = self.newer(&listed);
        assert!(new == done || new == self.last.min(done), "{done} said that they have saved, and {new} are new");
        self.good.truncate(self.last);
        self.are_whole(&listed);
        self.is_open(&one);
    }

    /// The application is given back; where a pod was killed, by the next start.
    fn is_open(&mut self, out: &Output) {
        if out.code == 137 && self.closed().exists() {
            self.bkp(&["resume"]).env("BKP_LOCK_WAIT", "30").run().ok();
        }
        assert!(!self.closed().exists(), "the application is closed, and nobody works on it: {out:?}");
    }
}

/// How many histories are played, and from which seed on.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("BKP_SEED").unwrap_or(0);
    first..first + number("BKP_SEEDS").unwrap_or(usual)
}

fn play(seeds: std::ops::Range<u64>, steps: usize, cluster: Option<&Cluster>) {
    let (histories, mut met) = (seeds.end - seeds.start, 0);
    for seed in seeds {
        let history = history(seed, steps, if cluster.is_some() { 6 } else { 3 });
        let mut world = World::new(cluster, cluster.is_some() && seed % 2 == 1, 2 + (seed % 3) as usize);
        for (at, step) in history.iter().enumerate() {
            let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.take(step)));
            if taken.is_err() {
                let told: String = history[..=at].iter().map(|step| format!("  {step:?}\n")).collect();
                panic!("history {seed} does not hold at its last step:\n{told}");
            }
        }
        // The next start finds no lock of the dead in its way, and leaves none.
        world.take(&Step::Backup { fault: None });
        world.check();
        met += world.met;
    }
    println!("{histories} histories of {steps} steps, {met} faults met");
    assert!(met as u64 >= 2 * histories, "the faults are where nobody comes by");
}

#[test]
fn whatever_happens_to_files_every_good_run_restores_and_the_application_is_open() {
    play(seeds(8), 10, None);
}

#[test]
fn whatever_happens_to_databases_and_files_every_good_run_restores_and_the_application_is_open() {
    let cluster = Cluster::start(17);
    play(seeds(4), 8, Some(&cluster));
}
