//! `bkp restore --path`: one file or directory of a snapshot. Where it lies is found in the snapshot's own listing, before anything
//! is made; then it is exchanged with the live one as any files are ([`super::files`]), or put into a directory under its own name.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::task::block_in_place;

use super::files::{folder_in, has_room, root_of};
use super::{Context, Request, Run};
use crate::commands::catalog::Snapshot;
use crate::commands::repositories::Repositories;
use crate::error::Failure;
use crate::exit::Exit;
use crate::report;
use crate::repository::restic::Repository;
use crate::sources::Item;
use crate::sources::files::apart::Apart;
use crate::sources::files::is_foreign;
use crate::sources::files::pattern::Pattern;
use crate::sources::postgres::table::spec::letters_apart;

/// An entry that is in a snapshot.
pub struct Found {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Below the directory that was saved.
    pub path: PathBuf,
    repository: Repository,
    /// Where the directory lies in the snapshot.
    folder: Option<String>,
}

/// Finds the one entry that is meant.
///
/// # Errors
/// When the path leads out or belongs to no saved directory (exit code 2), or nothing is there: names what is near.
pub async fn find(
    context: &Context,
    repositories: &Repositories,
    trees: &[Snapshot],
    request: &Request,
    text: &str,
) -> Result<Found> {
    let options = context.settings.files.clone().unwrap_or_default();
    let saved: Vec<PathBuf> = trees
        .iter()
        .filter_map(|tree| match &tree.item {
            Item::Files(root) => Some(root.clone()),
            _ => None,
        })
        .collect();
    let (at, path) = below(&saved, &options.roots, text)?;
    let snapshot = trees.get(at).context("a tree of the backup")?.clone();
    if request.to.is_none() {
        // It goes where the whole tree would.
        root_of(&snapshot, trees.len(), &options)?;
    }
    let places = repositories.restic.as_ref().context("a snapshot without a repository")?;
    let repository = places.at(snapshot.place).context("the repository of a snapshot")?.clone();
    let folder = folder_in(&repository, &snapshot).await?;
    look(&repository, &snapshot, folder.as_deref(), &path).await?;
    Ok(Found { snapshot, path, repository, folder })
}

/// Which of the saved directories the path is in, and where there.
fn below(saved: &[PathBuf], roots: &[PathBuf], text: &str) -> Result<(usize, PathBuf)> {
    let wrong = |why: &str, hint: String| Failure::new(format!("--path {text}: {why}")).hint(hint).exit(Exit::Usage);
    let shown = || saved.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(", ");
    let mut given = PathBuf::new();
    for part in Path::new(text).components() {
        match part {
            Component::ParentDir => bail!(wrong("it holds ..", "write it without".to_owned())),
            Component::CurDir => {}
            part => given.push(part),
        }
    }
    let (at, path) = if given.is_absolute() {
        let inside = |root: &PathBuf| given.strip_prefix(root).map(Path::to_owned).ok();
        let renamed = match (saved, roots) {
            // What was saved elsewhere comes back to the only directory there is, so that is its name too.
            ([_], [root]) => inside(root),
            _ => None,
        };
        let found = saved.iter().enumerate().find_map(|(at, root)| Some((at, inside(root)?)));
        match found.or(renamed.map(|path| (0, path))) {
            Some(found) => found,
            None => bail!(wrong("that is in no directory of the backup", format!("it holds those of {}", shown()))),
        }
    } else if saved.len() == 1 {
        (0, given)
    } else {
        bail!(wrong("the backup is of several directories", format!("write it in full, below one of {}", shown())))
    };
    match path.iter().next() {
        None => bail!(wrong("that is all of it", "all files are restored with --only files, or --to DIR".to_owned())),
        Some(top) if is_foreign(top) => bail!(wrong(
            "that belongs to the volume or to bkp, and is never saved",
            "what a restore put aside is brought back by bkp restore --undo".to_owned()
        )),
        Some(_) => Ok((at, path)),
    }
}

/// Goes down in the listing, part by part: restic calls a directory that is not there an error like any other.
async fn look(repository: &Repository, snapshot: &Snapshot, folder: Option<&str>, path: &Path) -> Result<()> {
    let from = PathBuf::from(folder.unwrap_or("/"));
    let mut done = PathBuf::new();
    for part in path.iter() {
        let entries = repository.files_in(&snapshot.id, &from.join(&done).to_string_lossy()).await?;
        let Some(entry) = entries.iter().find(|entry| Some(entry.name.as_str()) == part.to_str()) else {
            let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
            let place = if done.as_os_str().is_empty() { "its top".to_owned() } else { done.display().to_string() };
            bail!(
                Failure::new(format!("{} is not in snapshot {}", done.join(part).display(), snapshot.short()))
                    .hint(format!("{place} holds {}; other backups: bkp list", near(&names, &part.to_string_lossy())))
            );
        };
        done.push(part);
        if entry.kind != "dir" && done != path {
            bail!(
                Failure::new(format!("in snapshot {} {} is a {}", snapshot.short(), done.display(), entry.kind))
                    .hint("nothing is below it: links are not followed")
            );
        }
    }
    Ok(())
}

/// How many names are told.
const MOST: usize = 8;

/// What may have been meant, else what is there at all.
fn near(names: &[&str], wanted: &str) -> String {
    let lower = wanted.to_lowercase();
    let is_near = |name: &&&str| {
        let name = name.to_lowercase();
        let letters = letters_apart(&name, &lower);
        (letters <= 2 && letters < lower.chars().count()) || name.contains(&lower) || lower.contains(&name)
    };
    let near: Vec<&str> = names.iter().filter(is_near).copied().collect();
    let told = if near.is_empty() { names } else { &near };
    let some = told.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    match names.len() - told.len().min(MOST) {
        _ if names.is_empty() => "nothing".to_owned(),
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

/// Restores the entry into a directory, beside what is there, and touches nothing else.
///
/// # Errors
/// When its name is taken there, or restic fails: nothing half is left.
pub async fn into_directory(
    context: &Context,
    run: &Run,
    name: &str,
    found: &Found,
    directory: &Path,
    dry_run: bool,
) -> Result<Exit> {
    let entry = found.path.file_name().context("the name of what is restored")?;
    let (id, mut place) = (found.snapshot.short(), directory.join(entry));
    let whole = Path::new(found.folder.as_deref().unwrap_or("/")).join(&found.path).to_string_lossy().into_owned();
    let weighed = found.repository.weigh(&found.snapshot.id, Some(&whole));
    has_room(directory, context.stop.or(weighed).await?.bytes)?;
    if dry_run {
        tracing::info!("dry run: {} of snapshot {id} would be restored as {}", found.path.display(), place.display());
    } else {
        let apart = block_in_place(|| Apart::make(directory, entry, &run.id))?;
        // From the directory that holds it, so that no other directory comes along.
        let above =
            Path::new(found.folder.as_deref().unwrap_or("/")).join(found.path.parent().unwrap_or(Path::new("")));
        let above = above.to_string_lossy().into_owned();
        let above = Some(above.as_str()).filter(|above| *above != "/");
        let only = [format!("/{}", Pattern::literal(Path::new(entry))?.text())];
        let target = apart.target();
        let restored = found.repository.restore_tree(&found.snapshot.id, above, &only, &target);
        context.stop.or(restored).await?;
        place = block_in_place(|| apart.settle())?;
        tracing::info!("restored {} of snapshot {id} as {}", found.path.display(), place.display());
    }
    if context.json {
        report::json(&serde_json::json!({"command": "restore", "dry_run": dry_run, "object": name,
            "snapshots": [found.snapshot.id], "path": found.path, "to": place}))?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_tree(saved: &[&str], roots: &[&str], text: &str) -> Result<(usize, String)> {
        let paths = |all: &[&str]| all.iter().map(PathBuf::from).collect::<Vec<_>>();
        below(&paths(saved), &paths(roots), text).map(|(at, path)| (at, path.display().to_string()))
    }

    #[test]
    fn a_path_is_absolute_or_below_the_only_directory() {
        let one = |text| in_tree(&["/data"], &["/data"], text).unwrap();
        assert_eq!(one("/data/a/b"), (0, "a/b".to_owned()));
        assert_eq!(one("./a//b/"), (0, "a/b".to_owned()));
        assert_eq!(in_tree(&["/a", "/b"], &["/a", "/b"], "/b/x").unwrap(), (1, "x".to_owned()));
        // Saved elsewhere, under another name.
        assert_eq!(in_tree(&["/old"], &["/new"], "/new/x").unwrap(), (0, "x".to_owned()));
        assert_eq!(in_tree(&["/old"], &[], "/old/x").unwrap(), (0, "x".to_owned()));
    }

    #[test]
    fn a_path_that_leads_out_or_is_not_the_applications_is_refused() {
        let why = |saved: &[&str], text: &str| in_tree(saved, &["/data"], text).unwrap_err().to_string();
        for (text, said) in [
            ("../x", "holds .."),
            ("a/../../x", "holds .."),
            ("/data", "all of it"),
            (".", "all of it"),
            ("/database/x", "in no directory"),
            (".bkp-20261121/old/x", "never saved"),
            ("/data/lost+found/x", "never saved"),
        ] {
            assert!(why(&["/data"], text).contains(said), "{text}: {}", why(&["/data"], text));
        }
        assert!(why(&["/data", "/b"], "x").contains("several directories"));
    }

    #[test]
    fn what_may_have_been_meant_is_named() {
        assert_eq!(near(&["app.php", "other"], "ap.php"), "app.php and 1 more");
        assert_eq!(near(&["a", "b"], "nothing like it"), "a, b");
        assert_eq!(near(&[], "x"), "nothing");
    }
}
