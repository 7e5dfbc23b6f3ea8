//! The files of a restore: staged on the volume of the live ones, exchanged by rename, put aside, or taken back.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::task::block_in_place;

use crate::commands::catalog::Snapshot;
use crate::commands::repositories::ResticPlaces;
use crate::commands::{Context, Run};
use crate::error::{Failure, hints_of};
use crate::exit::Exit;
use crate::report;
use crate::repository::restic::Repository;
use crate::settings::{Files as Options, KeepReplaced};
use crate::sources::Item;
use crate::sources::act::Act;
use crate::sources::files::exchange::select::{self, Select};
use crate::sources::files::exchange::{self, Staging, plan, preflight};
use crate::sources::files::owner::Owner;
use crate::sources::files::pattern::Pattern;
use crate::sources::files::volume;

/// The trees of a restore.
pub struct Files<'a> {
    context: &'a Context,
    run: &'a Run,
    options: Options,
    keep: Vec<Pattern>,
    selects: Vec<Select>,
    /// The one entry that comes back, when it is not all.
    path: Option<PathBuf>,
    trees: Vec<Tree>,
}

/// One tree.
struct Tree {
    snapshot: Snapshot,
    repository: Repository,
    /// Where it lies in the snapshot.
    folder: Option<String>,
    root: PathBuf,
    staging: Option<Staging>,
    is_live: bool,
}

impl<'a> Files<'a> {
    /// Finds where each tree goes, and adds what cannot work to `faults`.
    ///
    /// # Errors
    /// When a snapshot cannot be looked at, or it cannot be told where it belongs.
    pub async fn prepare(
        context: &'a Context,
        run: &'a Run,
        places: &ResticPlaces,
        (snapshots, path): (&[Snapshot], Option<&Path>),
        faults: &mut Vec<String>,
    ) -> Result<Files<'a>> {
        let options = context.settings.files.clone().unwrap_or_default();
        let (mut keep, mut selects) = (plan::keep(&options.keep.join(","))?, select::parse(&options.select.join(","))?);
        keep.extend(maintenance_file(context, &options)?);
        if let Some(path) = path {
            faults.extend(kept(path, &keep));
            selects = vec![Select { from: Pattern::literal(path)?, to: None }];
        }
        let (mut trees, mut unreadable) = (Vec::new(), None);
        for snapshot in snapshots {
            let root = root_of(snapshot, snapshots.len(), &options)?;
            let repository = places.at(snapshot.place).context("the repository of a snapshot")?.clone();
            let folder = folder_in(&repository, snapshot).await?;
            let below = path.map(|path| Path::new(folder.as_deref().unwrap_or("/")).join(path));
            let below = below.as_ref().map(|path| path.to_string_lossy().into_owned()).or_else(|| folder.clone());
            // Every directory is read here already: else hours of staging end at one that is damaged.
            let needed = match repository.weigh(&snapshot.id, below.as_deref()).await {
                // How much of it is selected by a pattern, nobody knows before it is there.
                Ok(weight) => {
                    if selects.is_empty() || path.is_some() {
                        weight.bytes
                    } else {
                        0
                    }
                }
                Err(error) => {
                    unreadable
                        .get_or_insert(error.context(format!("snapshot {} cannot be restored", snapshot.short())));
                    0
                }
            };
            faults.extend(hindrances(&root, needed, &keep, (&selects, path)));
            trees.push(Tree { snapshot: snapshot.clone(), repository, folder, root, staging: None, is_live: false });
        }
        match unreadable {
            Some(error) => Err(error),
            None => Ok(Files { context, run, options, keep, selects, path: path.map(Path::to_owned), trees }),
        }
    }

    /// Tells the plan.
    pub fn say(&self) {
        for tree in &self.trees {
            if let Some(path) = &self.path {
                tracing::info!(
                    "plan: {} comes from snapshot {}; what is there now is put aside, and nothing else is touched",
                    tree.root.join(path).display(),
                    tree.snapshot.short()
                );
                continue;
            }
            let how = match (self.options.select.as_slice(), self.options.keep.as_slice()) {
                ([], []) => String::new(),
                ([], keep) => format!(", except {}", keep.join(", ")),
                (select, _) => format!(", only {}", select.join(", ")),
            };
            tracing::info!(
                "plan: the files in {} come from snapshot {}{how}",
                tree.root.display(),
                tree.snapshot.short()
            );
        }
    }

    /// The directories.
    pub fn roots(&self) -> Vec<&Path> {
        self.trees.iter().map(|tree| tree.root.as_path()).collect()
    }

    /// What is restored, as people read it.
    pub fn names(&self) -> Vec<String> {
        let of = |tree: &Tree| self.path.as_ref().map_or(tree.root.clone(), |path| tree.root.join(path));
        self.trees.iter().map(|tree| of(tree).display().to_string()).collect()
    }

    /// Restores every tree beside the live one.
    ///
    /// # Errors
    /// When restic or the volume fails; nothing live was touched.
    pub async fn stage(&mut self) -> Result<()> {
        for tree in &mut self.trees {
            let (root, run) = (tree.root.canonicalize()?, &self.run.id);
            let staging = tree.staging.insert(block_in_place(|| exchange::stage(&root, run))?);
            let only: Vec<String> = self.selects.iter().map(|select| format!("/{}", select.from.text())).collect();
            tracing::info!("restoring snapshot {} beside {}", tree.snapshot.short(), root.display());
            let restored =
                tree.repository.restore_tree(&tree.snapshot.id, tree.folder.as_deref(), &only, staging.target());
            self.context.stop.or(restored).await?;
            if let Some(owner) = self.options.owner {
                block_in_place(|| staging.chown(Owner { user: owner.uid, group: owner.gid }))?;
            }
        }
        Ok(())
    }

    /// Exchanges every tree with the live one, as a part of `act`.
    ///
    /// # Errors
    /// When one cannot be; that one is as it was, [`Files::take_back`] sees to the others.
    pub fn swap(&mut self, act: &Act) -> Result<()> {
        for tree in &mut self.trees {
            let Some(mut staging) = tree.staging.take() else { continue };
            staging.belongs_to(act);
            let replaced = block_in_place(|| {
                let plan = staging.plan(&self.keep, &self.selects)?;
                staging.swap(plan)
            })?;
            tree.is_live = true;
            tracing::info!(
                "{}: {} entries replaced or put aside, {} new",
                tree.root.display(),
                replaced.aside,
                replaced.added
            );
        }
        Ok(())
    }

    /// Brings back what was exchanged, and throws away what was staged; false, and told, where that is left to the next run.
    pub fn take_back(&mut self) -> bool {
        let mut is_done = true;
        for tree in &mut self.trees {
            let done = block_in_place(|| match tree.staging.take() {
                Some(staging) => staging.discard(),
                None if tree.is_live => {
                    let root = tree.root.canonicalize()?;
                    exchange::undo(&root, Some(&self.run.id)).map(|_| ())?;
                    exchange::drop_taken_back(&root, &self.run.id)
                }
                // A swap that failed has put everything back by itself, and what it had staged is removed at the next start.
                None => exchange::recover(&tree.root.canonicalize()?, exchange::Way::Back).map(|_| ()),
            });
            match done {
                Ok(()) => tree.is_live = false,
                Err(error) => {
                    is_done = false;
                    tracing::error!("{}: {error:#}; the next run tries again", tree.root.display());
                }
            }
        }
        is_done
    }

    /// After the swap: drops what is not to be kept; names what is.
    pub fn finish(&self) -> Vec<String> {
        if self.context.settings.restore.keep_replaced != KeepReplaced::Never {
            return self.trees.iter().map(|tree| format!("{}/.bkp-{}", tree.root.display(), self.run.id)).collect();
        }
        for tree in &self.trees {
            let dropped = tree.root.canonicalize().map_err(anyhow::Error::from);
            if let Err(error) = dropped.and_then(|root| block_in_place(|| exchange::drop_replaced(&root, &self.run.id)))
            {
                tracing::warn!("what was replaced in {} is still there: {error:#}", tree.root.display());
            }
        }
        Vec::new()
    }
}

/// Restores trees into a new or empty directory, and touches nothing else.
///
/// # Errors
/// When something is in the directory, or restic fails.
pub async fn into_directory(
    context: &Context,
    places: &ResticPlaces,
    snapshots: &[Snapshot],
    directory: &Path,
) -> Result<()> {
    let mut needed = 0;
    for snapshot in snapshots {
        let repository = places.at(snapshot.place).context("the repository of a snapshot")?;
        let folder = folder_in(repository, snapshot).await?;
        // Nothing live waits for it: that every directory can be read, its restore proves itself.
        needed += match (&folder, snapshot.bytes) {
            (None, Some(bytes)) => bytes,
            _ => context.stop.or(repository.weigh(&snapshot.id, folder.as_deref())).await?.bytes,
        };
    }
    has_room(directory, needed)?;
    let base = block_in_place(|| volume::into_empty(directory))?;
    for snapshot in snapshots {
        let repository = places.at(snapshot.place).context("the repository of a snapshot")?;
        let folder = folder_in(repository, snapshot).await?;
        let into = match (snapshots.len(), &snapshot.item) {
            (1, _) => base.clone(),
            // Several directories stand there under their own names.
            (_, item) => base.join(match item {
                Item::Files(root) => root.strip_prefix("/").unwrap_or(root),
                _ => Path::new(snapshot.short()),
            }),
        };
        std::fs::create_dir_all(&into).with_context(|| format!("making {}", into.display()))?;
        context.stop.or(repository.restore_tree(&snapshot.id, folder.as_deref(), &[], &into)).await?;
        tracing::info!("restored snapshot {} into {}", snapshot.short(), into.display());
    }
    Ok(())
}

/// A maintenance file at the top stays where it is: the application must not start on half a tree.
pub fn maintenance_file(context: &Context, options: &Options) -> Result<Option<Pattern>> {
    let Some((path, _)) = &context.settings.pause.maintenance else { return Ok(None) };
    let is_top = path.parent().is_some_and(|parent| options.roots.iter().any(|root| root == parent));
    path.file_name().filter(|_| is_top).map(|name| Pattern::parse(&name.to_string_lossy())).transpose()
}

/// Why one entry cannot come back: the settings say that it stays as it is.
fn kept(path: &Path, keep: &[Pattern]) -> Option<String> {
    let top = path.iter().next()?;
    keep.iter().any(|keep| keep.is_name(top)).then(|| {
        format!(
            "{} is kept by a restore (BKP_FILES_KEEP, or the maintenance file), so {} is not replaced: restore it elsewhere with --to DIR",
            Path::new(top).display(),
            path.display()
        )
    })
}

/// Where a tree goes: to the directory that it was saved from, or to the only one there is.
pub(super) fn root_of(snapshot: &Snapshot, count: usize, options: &Options) -> Result<PathBuf> {
    let Item::Files(saved) = &snapshot.item else { bail!("snapshot {} holds no files", snapshot.short()) };
    match options.roots.as_slice() {
        roots if roots.contains(saved) => Ok(saved.clone()),
        [only] if count == 1 => Ok(only.clone()),
        _ => bail!(
            Failure::new(format!(
                "snapshot {} is of {}, which BKP_FILES does not name",
                snapshot.short(),
                saved.display()
            ))
            .hint("add it to BKP_FILES, or restore it elsewhere with --to DIR")
            .exit(Exit::Usage)
        ),
    }
}

/// Saved by its absolute path, a directory lies deep in its snapshot; saved from within, it is the snapshot.
pub async fn folder_in(repository: &Repository, snapshot: &Snapshot) -> Result<Option<String>> {
    if snapshot.tags.is_some() {
        return Ok(None);
    }
    let Item::Files(saved) = &snapshot.item else { return Ok(None) };
    let path = saved.to_string_lossy().into_owned();
    Ok(has_directory(repository, &snapshot.id, saved).await?.then_some(path))
}

async fn has_directory(repository: &Repository, id: &str, path: &Path) -> Result<bool> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Ok(false) };
    // Asked from the top: restic calls a directory that is not there an error.
    let mut here = PathBuf::from("/");
    for part in above.components().skip(1).map(std::path::Component::as_os_str).chain([name]) {
        let entries = repository.files_in(id, &here.to_string_lossy()).await?;
        if !entries.iter().any(|entry| entry.kind == "dir" && Some(entry.name.as_str()) == part.to_str()) {
            return Ok(false);
        }
        here.push(part);
    }
    Ok(true)
}

/// What can be known to hinder before anything is made.
fn hindrances(
    root: &Path,
    needed: u64,
    keep: &[Pattern],
    (selects, path): (&[Select], Option<&Path>),
) -> Option<String> {
    if !root.is_dir() {
        return Some(format!("{} is not there: is the volume mounted?", root.display()));
    }
    let checked = block_in_place(|| match (root.canonicalize()?, path) {
        (root, Some(path)) => preflight::check_entry(&root, path),
        (root, None) => preflight::check(&root, keep, selects),
    });
    if let Err(error) = checked {
        let hints = hints_of(&error).join("; ");
        return Some(if hints.is_empty() { format!("{error:#}") } else { format!("{error:#}: {hints}") });
    }
    too_little(root, needed).map(|told| format!("{told} beside the live ones"))
}

/// Refuses what has no room below a directory, whose volume is that of the nearest one that is there.
///
/// # Errors
/// Naming both figures.
pub(super) fn has_room(directory: &Path, needed: u64) -> Result<()> {
    let there = directory.ancestors().find(|at| at.is_dir());
    match there.and_then(|there| too_little(there, needed)) {
        Some(told) => bail!(Failure::new(told).hint("nothing was made; name a directory on a volume with more room")),
        None => Ok(()),
    }
}

fn too_little(root: &Path, needed: u64) -> Option<String> {
    let free = match block_in_place(|| volume::free_bytes(root)) {
        Ok(free) => free,
        Err(error) => return Some(format!("{error:#}")),
    };
    (free < needed).then(|| {
        format!("{} has {} free, and the files need {}", root.display(), report::size(free), report::size(needed))
    })
}
