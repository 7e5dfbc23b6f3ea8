//! What is taken from a snapshot, and where it goes: `export/*.zip:import/`, several of them between commas.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::sources::files::pattern::Pattern;
use crate::sources::files::{is_foreign, listed};

/// One selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// What is taken.
    pub from: Pattern,
    /// The directory in the root that it goes to, under its own name; else its own place.
    pub to: Option<PathBuf>,
}

/// Takes the variable apart.
///
/// # Errors
/// When a part is empty, absolute, or leads out of the root.
pub fn parse(text: &str) -> Result<Vec<Select>> {
    listed(text).map(|part| one(part).with_context(|| format!("{part} selects nothing"))).collect()
}

fn one(text: &str) -> Result<Select> {
    let (from, to) = match text.split_once(':') {
        Some((_, to)) if to.contains(':') => {
            bail!("there is more than one colon; it is written PATTERN or PATTERN:DIRECTORY/")
        }
        Some((from, to)) => (from, Some(destination(to)?)),
        None => (text, None),
    };
    Ok(Select { from: Pattern::parse(from)?, to })
}

/// A directory below the root, or (`.`) the root itself.
fn destination(text: &str) -> Result<PathBuf> {
    if text.is_empty() {
        bail!("there is no directory after the colon; `.` is the directory that is restored itself");
    }
    let mut to = PathBuf::new();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(name) => to.push(name),
            Component::CurDir => {}
            _ => bail!("the directory {text} is absolute or leads out; write it relative to the one that is restored"),
        }
    }
    match to.iter().next() {
        Some(first) if is_foreign(first) => bail!("{text} is not the application's"),
        _ => Ok(to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_says_what_and_where() {
        let selects = parse("export/*.zip:import/, data/alice\n*.php:.").unwrap();
        let shown: Vec<_> = selects.iter().map(|one| (one.from.text(), one.to.as_deref())).collect();
        assert_eq!(
            shown,
            [("export/*.zip", Some(Path::new("import"))), ("data/alice", None), ("*.php", Some(Path::new("")))]
        );
        assert_eq!(parse(" ,\n").unwrap(), []);
    }

    #[test]
    fn a_selection_that_leads_out_is_refused() {
        for bad in ["../a", "/a", "a:../b", "a:/b", "a:b/../c", "a:", ":b", "a:b:c", "a:.bkp-x", "a:lost+found/x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let error = format!("{:#}", parse("x, a:/b").unwrap_err());
        assert!(error.contains("a:/b") && error.contains("relative"), "{error}");
    }
}
