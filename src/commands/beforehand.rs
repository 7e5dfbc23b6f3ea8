//! What this machine makes wrong of settings that are well formed, found before anything is done: backups and notes inside of what a restore
//! exchanges, directories that are one through a link, commands that nobody could run. A start refuses it as any fault of a setting, and the doctor tells it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::pausing::{self, Reason};
use crate::cli::{Command, Restore};
use crate::repository::restic::Address;
use crate::settings::names::{BKP_BUCKET, BKP_FILES, BKP_STATE_DIR, RESTIC_REPOSITORY};
use crate::settings::restic::Layout;
use crate::settings::{BucketAddress, Fault, Settings};

/// Something that is where it cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misplaced {
    /// The variable.
    pub name: &'static str,
    /// Where it is, and what comes of that.
    pub what: String,
    /// What to do.
    pub mend: &'static str,
}

/// What keeps a command from beginning; nothing for one that neither saves nor exchanges, nor for the way back (`--undo`, `--to`), which whoever
/// was let do so before may need.
pub fn faults(settings: &Settings, command: &Command) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(exchanged) = exchanged(settings, command) {
        let (roots, places) = (roots(settings), within(settings, &exchanged));
        let misplaced = one_in_another(&roots).into_iter().chain(places);
        faults.extend(
            misplaced.map(|Misplaced { name, what, mend }| Fault {
                name: name.to_owned(),
                reason: format!("{what}; {mend}"),
            }),
        );
    }
    let reason = match command {
        Command::Backup { .. } => Some(Reason::Backup),
        Command::Restore(asked) if pauses(asked) => Some(Reason::Restore),
        _ => None,
    };
    // Commands that cannot be read are faults of the settings already.
    if reason.is_some_and(|reason| pausing::is_wanted(settings, reason).unwrap_or(false)) {
        faults.extend(
            pausing::programs(settings).into_iter().filter(|(_, program)| pausing::runs(program).is_none()).map(
                |(name, program)| Fault {
                    name: name.to_owned(),
                    reason: format!("there is no program {program} that can be run; {}", pausing::MEND_PROGRAM),
                },
            ),
        );
    }
    faults
}

/// All of it that is where it cannot be, for whoever looks.
pub fn misplaced(settings: &Settings) -> Vec<Misplaced> {
    let roots = roots(settings);
    let mut misplaced = one_in_another(&roots);
    misplaced.extend(within(settings, &roots));
    misplaced
}

fn roots(settings: &Settings) -> Vec<PathBuf> {
    settings.files.iter().flat_map(|files| files.roots.iter().cloned()).collect()
}

/// The directories that a command saves or exchanges; none when it touches no files.
fn exchanged(settings: &Settings, command: &Command) -> Option<Vec<PathBuf>> {
    match command {
        Command::Init { .. } | Command::Backup { .. } => Some(roots(settings)),
        Command::Restore(asked) if asked.undo || asked.to.is_some() || asked.under.is_some() => None,
        Command::Restore(asked) if !asked.tables.is_empty() => None,
        Command::Restore(Restore { only: Some(only), .. }) if only != "files" => None,
        Command::Restore(Restore { path: Some(path), .. }) => {
            Some(roots(settings).iter().map(|root| root.join(path)).collect())
        }
        Command::Restore(_) => Some(roots(settings)),
        _ => None,
    }
}

fn pauses(asked: &Restore) -> bool {
    let beside = asked.to.is_some() || asked.under.is_some() || asked.only.as_deref() == Some("roles");
    !beside && (asked.tables.is_empty() || asked.in_place)
}

/// Directories that are the same or one inside another, which their names do not tell.
fn one_in_another(roots: &[PathBuf]) -> Vec<Misplaced> {
    let mut found = Vec::new();
    for (at, one) in roots.iter().enumerate() {
        for other in &roots[at + 1..] {
            for (inner, outer) in [(one, other), (other, one)] {
                if is_within(inner, outer) {
                    let (shown, at) = (inner.display(), resolved(inner));
                    found.push(Misplaced {
                        name: BKP_FILES,
                        what: format!("{shown} is {}, which {} has already", at.display(), outer.display()),
                        mend: "name each directory once, and none inside another one",
                    });
                    break;
                }
            }
        }
    }
    found
}

/// Backups and notes inside of directories that a restore exchanges. What is left out of the backups is exchanged all the same.
fn within(settings: &Settings, roots: &[PathBuf]) -> Vec<Misplaced> {
    let lost = "a restore would put an old copy in its place, and every backup would save it, too";
    let mut places: Vec<(&str, PathBuf, &str)> =
        repositories(settings).into_iter().map(|at| (RESTIC_REPOSITORY, at, lost)).collect();
    if let Some(BucketAddress::Directory(at)) = settings.bucket.as_ref().map(|bucket| &bucket.address) {
        places.push((BKP_BUCKET, at.clone(), lost));
    }
    let forgotten = "a restore would take its notes away, and a run that is killed then leaves the application paused";
    places.push((BKP_STATE_DIR, settings.state_dir.clone(), forgotten));
    let mut found: Vec<Misplaced> = Vec::new();
    for (name, at, comes) in places {
        if found.iter().any(|before| before.name == name) {
            continue;
        }
        if let Some(root) = roots.iter().find(|root| is_within(&at, root)) {
            let what = format!("{} is in {}, of {BKP_FILES}: {comes}", at.display(), root.display());
            found.push(Misplaced { name, what, mend: "move it elsewhere" });
        }
    }
    found
}

/// The local repository, and those that may be below it.
fn repositories(settings: &Settings) -> Vec<PathBuf> {
    let Some(restic) = &settings.restic else { return Vec::new() };
    let base = Address::new(restic.repository.expose());
    let Some(directory) = base.directory().map(Path::to_owned) else { return Vec::new() };
    let below = ["files", "pg-database", "pg-role"].map(|folder| directory.join(folder)).into_iter();
    let is_meant = |at: &PathBuf| match restic.layout {
        Layout::One => false,
        Layout::Auto => at.join("config").is_file(),
        Layout::Split => true,
    };
    std::iter::once(directory).chain(below.filter(is_meant)).collect()
}

/// Whether it is that directory or lies in it, by whatever links and mounts one comes there.
fn is_within(at: &Path, root: &Path) -> bool {
    let (at, root) = (resolved(at), resolved(root));
    let number = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    let wanted = number(&root);
    at.ancestors().any(|above| above == root || (wanted.is_some() && number(above) == wanted))
}

/// The path without links, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    match there {
        // Joined with nothing, it would end with a slash.
        Some((above, at)) if above == path => at,
        Some((above, at)) => at.join(path.strip_prefix(above).unwrap_or(&path)),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::settings::environment::Made;
    use crate::settings::{Overrides, resolve};

    fn settings(variables: &[(&str, &Path)]) -> Settings {
        let mut given: Vec<(&str, &str)> = variables.iter().map(|(name, at)| (*name, at.to_str().unwrap())).collect();
        given.extend([("RESTIC_PASSWORD", "x"), ("BKP_APP", "shop")]);
        resolve(&Made::of(&given), &Overrides::default()).unwrap()
    }

    fn names(settings: &Settings) -> Vec<&'static str> {
        misplaced(settings).into_iter().map(|one| one.name).collect()
    }

    #[test]
    fn what_lies_inside_is_found_through_links_and_when_it_is_not_there_yet() {
        let dir = tempfile::tempdir().unwrap();
        let at = |below: &str| dir.path().join(below);
        fs::create_dir_all(at("files/sub")).unwrap();
        symlink(at("files"), at("link")).unwrap();
        let told = |files: &str, repository: &str, state: &str| {
            let repository = at(repository);
            names(&settings(&[
                ("BKP_FILES", &at(files)),
                ("RESTIC_REPOSITORY", &repository),
                ("BKP_STATE_DIR", &at(state)),
            ]))
        };
        assert_eq!(told("files", "files-of-restic", "state"), [""; 0]);
        assert_eq!(told("files/sub", "files", "state"), [""; 0], "around it is not in it");
        for repository in ["files", "files/sub", "files/new/repository", "link/repository", "files/../link/x"] {
            assert_eq!(told("files", repository, "state"), [RESTIC_REPOSITORY], "{repository}");
        }
        assert_eq!(told("link", "files/repository", "files/state"), [RESTIC_REPOSITORY, BKP_STATE_DIR]);
        assert_eq!(told("nowhere", "files", "state"), [""; 0]);
        assert_eq!(told("nowhere", "nowhere/repository", "state"), [RESTIC_REPOSITORY]);
        // Older scripts' layout: a base, and a repository for each kind below it.
        fs::create_dir_all(at("base/files")).unwrap();
        assert_eq!(told("base/files", "base", "state"), [""; 0]);
        fs::write(at("base/files/config"), "restic's").unwrap();
        assert_eq!(told("base/files", "base", "state"), [RESTIC_REPOSITORY]);
    }

    #[test]
    fn directories_that_are_one_through_a_link_are_found_and_two_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |below: &str| dir.path().join(below);
        fs::create_dir_all(at("files/sub")).unwrap();
        fs::create_dir_all(at("other")).unwrap();
        for (link, to, is_one) in [("same", "files", true), ("inside", "files/sub", true), ("beside", "other", false)] {
            symlink(at(to), at(link)).unwrap();
            for order in [["files", link], [link, "files"]] {
                let found = one_in_another(&order.map(at));
                assert_eq!(found.len(), usize::from(is_one), "{order:?}: {found:?}");
            }
        }
        assert!(one_in_another(&[at("files"), at("nowhere"), at("nowhere-else")]).is_empty());
    }

    #[test]
    fn the_way_back_is_open_and_what_touches_no_files_is_not_hindered() {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        fs::create_dir_all(&files).unwrap();
        let inside = files.join("backups/repository");
        let settings = settings(&[
            ("BKP_FILES", &files),
            ("RESTIC_REPOSITORY", &inside),
            ("BKP_STATE_DIR", &dir.path().join("state")),
        ]);
        let refuses = |asked: Restore| !faults(&settings, &Command::Restore(asked)).is_empty();
        let some = |text: &str| Some(text.to_owned());
        assert!(refuses(Restore::default()));
        assert!(refuses(Restore { only: some("files"), ..Restore::default() }));
        assert!(refuses(Restore { path: some("backups"), ..Restore::default() }));
        assert!(!refuses(Restore { path: some("data"), ..Restore::default() }));
        assert!(!refuses(Restore { undo: true, ..Restore::default() }));
        assert!(!refuses(Restore { to: Some("/tmp/x".into()), ..Restore::default() }));
        assert!(!refuses(Restore { only: some("shop"), ..Restore::default() }));
        assert!(!refuses(Restore { tables: vec!["t".into()], ..Restore::default() }));
        assert!(faults(&settings, &Command::Resume).is_empty());
    }
}
