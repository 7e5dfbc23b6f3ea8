//! Names and journal of the databases that a restore makes: the *side database* that is loaded, and the *replaced* one that
//! a swap put aside; and those of a drill, which are loaded like side databases and never swapped.
//!
//! The journal is a comment on the database itself, so it lives and dies with it. The names end in `__bkp_`, `__was_` or
//! `__drill_` and the run's id: whoever finds such a database knows which run made it, and whether that run still lives.

use serde::{Deserialize, Serialize};

use super::name::ending_in;
use crate::sources::act::Act;

const LOADING: &str = "__bkp_";
const REPLACED: &str = "__was_";
const DRILL: &str = "__drill_";

/// The comment on a database that bkp made or put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Which of the two it is.
    pub state: State,
    /// The application of the restore.
    pub app: String,
    /// The run that restored.
    pub run: String,
    /// The name that the database is meant for, or had.
    pub database: String,
    /// The comment that a replaced database had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// All that was done together with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
}

/// What a database of ours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A restore loads it; rubbish once that run is dead.
    Loading,
    /// A restore put it aside; kept until a sealed backup of its successor exists.
    Replaced,
    /// A drill loads it; rubbish once that drill is over. On a role: the drill made it.
    Drill,
}

const MARK: &str = "bkp ";

impl Journal {
    /// The text of the comment: in ASCII, because it is kept in the bytes of whatever database it was said in.
    pub fn comment_text(&self) -> String {
        let mut text = MARK.to_owned();
        for c in serde_json::to_string(self).unwrap_or_default().chars() {
            match c.is_ascii() {
                true => text.push(c),
                false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}"))),
            }
        }
        text
    }

    /// Reads a comment; nothing when it is not ours.
    pub fn parse(comment: &str) -> Option<Journal> {
        serde_json::from_str(comment.strip_prefix(MARK)?).ok()
    }
}

/// The name under which `database` is loaded by `run`.
pub fn loading_name(database: &str, run: &str) -> String {
    ending_in(database, &format!("{LOADING}{run}"))
}

/// The name under which `run` puts `database` aside.
pub fn replaced_name(database: &str, run: &str) -> String {
    ending_in(database, &format!("{REPLACED}{run}"))
}

/// The name under which the drill `run` loads `database`.
pub fn drill_name(database: &str, run: &str) -> String {
    ending_in(database, &format!("{DRILL}{run}"))
}

/// The run that made a database of this name for loading, if it is such a name.
pub fn run_in_name(name: &str) -> Option<&str> {
    let (_, run) = name.rsplit_once(LOADING)?;
    is_run_id(run).then_some(run)
}

/// The drill that made a database of this name, if it is such a name.
pub fn drill_in_name(name: &str) -> Option<&str> {
    let (_, run) = name.rsplit_once(DRILL)?;
    is_run_id(run).then_some(run)
}

/// Whether this is the name of a database that bkp loads or has put aside.
pub fn is_ours(name: &str) -> bool {
    run_in_name(name).is_some()
        || drill_in_name(name).is_some()
        || name.rsplit_once(REPLACED).is_some_and(|(_, run)| is_run_id(run))
}

/// `20261121T231004Z-7f3a9c`
pub fn is_run_id(text: &str) -> bool {
    let shape = text.bytes().enumerate().all(|(at, byte)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        16 => byte == b'-',
        0..=14 => byte.is_ascii_digit(),
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    });
    text.len() == 23 && shape
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "20261121T231004Z-7f3a9c";

    #[test]
    fn names_fit_and_are_recognised() {
        for database in ["shop", &"ü".repeat(40), ""] {
            let name = loading_name(database, RUN);
            assert!(name.len() <= 63, "{name}");
            assert_eq!(run_in_name(&name), Some(RUN));
            assert!(is_ours(&name) && is_ours(&replaced_name(database, RUN)));
            let drill = drill_name(database, RUN);
            assert!(drill.len() <= 63 && is_ours(&drill), "{drill}");
            assert_eq!(
                (drill_in_name(&drill), run_in_name(&drill)),
                (Some(RUN), None),
                "no restore takes it for its own"
            );
            assert_eq!(drill_in_name(&name), None, "no drill takes a restore's for its own");
        }
    }

    #[test]
    fn long_names_that_differ_only_at_their_end_stay_different() {
        let (one, two) = (format!("{}1", "x".repeat(62)), format!("{}2", "x".repeat(62)));
        assert_ne!(loading_name(&one, RUN), loading_name(&two, RUN));
        assert_ne!(replaced_name(&one, RUN), replaced_name(&two, RUN));
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in ["shop", "shop__bkp_", "shop__bkp_20261121", "shop__was_yesterday"] {
            assert!(!is_ours(name), "{name}");
        }
    }

    #[test]
    fn a_journal_survives_its_comment() {
        let journal = Journal {
            state: State::Loading,
            app: "a".into(),
            run: RUN.into(),
            database: "o'dd \"db\" \u{fc} \u{1f418}".into(),
            comment: None,
            act: None,
        };
        assert!(journal.comment_text().is_ascii());
        assert_eq!(Journal::parse(&journal.comment_text()), Some(journal));
        assert_eq!(Journal::parse("the shop's own comment"), None);
    }
}
