//! What lies beside the live data: the note of a pause, the journal of replaced files, the comment on a replaced database. Damaged, none
//! of it makes an undo or a resume do half of something, or throw away what it cannot judge.

use std::fs;
use std::path::PathBuf;

use super::cells::{Answer, Asked, Cell};
use super::kinds::{Damage, put};
use super::words::Told;
use super::world::{State, Store, World};
use crate::support::bkp::Output;

const OF_BYTES: [Damage; 6] = [
    Damage::Emptied,
    Damage::Halved,
    Damage::LastByte,
    Damage::FlippedFirst,
    Damage::FlippedMiddle,
    Damage::FlippedLast,
];

fn ways() -> Vec<Damage> {
    if super::all() { OF_BYTES.to_vec() } else { vec![Damage::Halved, Damage::FlippedMiddle] }
}

/// An application as a restore has left it, with what it put aside.
struct Restored {
    world: World,
    restored: State,
}

impl Restored {
    fn new() -> Self {
        let world = World::saved(Store::Restic);
        world.run(&["restore", "--yes"]).ok();
        let restored = world.content();
        Self { world, restored }
    }

    fn journal(&self) -> PathBuf {
        let all = fs::read_dir(self.world.app.files()).expect("files").flatten().map(|entry| entry.path());
        let mut ours = all.filter(|path| path.display().to_string().contains("/.bkp-"));
        ours.next().expect("what was put aside").join("journal.json")
    }

    fn aside(&self) -> String {
        let all = self.world.app.cluster.databases();
        all.into_iter().find(|name| name.starts_with("shop__was_")).expect("what was put aside")
    }

    fn comment(&self, database: &str) -> String {
        let asked =
            format!("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{database}'");
        self.world.app.cluster.psql("postgres", &asked)
    }

    fn say(&self, database: &str, comment: &str) {
        let quoted = comment.replace('\'', "''");
        self.world.app.cluster.psql("postgres", &format!("COMMENT ON DATABASE \"{database}\" IS '{quoted}'"));
    }

    /// Damages and asks for what would need it, each for itself; afterwards `mend` puts back what `harm` gave, and the restored
    /// application is live again.
    fn ask<T>(&self, what: &str, how: &'static str, named: &str, harm: impl Fn() -> T, mend: impl Fn(T)) -> Cell {
        let mut answers = Vec::new();
        for asked in [Asked::Resume, Asked::Undo] {
            let whole = harm();
            let output = match asked {
                Asked::Resume => self.world.run(&["resume"]),
                _ => self.world.run(&["restore", "--undo", "--yes"]),
            };
            let now = self.world.content();
            let is_undone = now == self.world.before();
            let fault = match (output.code, is_undone) {
                (0, true) if asked == Asked::Undo => None,
                _ if now != self.restored => Some(format!("it changed what is live: {now:?}")),
                (0, _) => None,
                _ => unclear(&output, named),
            };
            answers.push(Answer { asked, code: output.code, told: Told::by(&output), night: None, fault });
            if is_undone {
                self.world.run(&["restore", "--undo", "--yes"]).ok();
            } else {
                mend(whole);
            }
        }
        let expected = vec![Told::Changed, Told::Missing, Told::Mistaken, Told::Cut, Told::Other];
        Cell { what: what.to_owned(), how, expected, answers, is_checked: false }
    }
}

fn unclear(output: &Output, named: &str) -> Option<String> {
    if output.stderr.contains("hint: ") && output.stderr.contains(named) {
        return None;
    }
    Some(format!("it does not name {named}, or what to do: {}", output.stderr))
}

#[test]
fn a_damaged_journal_or_comment_makes_no_undo_of_one_half() {
    let scene = Restored::new();
    let mut cells = Vec::new();
    for how in [&[Damage::Deleted][..], &ways()].concat() {
        let harm = || {
            let journal = scene.journal();
            let whole = fs::read(&journal).expect("a journal");
            match how {
                Damage::Deleted => fs::remove_file(&journal).expect("removed"),
                _ => put(&journal, &how.of_bytes(&whole).expect("bytes")),
            }
            (journal, whole)
        };
        cells.push(scene.ask("journal of files", how.words(), ".bkp-", harm, |(journal, whole)| put(&journal, &whole)));
    }
    for how in [&[Damage::Deleted, Damage::Foreign][..], &ways()].concat() {
        let harm = || {
            let aside = scene.aside();
            let whole = scene.comment(&aside);
            let damaged = match how {
                Damage::Deleted => Vec::new(),
                Damage::Foreign => scene.comment(&aside.replacen("shop", "blog", 1)).into_bytes(),
                _ => how.of_bytes(whole.as_bytes()).expect("bytes"),
            };
            scene.say(&aside, &String::from_utf8(damaged).expect("ASCII"));
            (aside, whole)
        };
        cells.push(
            scene.ask("comment of a database", how.words(), "shop", harm, |(aside, whole)| scene.say(&aside, &whole)),
        );
    }
    scene.world.run(&["restore", "--undo", "--yes"]).ok();
    assert_eq!(scene.world.content(), scene.world.before(), "whole, it goes back");
    super::judge("beside the live data", &cells);
}

#[test]
fn a_damaged_note_of_a_pause_is_named_and_nothing_is_forgotten_by_it() {
    let world = World::saved(Store::Bucket);
    let (note, resumed) = (world.app.work.join("state/pause-shop.json"), world.app.work.join("resumed"));
    let whole = br#"{"format":1,"app":"shop","run":"20260101T000000Z-aaaaaa","file":null,"commands":true}"#;
    let resume = || {
        let _ = fs::remove_file(&resumed);
        let bkp = world.bkp(&["resume"]).env("BKP_PAUSE_COMMAND", "/bin/true");
        bkp.env("BKP_RESUME_COMMAND", format!("/usr/bin/touch {}", resumed.display())).run()
    };
    put(&note, whole);
    resume().ok();
    assert!(resumed.exists() && !note.exists(), "a whole one is resumed by");
    let mut cells = Vec::new();
    for how in ways() {
        put(&note, &how.of_bytes(whole).expect("bytes"));
        let output = resume();
        let fault = match (output.code, resumed.exists(), note.exists()) {
            (0, true, false) => None,
            (0, ..) => Some("the application stays down, and nobody says so".to_owned()),
            (_, false, false) => Some("the note is gone, and nothing was resumed".to_owned()),
            _ => unclear(&output, "pause-shop.json"),
        };
        let answer = Answer { asked: Asked::Resume, code: output.code, told: Told::by(&output), night: None, fault };
        let expected = vec![Told::Changed, Told::Cut];
        cells.push(Cell {
            what: "note of a pause".to_owned(),
            how: how.words(),
            expected,
            answers: vec![answer],
            is_checked: false,
        });
    }
    super::judge("a note", &cells);
}
