//! An error that a person reads: what happened, what to do about it, and the exit code that says so to machines.

pub mod statements;

use std::fmt;

use crate::exit::Exit;

/// Whether a terminal would do something else with it than show it: controls, and marks that turn the direction of what follows or
/// take no room, by which a name can look like another one (Unicode TR 36, CVE-2021-42574).
pub fn is_unprintable(character: char) -> bool {
    let is_format = matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    character.is_control() || is_format
}

/// A name as it is told: it may hold anything, a terminal's commands too.
pub fn plain(text: &str) -> String {
    text.replace(is_unprintable, "?")
}

/// A failure in our own words. Travels inside [`anyhow::Error`]; `main` prints the chain once, then the hint.
#[derive(Debug)]
pub struct Failure {
    what: String,
    hints: Vec<String>,
    exit: Exit,
    source: Option<anyhow::Error>,
}

impl Failure {
    /// A failure that happened to `what`; exit code 1 unless [`Failure::exit`] says otherwise.
    pub fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), hints: Vec::new(), exit: Exit::Failed, source: None }
    }

    /// What the operator should do, as one sentence.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hints = vec![hint.into()];
        self
    }

    /// The same for several causes, each as one sentence.
    pub fn hints(mut self, hints: impl IntoIterator<Item = impl Into<String>>) -> Failure {
        self.hints = hints.into_iter().map(Into::into).collect();
        self
    }

    /// The exit code of the process when this failure reaches the edge.
    pub fn exit(mut self, exit: Exit) -> Failure {
        self.exit = exit;
        self
    }

    /// What caused it; printed after this failure's own words.
    pub fn because(mut self, source: impl Into<anyhow::Error>) -> Failure {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|error| error.as_ref())
    }
}

/// The exit code that an error asks for: the outermost [`Failure`] in its chain decides.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(|e| e.downcast_ref::<Failure>()).map_or(Exit::Failed, |f| f.exit)
}

/// What to do, for whoever reads the error at the edge: its hints, or what helps whenever a command ends so.
pub fn advice_of(error: &anyhow::Error) -> Vec<String> {
    let hints = hints_of(error);
    if hints.is_empty() { exit_of(error).advice().map(str::to_owned).into_iter().collect() } else { hints }
}

/// Every hint in the chain, outermost first, each once.
pub fn hints_of(error: &anyhow::Error) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    for hint in error.chain().filter_map(|e| e.downcast_ref::<Failure>()).flat_map(|f| f.hints.clone()) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints
}
