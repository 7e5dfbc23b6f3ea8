//! A backup that lost most of itself is never restored for its being the newest: whoever asks for a time gets data, or an error. Pure.

use anyhow::{Result, bail};

use super::choose::Wish;
use crate::commands::catalog::Saved;
use crate::error::Failure;

/// What becomes of a run that shrank and that nobody called by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfShrunk {
    /// It is not taken.
    Refuse,
    /// It is taken, and that is told: nothing live is touched.
    Tell,
}

/// Refuses `meant` when it shrank, and names the newest one before it that did not and that is `usable`.
///
/// # Errors
/// That it shrank, and by what.
pub fn refuse(saved: &[Saved], meant: &Saved, wish: &Wish<'_>, usable: impl Fn(&Saved) -> bool) -> Result<()> {
    let less = |one: &Saved| one.run.as_ref().and_then(|run| wish.shrunk.get(run));
    let Some(what) = less(meant) else { return Ok(()) };
    let mut older = saved.iter().skip_while(|one| one.name != meant.name).skip(1);
    let before = older.find(|one| usable(one) && less(one).is_none());
    let before = before.map(|one| format!("the one before it that did not: bkp restore {}", called(one)));
    let itself = format!("if it is meant to be so small, name it: bkp restore {}", called(meant));
    bail!(
        Failure::new(format!(
            "the backup that fits, {}, shrank by more than BKP_SHRINK_LIMIT: {}; nothing was begun",
            called(meant),
            what.join("; ")
        ))
        .hints(before.into_iter().chain([itself]))
    )
}

/// How a restore is told of it.
fn called(one: &Saved) -> &str {
    one.run.as_deref().unwrap_or(&one.name)
}
