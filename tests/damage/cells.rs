//! One damage of one thing, and what each command makes of it.

use super::words::Told;
use super::world::{Store, World};
use crate::support::bkp::Output;

/// A command that reads what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    List,
    Check,
    CheckData,
    Drill,
    /// A restore of the newest.
    Latest,
    /// Of the damaged night, by its run.
    Named,
    /// Of the night before, by its run.
    Before,
    Undo,
    Resume,
}

use Asked::{Before, Check, CheckData, Drill, Latest, List, Named, Resume, Undo};

/// In the order in which the table has them. A drill is last, because it stores its proof.
pub const ASKED: [Asked; 7] = [List, Check, CheckData, Latest, Named, Before, Drill];

/// What of it `make test` asks.
const ASKED_BRIEFLY: [Asked; 3] = [CheckData, Latest, Drill];

impl Asked {
    pub fn word(self) -> &'static str {
        match self {
            List => "list",
            Check => "check",
            CheckData => "check --read-data",
            Drill => "drill",
            Latest => "restore",
            Named => "restore NIGHT-2",
            Before => "restore NIGHT-1",
            Undo => "restore --undo",
            Resume => "resume",
        }
    }
}

/// What came of a command.
#[derive(Debug, Clone)]
pub struct Answer {
    pub asked: Asked,
    pub code: i32,
    pub told: Told,
    /// The night that is live after it, where it changed what is live.
    pub night: Option<usize>,
    /// What it must not have done.
    pub fault: Option<String>,
}

impl Answer {
    pub fn word(&self) -> String {
        match (self.night, self.code) {
            (Some(night), _) if self.told == Told::Nothing => format!("night {}", night + 1),
            (Some(night), _) => format!("night {}, {}", night + 1, self.told.word()),
            (None, 0) if self.told == Told::Nothing => "ok".to_owned(),
            (None, code) => format!("{code} {}", self.told.word()).trim().to_owned(),
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone)]
pub struct Cell {
    pub what: String,
    pub how: &'static str,
    /// What it may be told as, when it is told.
    pub expected: Vec<Told>,
    pub answers: Vec<Answer>,
    /// Whether a check has to find what does not restore; restic's own finds what is wrong with its files, and reads no seal.
    pub is_checked: bool,
}

/// Asks all commands about the store as it is now; mends it afterwards.
pub fn ask(world: &World, what: &str, how: &'static str, expected: &[Told]) -> Cell {
    let asked: &[Asked] = if super::all() { &ASKED } else { &ASKED_BRIEFLY };
    let answers = asked.iter().map(|asked| answer(world, *asked, &format!("{what}, {how}"))).collect();
    world.mend();
    Cell { what: what.to_owned(), how, expected: expected.to_vec(), answers, is_checked: true }
}

fn answer(world: &World, asked: Asked, whence: &str) -> Answer {
    let output = match asked {
        List => world.run(&["list"]),
        Check => world.run(&["check"]),
        CheckData => world.run(&["check", "--read-data"]),
        Drill => world.run(&["drill"]),
        Latest => world.run(&["restore", "--yes"]),
        Named => world.run(&["restore", "--yes", &world.names[1]]),
        Before => world.run(&["restore", "--yes", &world.names[0]]),
        Undo => world.run(&["restore", "--undo", "--yes"]),
        Resume => world.run(&["resume"]),
    };
    let restores = matches!(asked, Latest | Named | Before);
    let night = if restores && output.code == 0 { world.night() } else { None };
    let fault = fault(world, asked, &output, night);
    if std::env::var_os("BKP_TEST_SHOW_DAMAGE").is_some() && (output.code != 0 || !restores && asked != Drill) {
        println!("#### {whence}: {} {}\n{}{}", asked.word(), output.code, output.stdout, output.stderr);
    }
    if restores && output.code == 0 {
        world.take_back();
    }
    Answer { asked, code: output.code, told: Told::by(&output), night, fault }
}

fn fault(world: &World, asked: Asked, output: &Output, night: Option<usize>) -> Option<String> {
    let restored = matches!(asked, Latest | Named | Before) && output.code == 0;
    if !restored && world.state() != world.live {
        return Some(format!("it changed what is live: {:?}", world.state()));
    }
    if restored && night.is_none() {
        return Some(format!("it restored what no night had: {:?}", world.state()));
    }
    let wanted = match asked {
        Named => Some(1),
        Before => Some(0),
        _ => None,
    };
    if restored && wanted.is_some() && night != wanted {
        return Some("it restored another night than the one that was named".to_owned());
    }
    if output.code == 0 {
        return None;
    }
    if ![1, 5, 10, 11, 12].contains(&output.code) {
        return Some(format!("exit code {}", output.code));
    }
    if !output.stderr.contains("hint: ") {
        return Some("it does not say what to do".to_owned());
    }
    let place = world.place().display().to_string();
    let named = [&world.runs[0], &world.runs[1], &place].iter().any(|name| output.stderr.contains(*name));
    let object = world.store == Store::Bucket && output.stderr.contains("db/db_dump-");
    (!named && !object).then(|| "it does not name the thing".to_owned())
}

impl Cell {
    fn code(&self, asked: Asked) -> Option<i32> {
        self.answers.iter().find(|answer| answer.asked == asked).map(|answer| answer.code)
    }

    /// Whether anybody noticed.
    pub fn is_noticed(&self) -> bool {
        self.answers.iter().any(|answer| answer.code != 0 || answer.told != Told::Nothing)
    }

    /// Whether it keeps the damaged night, or the newest, from coming back.
    pub fn matters(&self) -> bool {
        let newest = |answer: &&Answer| matches!(answer.asked, Latest | Named);
        self.answers.iter().filter(newest).any(|answer| answer.night != Some(1))
    }

    /// What of it is not as it must be, each as a line.
    pub fn faults(&self) -> Vec<String> {
        let row = format!("{}, {}", self.what, self.how);
        let mut faults: Vec<String> = self
            .answers
            .iter()
            .filter_map(|answer| Some(format!("{row}: {}: {}", answer.asked.word(), answer.fault.as_ref()?)))
            .collect();
        for answer in self.answers.iter().filter(|answer| answer.code != 0) {
            if !self.expected.contains(&answer.told) {
                faults.push(format!(
                    "{row}: {}: told as {:?}, not as {:?}",
                    answer.asked.word(),
                    answer.told,
                    self.expected
                ));
            }
        }
        // What does not restore, the check that reads all must have found, and the drill as well.
        if self.code(Latest).is_some_and(|code| code != 0) {
            for asked in [CheckData, Drill] {
                if self.code(asked) == Some(0) && (self.is_checked || asked == Drill) {
                    faults.push(format!("{row}: it does not restore, and {} finds nothing", asked.word()));
                }
            }
        }
        if self.matters() && !self.is_noticed() && !self.expected.contains(&Told::Nothing) {
            faults.push(format!("{row}: nobody noticed"));
        }
        faults
    }
}
