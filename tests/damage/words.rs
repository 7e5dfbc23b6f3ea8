//! What the words of a failure tell: damages are told apart by them.

use crate::support::bkp::Output;

/// What somebody who reads the words takes it for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// Nothing was wrong.
    Nothing,
    /// Something that should be there is not.
    Missing,
    /// It ends before its end.
    Cut,
    /// It is not what was written.
    Changed,
    /// It is something else than its name says.
    Mistaken,
    /// Said to be there, and of nobody known.
    Unsealed,
    /// The password opens nothing.
    Password,
    /// Words that fit none of these.
    Other,
}

impl Told {
    pub fn word(self) -> &'static str {
        match self {
            Told::Nothing => "",
            Told::Missing => "missing",
            Told::Cut => "cut",
            Told::Changed => "changed",
            Told::Mistaken => "mistaken",
            Told::Unsealed => "no seal",
            Told::Password => "password",
            Told::Other => "?",
        }
    }

    /// Reads the errors of a command, or the warnings of one that ended well; a list tells by its table.
    pub fn by(output: &Output) -> Told {
        let level = if output.code == 0 { "  WARN " } else { " ERROR " };
        let lines = output.stderr.lines().filter(|line| line.contains(level) && !line.contains(" hint: "));
        let mut said = lines.collect::<Vec<_>>().join("\n");
        if output.code == 0 {
            said.push_str(&output.stdout);
        }
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if has(&["of another time", "is a backup of application", "mixed up", "of another run", "another database"]) {
            Told::Mistaken
        } else if has(&[
            "was cut short",
            "cut short,",
            "cut short:",
            "dump ends: cut short",
            "ends in the middle",
            "is empty",
            "does not end as a dump",
            "is too short",
        ]) {
            Told::Cut
        } else if has(&[
            "is gone",
            "it lacks",
            "but incomplete",
            "no backup",
            "missing",
            "no repository",
            "no restic repository",
        ]) {
            Told::Missing
        } else if has(&[
            "not what was sealed",
            "damaged",
            "is not what was written",
            "cannot be read",
            "was changed",
            "invalid lock",
            // What no dump of ours says.
            "a statement before the first database",
        ]) {
            Told::Changed
        } else if has(&["password does not open"]) {
            Told::Password
        } else if has(&["no seal"]) {
            Told::Unsealed
        } else if output.code == 0 {
            Told::Nothing
        } else {
            Told::Other
        }
    }
}
