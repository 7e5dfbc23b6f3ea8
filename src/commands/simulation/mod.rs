//! Histories that nobody thought of: backups, restores, drills and retention of two applications in one bucket, by pods that are refused,
//! killed or held up at any of their requests, under a clock that also jumps back. After every step the store is held against a
//! [`model`] of what must be there.
//!
//! Real: the store (a directory in memory), the packing, seals, names, the list, the choice, the reading and proving, the retention with its
//! deletions, the proofs, the lock of a directory. Made up: the clock, pg_dump's text, and the faults between the store and its caller.
//! The whole binary, with servers and restic, has histories of its own: `tests/simulation`.
//!
//! A history that fails is told, shrunk to the steps that it needs. `BKP_SEEDS=1000` plays more of them (`make simulate`).

pub mod clock;
mod model;
mod pod;
mod tests;
mod world;

use jiff::SignedDuration;
use proptest::prelude::*;

use self::world::World;
use crate::repository::bucket::faults::{Fault, Faults};
use crate::settings::{Retention, Span};

/// What happens next. An application is its number.
#[derive(Debug, Clone)]
enum Step {
    /// Time goes by.
    Pass {
        minutes: i64,
    },
    Backup {
        app: usize,
        rows: u64,
        fault: Option<(usize, Fault)>,
    },
    /// What a restore saves of what it replaces.
    Safety {
        app: usize,
        rows: u64,
    },
    /// A second pod comes while the first has done so many requests.
    Together {
        apps: [usize; 2],
        rows: u64,
        before: usize,
    },
    Forget {
        app: usize,
        fault: Option<(usize, Fault)>,
    },
    Drill {
        app: usize,
        which: usize,
        fault: Option<(usize, Fault)>,
    },
    Restore {
        which: usize,
    },
    /// A script that knows nothing of seals.
    OldScript {
        rows: u64,
    },
    /// The operator thinks again.
    Rules {
        app: usize,
        rules: Retention,
    },
}

fn fault() -> impl Strategy<Value = Option<(usize, Fault)>> {
    let one = prop::sample::select(vec![Fault::Refused, Fault::AnswerLost, Fault::Death, Fault::DeathAfter]);
    prop::option::weighted(0.4, (prop_oneof![3 => 0..6_usize, 1 => 6..40_usize], one))
}

fn rules() -> impl Strategy<Value = Retention> {
    let count = |most: u32| prop::option::weighted(0.4, 1..=most);
    let counts = (count(4), count(6), count(4), count(3), count(3), count(2));
    (counts, prop::option::weighted(0.3, 1..60_u32), 1..=3_u32).prop_map(|(counts, days, min)| {
        let (last, hourly, daily, weekly, monthly, yearly) = counts;
        let within = days.map(|days| Span { days, ..Span::default() });
        Retention { last, hourly, daily, weekly, monthly, yearly, within, min }
    })
}

fn step() -> impl Strategy<Value = Step> {
    // Seconds, hours, nights, months; and a clock that was set right, backwards.
    let minutes =
        prop_oneof![2 => Just(0_i64), 3 => 1..120_i64, 6 => 1380..1500_i64, 1 => 30_000..60_000_i64, 1 => -3000..0_i64];
    let (app, rows) = (|| 0..2_usize, || 0..20_u64);
    prop_oneof![
        5 => minutes.prop_map(|minutes| Step::Pass { minutes }),
        8 => (app(), rows(), fault()).prop_map(|(app, rows, fault)| Step::Backup { app, rows, fault }),
        1 => (app(), rows()).prop_map(|(app, rows)| Step::Safety { app, rows }),
        2 => (app(), app(), rows(), 0..12_usize)
            .prop_map(|(one, other, rows, before)| Step::Together { apps: [one, other], rows, before }),
        2 => (app(), fault()).prop_map(|(app, fault)| Step::Forget { app, fault }),
        2 => (app(), 0..9_usize, fault()).prop_map(|(app, which, fault)| Step::Drill { app, which, fault }),
        1 => (0..40_usize).prop_map(|which| Step::Restore { which }),
        1 => rows().prop_map(|rows| Step::OldScript { rows }),
        1 => (app(), rules()).prop_map(|(app, rules)| Step::Rules { app, rules }),
    ]
}

async fn take(step: &Step, world: &mut World) -> Result<(), String> {
    let faults = |fault: &Option<(usize, Fault)>| match fault {
        Some((before, fault)) => Faults::after(*before, *fault),
        None => Faults::default(),
    };
    match step {
        Step::Pass { minutes } => {
            // A clock that is set back never meets the seconds that it has told before.
            world.pass(SignedDuration::from_mins(*minutes) + SignedDuration::from_secs(1));
            Ok(())
        }
        Step::Backup { app, rows, fault } => world.backup(*app, *rows, false, faults(fault)).await,
        Step::Safety { app, rows } => world.backup(*app, *rows, true, Faults::default()).await,
        Step::Together { apps, rows, before } => world.together(*apps, *rows, *before).await,
        Step::Forget { app, fault } => world.forget(*app, faults(fault)).await,
        Step::Drill { app, which, fault } => world.drill(*app, *which, faults(fault)).await,
        Step::Restore { which } => world.restore(*which).await,
        Step::OldScript { rows } => world.old_script(*rows).await,
        Step::Rules { app, rules } => {
            world.rule(*app, rules.clone());
            Ok(())
        }
    }?;
    world.holds().await
}

/// Plays one history; how many faults it met, or what did not hold.
fn played(steps: &[Step]) -> Result<usize, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut world = World::new();
        for (at, step) in steps.iter().enumerate() {
            take(step, &mut world).await.map_err(|what| format!("step {} ({step:?}): {what}", at + 1))?;
        }
        Ok(world.met)
    })
}
