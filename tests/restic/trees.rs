//! Directories, saved and restored.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use bkp::error::exit_of;
use bkp::exit::Exit;
use bkp::repository::restic::{Saving, Tree};
use bkp::sources::files::choice::exclude_patterns;
use rustix::fs::{XattrFlags, getxattr, setxattr};

use super::{Place, noise, saving};
use crate::support::parts;
use crate::support::workdir::WorkDir;

/// What restic is to bring back: a line for each entry.
fn described(root: &Path) -> Vec<String> {
    let (mut lines, mut left) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let meta = fs::symlink_metadata(&path).expect("an entry");
            let content = match meta.file_type() {
                kind if kind.is_symlink() => format!("{:?}", fs::read_link(&path).expect("a link")),
                kind if kind.is_file() => blake3::hash(&fs::read(&path).expect("a file")).to_hex().to_string(),
                _ => String::new(),
            };
            let name = path.strip_prefix(root).expect("below");
            lines.push(format!("{name:?} {:o} {}:{} {} {content}", meta.mode(), meta.uid(), meta.gid(), meta.mtime()));
            if meta.is_dir() {
                left.push(path);
            }
        }
    }
    lines.sort();
    lines
}

/// A tree with everything that is easily lost.
fn odd_tree(work: &WorkDir) -> PathBuf {
    let root = work.dir("tree");
    let write = |name: &[u8], content: &[u8]| {
        let path = root.join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        fs::write(&path, content).expect("written");
        path
    };
    write(b".hidden", b"dot");
    write(b"sub/.config/a b", &noise(100_000));
    write(b"new\nline", b"1");
    write(b"not utf8 \xff\xfe", b"2");
    write(b"-dash [x]*?\\", b"3");
    write(b"empty", b"");
    fs::create_dir(root.join("empty dir")).expect("mkdir");
    fs::set_permissions(write(b"mode", b"4"), fs::Permissions::from_mode(0o4751)).expect("chmod");
    fs::set_permissions(root.join("empty dir"), fs::Permissions::from_mode(0o1770)).expect("chmod");
    symlink("nowhere/at all", root.join("link")).expect("a link");
    fs::hard_link(root.join("mode"), root.join("sub/hard")).expect("a link");
    let sparse = fs::File::create(root.join("sparse")).expect("a file");
    sparse.set_len(64 << 20).expect("a hole");
    setxattr(root.join("mode"), "user.note", b"kept", XattrFlags::empty()).expect("an attribute");
    if parts::root() {
        std::os::unix::fs::lchown(root.join("empty"), Some(1234), Some(4321)).expect("chown");
    }
    root
}

#[tokio::test]
async fn a_tree_comes_back_as_it_was() {
    let place = Place::made().await;
    let root = odd_tree(&place.work);
    let saved = place.repository.save_tree(&saving(), &root, &Tree::default()).await.expect("saved");
    assert_eq!(saved.unread, []);
    let id = &saved.snapshot.id;
    let back = place.work.join("back");
    let restored = place.repository.restore_tree(id, None, &[], &back).await.expect("restored");
    assert_eq!(restored.not_owned, 0);
    assert_eq!(described(&back), described(&root));
    let inode = |name: &str| fs::metadata(back.join(name)).expect("there").ino();
    assert_eq!(inode("mode"), inode("sub/hard"), "one file with two names");
    assert!(fs::metadata(back.join("sparse")).expect("there").blocks() < 1000, "a hole");
    let mut note = [0; 16];
    let length = getxattr(back.join("mode"), "user.note", &mut note[..]).expect("an attribute");
    assert_eq!(&note[..length], b"kept");

    // A part of it, and with a parent found by whoever calls.
    let part = place.work.join("part");
    place.repository.restore_tree(id, Some("sub/.config"), &[], &part).await.expect("restored");
    assert_eq!(fs::read(part.join("a b")).expect("there"), noise(100_000));
    let again = Saving { parent: Some(id.clone()).into(), host: "other".into(), ..saving() };
    place.repository.save_tree(&again, &root, &Tree::default()).await.expect("saved");
    let newest = place.snapshots().await.pop().expect("listed");
    assert_eq!(newest.parent.as_deref(), Some(id.as_str()));
    assert_eq!(newest.summary.expect("figures").added_bytes, 0, "nothing is new");
}

#[tokio::test]
async fn a_restore_of_what_is_not_there_is_an_error() {
    let place = Place::made().await;
    let root = place.work.dir("tree");
    fs::write(root.join("a"), b"x").expect("written");
    let saved = place.repository.save_tree(&saving(), &root, &Tree::default()).await.expect("saved");
    let back = place.work.join("back");
    for (id, sub) in [(saved.snapshot.id.as_str(), Some("nope")), ("12345678", None)] {
        let error = place.repository.restore_tree(id, sub, &[], &back).await.expect_err("nothing there");
        assert_eq!(exit_of(&error), Exit::Failed);
    }
    assert!(place.repository.save_tree(&saving(), &place.work.dir("void"), &Tree::default()).await.is_err());
    assert!(place.repository.save_tree(&saving(), &place.work.join("gone"), &Tree::default()).await.is_err());
}

#[tokio::test]
async fn only_what_is_wanted_is_saved() {
    let place = Place::made().await;
    let root = place.work.dir("we[i]rd");
    for name in ["a", "cache/x", "sub/cache/x", "sub/b.tmp", "sub/c", "new\nline", "-x"] {
        place.work.file(&format!("we[i]rd/{name}"), name);
    }
    let names = async |what: Tree| {
        let saved = place.repository.save_tree(&saving(), &root, &what).await.expect("saved");
        let back = WorkDir::new();
        place.repository.restore_tree(&saved.snapshot.id, None, &[], back.path()).await.expect("restored");
        let mut names: Vec<String> = described(back.path())
            .iter()
            .filter(|line| !line.contains(" 4"))
            .map(|line| line.split('"').nth(1).unwrap_or_default().to_owned())
            .collect();
        names.sort();
        (names, saved.unread)
    };
    let excludes = exclude_patterns(&root, &["/cache".to_owned(), "*.tmp".to_owned()], &[]);
    let (found, _) = names(Tree { excludes, ..Tree::default() }).await;
    assert_eq!(found, ["-x", "a", "new\\nline", "sub/c", "sub/cache/x"]);

    let includes = ["-x", "new\nline", "sub/c", "not there"].map(PathBuf::from).to_vec();
    let (found, unread) = names(Tree { includes: Some(includes), ..Tree::default() }).await;
    assert_eq!(found, ["-x", "new\\nline", "sub/c"]);
    assert_eq!(unread.iter().map(|unread| unread.path.as_str()).collect::<Vec<_>>(), ["not there"]);
}

/// restic as the servers' user, for whom modes mean something.
fn as_nobody(work: &WorkDir) -> PathBuf {
    let words = parts::as_server_user().join(" ");
    let script = format!("#!/bin/sh\nexec {words} {} \"$@\"\n", parts::restic("0.18").display());
    let path = work.file("restic-as-nobody", script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    path
}

#[tokio::test]
async fn unreadable_files_are_listed_and_the_rest_is_saved() {
    let place = Place::empty().await;
    parts::give_to_server_user(place.work.path());
    let script = as_nobody(&place.work);
    let repository = place.again(|options| options.program = Some(script)).await;
    repository.init(None).await.expect("made");
    let root = place.work.dir("tree");
    fs::set_permissions(place.work.file("tree/shut", b"x"), fs::Permissions::from_mode(0o000)).expect("chmod");
    place.work.file("tree/sub/open", b"y");
    place.work.file("tree/closed/x", b"z");
    fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o000)).expect("chmod");
    let saved = repository.save_tree(&saving(), &root, &Tree::default()).await.expect("saved");
    let mut unread: Vec<&str> = saved.unread.iter().map(|unread| unread.path.as_str()).collect();
    unread.sort_unstable();
    assert_eq!(unread, ["closed", "shut"]);
    assert!(saved.unread.iter().all(|unread| unread.why.contains("permission denied")), "{:?}", saved.unread);
    fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o755)).expect("chmod");

    // Files of others come back to one who cannot give them away.
    let back = place.work.dir("back");
    parts::give_to_server_user(&back);
    repository.restore_tree(&saved.snapshot.id, None, &[], &back.join("x")).await.expect("restored");
    assert_eq!(fs::read(back.join("x/sub/open")).expect("there"), b"y");
}

#[tokio::test]
async fn a_root_without_the_right_to_give_away_restores_all_but_owners() {
    let place = Place::made().await;
    let root = odd_tree(&place.work);
    let saved = place.repository.save_tree(&saving(), &root, &Tree::default()).await.expect("saved");
    let script = if parts::root() {
        let program = parts::restic("0.18").display().to_string();
        let script = format!("#!/bin/sh\nexec setpriv --bounding-set -chown {program} \"$@\"\n");
        let path = place.work.file("restic-without-chown", script);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        path
    } else {
        parts::restic("0.18")
    };
    let repository = place.again(|options| options.program = Some(script)).await;
    let back = place.work.join("back");
    let restored = repository.restore_tree(&saved.snapshot.id, None, &[], &back).await.expect("restored");
    assert_eq!(restored.not_owned, usize::from(parts::root()), "the one file of another");
    assert_eq!(fs::read(back.join("sub/.config/a b")).expect("there"), noise(100_000));
}

#[tokio::test]
async fn a_target_that_cannot_be_written_is_an_error_that_names_it() {
    let place = Place::made().await;
    let root = place.work.dir("tree");
    place.work.file("tree/a", b"x");
    let saved = place.repository.save_tree(&saving(), &root, &Tree::default()).await.expect("saved");
    let into = place.work.file("a file", b"");
    let error = place.repository.restore_tree(&saved.snapshot.id, None, &[], &into).await.expect_err("no directory");
    assert!(format!("{error:#}").contains("a file"), "{error:#}");
}
