//! The files of an undo: announced, turned round, concluded.

use std::path::PathBuf;

use anyhow::Result;
use tokio::task::block_in_place;

use super::find::Last;
use crate::commands::restore::files::maintenance_file;
use crate::commands::{Context, Run};
use crate::error::hints_of;
use crate::settings::KeepReplaced;
use crate::sources::act::{Act, Rename};
use crate::sources::files::exchange::{self, turn};
use crate::sources::files::pattern::Pattern;

/// The trees of an undo.
pub struct Files<'a> {
    context: &'a Context,
    run: &'a Run,
    keep: Vec<Pattern>,
    roots: Vec<(PathBuf, String)>,
}

impl<'a> Files<'a> {
    /// Adds what cannot work to `faults`.
    ///
    /// # Errors
    /// When the settings make no sense.
    pub fn prepare(context: &'a Context, run: &'a Run, last: &Last, faults: &mut Vec<String>) -> Result<Files<'a>> {
        let options = context.settings.files.clone().unwrap_or_default();
        let mut keep = exchange::plan::keep(&options.keep.join(","))?;
        keep.extend(maintenance_file(context, &options)?);
        for (root, exchanged) in &last.roots {
            if let Err(error) = block_in_place(|| turn::check(root, exchanged, &keep)) {
                let hints = hints_of(&error).join("; ");
                faults.push(if hints.is_empty() { format!("{error:#}") } else { format!("{error:#}: {hints}") });
            }
        }
        Ok(Files { context, run, keep, roots: last.roots.clone() })
    }

    /// Tells the plan.
    pub fn say(&self) {
        for (root, exchanged) in &self.roots {
            let shown = root.display();
            tracing::info!(
                "plan: the files in {shown} become what they were; those of now are kept in {shown}/.bkp-{exchanged}"
            );
        }
    }

    /// The directories, as text.
    pub fn names(&self) -> Vec<String> {
        self.roots.iter().map(|(root, _)| root.display().to_string()).collect()
    }

    /// Says on every tree what is about to happen, before anything does.
    ///
    /// # Errors
    /// When one cannot be written to.
    pub fn announce(&self, act: &Act, renames: &[Rename]) -> Result<()> {
        let by = self.run.id.as_str();
        block_in_place(|| {
            let mut roots = self.roots.iter();
            roots.try_for_each(|(root, exchanged)| turn::announce(root, exchanged, (by, act), renames, &self.keep))
        })
    }

    /// Turns every tree.
    ///
    /// # Errors
    /// When one cannot be; that one is as it was, [`Files::conclude`] sees to the others.
    pub fn turn(&self) -> Result<()> {
        block_in_place(|| self.roots.iter().try_for_each(|(root, exchanged)| turn::turn(root, exchanged)))
    }

    /// Ends it on every tree. What cannot be ended now the next run ends.
    pub fn conclude(&self, is_done: bool) {
        for (root, exchanged) in &self.roots {
            if let Err(error) = block_in_place(|| turn::conclude(root, exchanged, is_done)) {
                tracing::error!("{}: {error:#}; the next run tries again", root.display());
            }
        }
    }

    /// Drops what is not to be kept; names what is.
    pub fn finish(&self) -> Vec<String> {
        let mut kept = Vec::new();
        for (root, exchanged) in &self.roots {
            if self.context.settings.restore.keep_replaced != KeepReplaced::Never {
                kept.push(format!("{}/.bkp-{exchanged}", root.display()));
            } else if let Err(error) = block_in_place(|| exchange::drop_replaced(root, exchanged)) {
                tracing::warn!("what was replaced in {} is still there: {error:#}", root.display());
            }
        }
        kept
    }
}
