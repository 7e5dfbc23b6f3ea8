//! What a person is told when something fails, word for word: what happened, to what, what it means for the data, and what to do.
//!
//! Each fault is made for real. `BKP_BLESS=1 cargo test --test all -- messages::` writes the golden files anew; read what it changed.

mod dumps;
mod golden;
mod pauses;
mod restic;
mod server;
mod settings;
mod stores;

use std::collections::BTreeSet;
use std::fs;

use self::golden::{directory, normal};
use crate::support::bkp::Bkp;
use crate::support::cluster::PASSWORD;

/// What no message may hold: passwords and tokens of these tests, and the word that stands in rows and wrong secrets.
const SECRETS: [&str; 4] = [PASSWORD, "correct horse", "canary", "token-1"];

/// The cases of one golden directory. When it is over, all that differs is told at once.
struct Messages {
    group: &'static str,
    hidden: Vec<(String, &'static str)>,
    told: BTreeSet<String>,
    faults: Vec<String>,
}

impl Messages {
    fn of(group: &'static str) -> Self {
        Self { group, hidden: Vec::new(), told: BTreeSet::new(), faults: Vec::new() }
    }

    /// Stands for a text that differs in each run, such as a path or a port; longer ones first.
    fn hide(mut self, text: impl ToString, name: &'static str) -> Self {
        self.hidden.push((text.to_string(), name));
        self
    }

    /// Runs it; what it says on standard error, less what it says of progress, is that of the golden file.
    fn case(&mut self, name: &str, bkp: Bkp) {
        self.told(name, bkp, false);
    }

    /// The same for a command whose findings are its result.
    fn result(&mut self, name: &str, bkp: Bkp) {
        self.told(name, bkp, true);
    }

    fn told(&mut self, name: &str, bkp: Bkp, with_result: bool) {
        let out = bkp.run();
        let said = if with_result { faults_of(&out.stdout) + &out.stderr } else { out.stderr.clone() };
        let text = format!("{}exit {}\n", normal(&said, &self.hidden), out.code);
        for secret in SECRETS.iter().filter(|secret| out.stdout.contains(*secret) || out.stderr.contains(*secret)) {
            self.faults.push(format!("{name} says a secret, {secret:?}:\n{text}"));
        }
        if !has_advice(&text) {
            self.faults.push(format!("{name} does not say what to do, or does not fail:\n{text}"));
        }
        let path = directory(self.group).join(format!("{name}.txt"));
        self.told.insert(format!("{name}.txt"));
        if std::env::var_os("BKP_BLESS").is_some() {
            fs::create_dir_all(directory(self.group)).expect("mkdir");
            fs::write(&path, &text).expect("a golden file");
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        if golden != text {
            self.faults.push(format!("{name} says\n{text}and not, as in {}:\n{golden}", path.display()));
        }
    }

    /// Nothing differs, and no golden file is left of a case that there is no more.
    #[track_caller]
    fn all_as_agreed(mut self) {
        let names = fs::read_dir(directory(self.group)).expect("golden files").flatten();
        let left = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        self.faults.extend(left.filter(|name| !self.told.contains(name)).map(|name| format!("{name} has no case")));
        assert!(self.faults.is_empty(), "\n{}", self.faults.join("\n"));
    }
}

/// What the doctor finds wrong, with what mends it: what it finds in order depends on the machine.
fn faults_of(findings: &str) -> String {
    let mut is_fault = false;
    let mut told = String::new();
    for line in findings.lines() {
        // The lines that belong to a finding are indented.
        is_fault = if line.starts_with(' ') { is_fault } else { line.starts_with("fault ") };
        if is_fault {
            told.push_str(line);
            told.push('\n');
        }
    }
    told
}

/// Whether somebody who reads it knows what to do; wrong arguments are answered by the parser in a form of its own.
fn has_advice(text: &str) -> bool {
    ["hint: ", "mend: ", "try '--help'"].iter().any(|words| text.contains(words)) && !text.ends_with("exit 0\n")
}

#[test]
fn no_golden_file_holds_a_secret_and_each_says_what_to_do() {
    if std::env::var_os("BKP_BLESS").is_some() {
        // Others write them at this moment.
        return;
    }
    let mut faults = Vec::new();
    let groups = fs::read_dir(directory("")).expect("golden files").flatten();
    for entry in groups.flat_map(|group| fs::read_dir(group.path()).expect("golden files").flatten()) {
        let text = fs::read_to_string(entry.path()).expect("text");
        if !has_advice(&text) || SECRETS.iter().any(|secret| text.contains(secret)) {
            faults.push(entry.path());
        }
    }
    assert!(faults.is_empty(), "{faults:?}");
}
