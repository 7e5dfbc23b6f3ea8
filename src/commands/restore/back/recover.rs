//! What a dead undo left undecided: the trees go where its databases are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tokio::task::block_in_place;

use crate::sources::files::exchange::turn::{self, Undecided};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::{obstacles, renames};

/// Concludes every undo that died. Without the server that decides, or when it does not know, a tree stays as it is, and that is told.
///
/// # Errors
/// When the server cannot be asked, or a tree cannot be turned; the next start tries again.
pub async fn recover(session: Option<&Session>, roots: &[PathBuf], dry_run: bool) -> Result<()> {
    let mut undos: BTreeMap<String, Vec<(&Path, Undecided)>> = BTreeMap::new();
    for root in roots {
        for left in block_in_place(|| turn::undecided(root))? {
            undos.entry(left.by.clone()).or_default().push((root, left));
        }
    }
    for (by, trees) in undos {
        if dry_run {
            tracing::info!("the undo {by} died before its end; a run would carry it to its end, or take it back");
            continue;
        }
        let Some(is_done) = is_done(session, &by, &trees).await? else {
            tracing::warn!(
                "what came of the undo {by} is not known here, so its files stay as they are: bkp resume with the database server decides"
            );
            continue;
        };
        for (root, left) in &trees {
            block_in_place(|| turn::conclude(root, &left.run, is_done))
                .with_context(|| format!("setting {} right", root.display()))?;
            let what = if is_done { "it was done, and its files are live" } else { "it is taken back, with its files" };
            tracing::warn!("{}: the undo {by} died before its end; {what}", root.display());
        }
    }
    Ok(())
}

async fn is_done(session: Option<&Session>, by: &str, trees: &[(&Path, Undecided)]) -> Result<Option<bool>> {
    let renames = trees.iter().map(|(_, left)| &left.renames).find(|renames| !renames.is_empty());
    match (renames, session) {
        // Files alone: done when no tree is as it was.
        (None, _) => Ok(Some(trees.iter().all(|(_, left)| !left.is_before))),
        (Some(_), None) => Ok(None),
        (Some(expected), Some(session)) => {
            // The server may not have noticed yet that it is dead, and still be at its COMMIT.
            obstacles::end_sessions_named(session, &format!("bkp restore {by}")).await?;
            renames::are_done(session, expected).await
        }
    }
}
