//! The files of a drill: restored into a scratch directory, read back, counted, removed.
//!
//! restic itself holds every file that it wrote against the hashes of the snapshot; how many there are and how large is counted here
//! once more, against the figures that the snapshot was given when it was saved.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use tokio::task::block_in_place;

use super::evidence::{Evidence, Tree};
use super::places;
use crate::commands::catalog::Snapshot;
use crate::commands::repositories::ResticPlaces;
use crate::commands::restore::files::folder_in;
use crate::error::Failure;
use crate::exit::Exit;
use crate::report;
use crate::repository::restic::{Repository, Summary};
use crate::settings::Settings;
use crate::sources::files::scratch::{self, Counted, Scratch};

/// Below the state directory, where nothing else is said.
const FOLDER: &str = "drill";

/// What is decided before anything is made.
pub struct Trees<'a> {
    scratch: &'a Scratch,
    trees: Vec<(Snapshot, Repository, Option<Summary>)>,
}

impl Trees<'_> {
    /// Finds what is to come back, and the figures that it was given when it was saved.
    ///
    /// # Errors
    /// When it cannot be tried here.
    pub async fn prepare<'a>(scratch: &'a Scratch, places: &ResticPlaces, snapshots: &[Snapshot]) -> Result<Trees<'a>> {
        let mut trees = Vec::new();
        for snapshot in snapshots {
            let repository = places.at(snapshot.place).context("the repository of a snapshot")?.clone();
            let listed = repository.snapshots().await?;
            let figures = listed.into_iter().find(|one| one.id == snapshot.id).and_then(|one| one.summary);
            trees.push((snapshot.clone(), repository, figures));
        }
        Ok(Trees { scratch, trees })
    }

    /// Restores and compares.
    ///
    /// # Errors
    /// Exit code 5 at the first tree that does not come back as it was saved.
    pub async fn run(&self, evidence: &mut Evidence) -> Result<()> {
        for (number, (snapshot, repository, figures)) in self.trees.iter().enumerate() {
            let into = block_in_place(|| self.scratch.make(number))?;
            let folder = folder_in(repository, snapshot).await?;
            let restored = repository.restore_verified(&snapshot.id, folder.as_deref(), &into).await?;
            if restored.not_owned > 0 {
                bail!(
                    Failure::new("owners could not be given back, and so restic has not read back what it restored")
                        .hint("give the drill the right to (CAP_CHOWN), or let it run by another account than root")
                );
            }
            let counted = block_in_place(|| self.scratch.count(number))?;
            compare(snapshot, *figures, counted)?;
            tracing::info!(
                "proven: {}: {} files of {} are as in snapshot {}, each read back",
                snapshot.item,
                counted.files,
                report::size(counted.bytes),
                snapshot.short()
            );
            let tree = Tree {
                snapshot: snapshot.id.clone(),
                restored_into: into.display().to_string(),
                files: counted.files,
                bytes: counted.bytes,
                others: counted.others,
                figures_compared: figures.is_some(),
            };
            evidence.files.insert(snapshot.item.to_string(), tree);
        }
        Ok(())
    }
}

fn compare(snapshot: &Snapshot, figures: Option<Summary>, counted: Counted) -> Result<()> {
    let Some(figures) = figures else { return Ok(()) };
    if (figures.files, figures.bytes) != (counted.files, counted.bytes) {
        bail!(
            Failure::new(format!(
                "snapshot {} was saved with {} files of {} bytes, and {} of {} bytes came back",
                snapshot.short(),
                figures.files,
                figures.bytes,
                counted.files,
                counted.bytes
            ))
            .hint("see what is damaged: bkp check --read-data; take another backup: bkp list")
            .exit(Exit::ProofFailed)
        );
    }
    Ok(())
}

/// Where it is restored to when the operator does not say.
pub fn base(settings: &Settings) -> PathBuf {
    let own = || settings.state_dir.join(FOLDER).join(&settings.app);
    settings.drill.scratch.clone().unwrap_or_else(own)
}

/// Removes what dead drills left where the settings say, and where one was that died; what cannot be removed is only said, and
/// counted.
pub async fn clear_dead(settings: &Settings, dry_run: bool) -> usize {
    let mut refused = 0;
    let mut refuse = |error: anyhow::Error| {
        refused += 1;
        tracing::warn!("{error:#}");
    };
    let own = base(settings);
    if let Err(error) = scratch::clear_dead(&own, &settings.app, dry_run).await {
        refuse(error);
    }
    for (note, base) in places::noted(settings) {
        match scratch::clear_dead(&base, &settings.app, dry_run).await {
            Ok(true) => places::forget(Some(&note)),
            Ok(false) => {}
            Err(error) if base != own => refuse(error),
            Err(_) => {}
        }
    }
    refused
}
