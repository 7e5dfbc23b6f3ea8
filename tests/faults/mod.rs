//! The fault matrix: every step of every command, and all that can go wrong at it, through decorators around the real programs and lines
//! to the real servers. After each fault the same invariants are looked at, and again after the next start (`judge`).
//!
//! The steps are not written down: a first run of each story tells them. A fault whose step was not reached fails the test.
//! `make faults` takes every cell, `make test` a spread of them.

mod fault;
mod judge;
mod line;
mod programs;
mod scene;
mod story;
mod strike;
mod table;
mod trap;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::Signal;

use self::fault::{Fault, Kind, Step};
use self::judge::{Before, Outcome, judge};
use self::scene::Scene;
use self::story::Story;
use self::table::Table;
use crate::store::servers::{Server, seaweedfs};
use crate::support::bkp::{Output, Running};

/// After so many faults a new scene is set, for the watch over tests that hang counts by its age.
const ANEW: usize = 60;

/// How long nothing goes on before somebody loses patience.
const PATIENCE: Duration = Duration::from_millis(300);

/// How long the world stays broken for who waits for better times.
const BROKEN: Duration = Duration::from_secs(4);

/// Nothing that is mended takes longer.
const LIMIT: Duration = Duration::from_secs(90);

/// One fault at one step.
#[derive(Clone, Debug)]
struct Cell {
    step: Step,
    fault: Fault,
}

/// Of how many cells of a story one is taken, where `BKP_FAULTS` says so: `all` of them, or one in so many.
fn one_in() -> Option<usize> {
    let wanted = std::env::var("BKP_FAULTS").ok()?;
    if wanted == "all" { Some(1) } else { wanted.parse().ok() }
}

/// For whoever looks into one story, fault or step: only cells whose words hold this, all of `this&that`, or one of `this|that`.
fn is_chosen(story: Story, cell: &Cell) -> bool {
    let told = format!("{}: {:?} at {}", story.name(), cell.fault, cell.step);
    std::env::var("BKP_FAULTS_ONLY")
        .map_or(true, |only| only.split('|').any(|some| some.split('&').all(|word| told.contains(word))))
}

/// All cells of a story, or some: of each column as many as its share.
fn cells(story: Story, number: usize, steps: &[Step]) -> Vec<Cell> {
    let mut all = Vec::new();
    for step in thinned(story, steps) {
        for fault in fault::at(&step, story.has_database(), story.is_restic()) {
            all.push(Cell { step: step.clone(), fault });
        }
    }
    all.retain(|cell| is_chosen(story, cell));
    if let Some(one_in) = one_in() {
        // Another rest in each story, so that together they take all faults.
        return all.into_iter().skip(number % one_in).step_by(one_in).collect();
    }
    let mut some = Vec::new();
    for column in 0..fault::COLUMNS.len() {
        let of: Vec<&Cell> = all.iter().filter(|cell| cell.fault.column() == column).collect();
        // Another step and another fault of the column in each story.
        let is_its_turn = match story.is_of_one_thing() {
            true => column == Fault::Kill.column(),
            false => (column + number).is_multiple_of(SHARE),
        };
        if !of.is_empty() && is_its_turn {
            some.push(of[(7 * number + 3 * column) % of.len()].clone());
        }
    }
    some
}

/// How many stories are told at once.
fn width() -> usize {
    std::env::var("BKP_FAULTS_WIDTH").ok().and_then(|width| width.parse().ok()).unwrap_or(2)
}

/// Of the columns of a story `make test` takes one in so many.
const SHARE: usize = 5;

/// The steps at which faults are put. Of calls and requests of one name, the first and the last; of what is said to PostgreSQL, some, as
/// it is much, and how much differs a little from run to run. A story on a server is about the requests: its children are those of
/// the same story on a directory.
fn thinned(story: Story, steps: &[Step]) -> Vec<Step> {
    let last = |step: &Step| steps.iter().filter(|other| (other.kind, &other.name) == (step.kind, &step.name)).count();
    let keeps = |step: &&Step| match step.kind {
        _ if story.scales && !matches!(step.kind, Kind::Api | Kind::Asked) => false,
        // A story about the parts of one upload.
        _ if story.large => ["part", "upload", "uploads"].iter().any(|what| step.name.ends_with(&format!(" {what}"))),
        Kind::Message | Kind::Api => {
            // How often the cluster is asked while pods go is a matter of time.
            let sure = if step.kind == Kind::Api { last(step) * 3 / 4 } else { last(step) * 9 / 10 };
            let wanted = if story.scales { 3 * MESSAGES } else { MESSAGES };
            step.nth <= sure && step.nth.is_multiple_of((sure / wanted).max(1))
        }
        Kind::Request | Kind::Asked => step.nth == 1 || step.nth == last(step),
        Kind::Begins | Kind::Ends => !story.remote && (step.nth == 1 || step.nth == last(step)),
    };
    let mut kept: Vec<Step> = steps.iter().filter(keeps).cloned().collect();
    kept.dedup();
    kept
}

/// How many of the messages of a connection meet faults.
const MESSAGES: usize = 5;

/// A run, and how many steps of the fault's name it took.
struct Met {
    out: Output,
    is_reached: bool,
    steps: usize,
}

/// Lets a run meet its fault.
fn meet(scene: &mut Scene, cell: &Cell) -> Result<Met> {
    let (world, fault) = (scene.world.clone(), cell.fault);
    let strike = Box::new(move |pid| world.strike(fault, pid));
    scene.trap.set(Some((cell.step.clone(), fault, strike)));
    let mut running = scene.ready(scene.story.arguments(), Some(fault)).spawn();
    scene.trap.hits(running.pid());
    let ended = attend(scene, fault, &mut running);
    if ended.is_err() {
        running.kill(Signal::KILL);
    }
    let is_reached = scene.trap.is_reached();
    // Also for what a killed bkp left.
    scene.trap.let_go();
    let out = running.wait();
    let is_alike = |step: &&Step| (step.kind, &step.name) == (cell.step.kind, &cell.step.name);
    let steps = scene.trap.seen().iter().filter(is_alike).count();
    scene.trap.set(None);
    scene.world.relieve();
    if fault == Fault::ServerFull {
        scene.raise_server();
    }
    ended.with_context(|| said(&out))?;
    Ok(Met { out, is_reached, steps })
}

/// Waits for the end of a run, as whoever runs it would: a hung one is asked to end, then killed; a broken world is mended some time.
fn attend(scene: &Scene, fault: Fault, running: &mut Running) -> Result<()> {
    let (begun, mut reached, mut asked) = (Instant::now(), None, None);
    let mut relieved = false;
    while running.running() {
        thread::sleep(Duration::from_millis(5));
        if reached.is_none() && scene.trap.is_reached() {
            reached = Some(Instant::now());
        }
        let since = |moment: Option<Instant>| moment.map_or(Duration::ZERO, |moment| moment.elapsed());
        if fault.grace().is_some() && since(reached) > PATIENCE && asked.is_none() {
            running.kill(Signal::TERM);
            asked = Some(Instant::now());
        }
        if fault.grace().is_some_and(|grace| since(asked) > grace) {
            running.kill(Signal::KILL);
        }
        if since(reached) > BROKEN && !relieved {
            scene.world.relieve();
            if fault == Fault::Frozen {
                scene.trap.let_go();
            }
            relieved = true;
        }
        ensure!(begun.elapsed() < LIMIT, "it hangs");
    }
    Ok(())
}

/// What a run said, to be read.
fn said(out: &Output) -> String {
    format!("exit {}\n{}{}", out.code, out.stdout, out.stderr)
}

/// One cell from a clean scene to its judgement.
fn play(scene: &mut Scene, round: usize, cell: &Cell) -> Result<Outcome> {
    let mut cell = cell.clone();
    loop {
        scene.reset(round);
        let before = Before::of(scene)?;
        let Met { out, is_reached, steps } = meet(scene, &cell)?;
        if is_reached {
            return judge(scene, &before, cell.fault, &out).with_context(|| said(&out));
        }
        // On a server nothing is put back, and how much restic asks, and prunes, differs from run to run: the last is another one then.
        let differs = scene.story.remote && scene.story.is_restic() && (1..cell.step.nth).contains(&steps);
        ensure!(differs, "the fault was not reached\n{}", said(&out));
        cell.step.nth = steps;
    }
}

/// What is told of all that is played.
#[derive(Default)]
struct Told {
    table: Table,
    faults: Vec<String>,
    steps: usize,
}

/// Plays a story's cells on scenes of its own.
fn tell(story: Story, number: usize, server: Option<&Arc<Server>>, told: &Mutex<Told>) {
    let mut scene = Scene::open(story, server);
    let steps = scene.steps();
    told.lock().unwrap_or_else(PoisonError::into_inner).steps += steps.len();
    for (round, cell) in cells(story, number, &steps).iter().enumerate() {
        if round > 0 && round % ANEW == 0 {
            scene = Scene::open(story, server);
        }
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| play(&mut scene, round + 1, cell)));
        let outcome = outcome.unwrap_or_else(|_| Err(anyhow!("the test itself panicked, as told above")));
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let row = match cell.step.name.as_str() {
            "pause" | "resume" => format!("quiesce by command, {}", story.name()),
            _ => story.name(),
        };
        println!(
            "{row}: {:?} at {}: {} in {:?}",
            cell.fault,
            cell.step,
            outcome.as_ref().map_or("WRONG".to_owned(), |outcome| format!("{outcome:?}")),
            begun.elapsed()
        );
        match outcome {
            Ok(outcome) => told.table.add(&row, cell.fault.column(), outcome),
            Err(error) => {
                println!("{error:#}");
                told.faults.push(format!("{row}: {:?} at {}: {error:#}", cell.fault, cell.step));
            }
        }
    }
}

#[test]
fn whatever_goes_wrong_at_whatever_step_nothing_is_lost_and_the_truth_is_told() {
    let only = std::env::var("BKP_FAULTS_STORY").unwrap_or_default();
    let stories = Story::ALL.into_iter().enumerate().filter(|(_, story)| story.name().contains(&only));
    let queue: Mutex<VecDeque<(usize, Story)>> = Mutex::new(stories.collect());
    let is_remote = queue.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(_, story)| story.remote);
    let server = is_remote.then(|| Arc::new(seaweedfs()));
    let told = Mutex::new(Told::default());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for number in 0..width() {
            let tell_all = || {
                while let Some((number, story)) = next() {
                    tell(story, number, server.as_ref(), &told);
                }
            };
            // Named for the watch over tests that hang.
            thread::Builder::new().name(format!("faults {number}")).spawn_scoped(scope, tell_all).expect("a thread");
        }
    });
    let told = told.into_inner().unwrap_or_else(PoisonError::into_inner);
    let [done, failed, died] = told.table.totals();
    println!("{}", told.table);
    println!(
        "{} faults at {} steps: {done} survived, {failed} failed and told so, {died} killed",
        done + failed + died,
        told.steps
    );
    assert!(told.faults.is_empty(), "{} cells are wrong:\n{}", told.faults.len(), told.faults.join("\n\n"));
}
