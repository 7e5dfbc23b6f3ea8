//! `bkp restore --path`: one file or directory comes back, and nothing else is touched.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use super::quick::{Mounted, Plain, restic_that};
use super::tree;
use crate::support::run::run;

/// A directory whose name is as odd as names get, next to one that its name would fit as a pattern.
const ODD: &str = "data/[a-c]* \"x\": y\\z";

/// Saved, then lost and gone on with.
fn lost() -> Plain {
    let plain = Plain::open();
    plain.work.file(&format!("files/{ODD}/one"), "one");
    plain.work.file(&format!("files/{ODD}/two"), "two");
    plain.work.file("files/data/a quiet \"x\": yz/one", "fits the odd name as a pattern");
    plain.bkp(["backup"]).run().ok();
    plain.work.file("files/config/app.php", "overwritten");
    plain.work.file("files/data/a/photo.jpg", "another photo");
    plain.work.file("files/data/a/since", "made since");
    plain.work.file(&format!("files/{ODD}/one"), "overwritten");
    plain.work.file(&format!("files/{ODD}/three"), "made since");
    fs::remove_file(plain.files().join(format!("{ODD}/two"))).expect("removed");
    fs::remove_file(plain.files().join(".hidden")).expect("removed");
    plain
}

/// Every entry that is not at or below `path`, with what would show that it was touched.
fn others(root: &Path, path: &str) -> Vec<String> {
    let listed = run(
        Command::new("find")
            .args([".", "-mindepth", "1", "-not", "-path", "./.bkp-*"])
            .current_dir(root)
            .args(["-printf", "%P|%y|%m|%U:%G|%i|%s|%T@\n"]),
        b"",
    );
    let is_other = |line: &&str| {
        let name = Path::new(line.split('|').next().unwrap_or_default());
        // The directories above change when an entry in them does.
        !name.starts_with(path) && !Path::new(path).starts_with(name)
    };
    let mut lines: Vec<String> = listed.text().lines().filter(is_other).map(str::to_owned).collect();
    lines.sort();
    assert!(!lines.is_empty());
    lines
}

fn read(plain: &Plain, name: &str) -> String {
    fs::read_to_string(plain.files().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn one_file_comes_back_and_nothing_else_is_touched() {
    let plain = lost();
    let before = plain.tree();
    for path in
        ["config/app.php".to_owned(), plain.files().join("data/a/photo.jpg").display().to_string(), ".hidden".into()]
    {
        let relative = path.strip_prefix(&format!("{}/", plain.files().display())).unwrap_or(&path).to_owned();
        let untouched = others(&plain.files(), &relative);
        let was = plain.tree();
        plain.bkp(["restore", "--path", &path, "--dry-run"]).run().ok().says("nothing else is touched");
        assert_eq!(plain.tree(), was);
        plain.bkp(["restore", "--path", &path]).run().ok().says(&relative);
        assert_eq!(others(&plain.files(), &relative), untouched, "{path}");
        plain.bkp(["restore", "--undo"]).run().ok();
        assert_eq!(plain.tree(), was, "{path}");
        plain.bkp(["restore", "--undo"]).run().ok();
    }
    assert_eq!(read(&plain, "config/app.php"), "secret");
    assert_eq!(read(&plain, "data/a/photo.jpg"), "a photo");
    assert_eq!(read(&plain, ".hidden"), "dot");
    assert_eq!(read(&plain, "data/a/since"), "made since");
    assert_ne!(plain.tree(), before);
}

#[test]
fn a_directory_comes_back_as_it_was_whatever_its_name_is() {
    let plain = lost();
    let (before, untouched) = (plain.tree(), others(&plain.files(), ODD));
    plain.bkp(["restore", "--path", &format!("{ODD}/")]).run().ok();
    assert_eq!(others(&plain.files(), ODD), untouched);
    assert_eq!(
        (read(&plain, &format!("{ODD}/one")), read(&plain, &format!("{ODD}/two"))),
        ("one".into(), "two".into())
    );
    assert!(!plain.files().join(ODD).join("three").exists());
    plain.bkp(["restore", "--undo"]).run().ok();
    assert_eq!(plain.tree(), before);
    // The directory that it was in is gone as well.
    fs::remove_dir_all(plain.files().join("data")).expect("removed");
    plain.bkp(["restore", "--path", &format!("{ODD}/two")]).run().ok();
    assert_eq!(fs::read_dir(plain.files().join("data")).expect("made").count(), 1);
    assert_eq!(read(&plain, &format!("{ODD}/two")), "two");
}

#[test]
fn an_entry_is_put_into_any_directory_and_overwrites_nothing() {
    let plain = lost();
    let live = plain.tree();
    plain.work.file("out/of others", "stays");
    let out = plain.work.join("out");
    let to = |path: &str| plain.bkp(["restore", "--path", path]).args([Path::new("--to"), out.as_path()]);
    to(ODD).args(["--dry-run"]).run().ok().says("would be restored");
    assert_eq!(tree(&out).len(), 2);
    to(ODD).run().ok();
    // Where files belong need not be known for that.
    to(".hidden").without("BKP_FILES").run().ok();
    let name = Path::new(ODD).file_name().expect("a name");
    assert_eq!(fs::read_to_string(out.join(name).join("two")).expect("two"), "two");
    assert_eq!(fs::read_to_string(out.join(".hidden")).expect("restored"), "dot");
    assert_eq!(fs::read_to_string(out.join("of others")).expect("left"), "stays");
    assert_eq!(fs::read_dir(&out).expect("read").count(), 3);
    assert_eq!(plain.tree(), live);

    let restored = tree(&out);
    to(ODD).run().fails_with(1).says("is there already");
    // restic dies when it has made a half.
    let restic = restic_that(
        &plain.work,
        "case \" $* \" in *' restore '*) \"$REAL\" \"$@\" >&2; exit 1;; esac\nexec $REAL \"$@\"",
    );
    to("config/app.php").env("BKP_RESTIC_BIN", restic).run().fails_with(1);
    assert_eq!(tree(&out), restored);
    assert_eq!(fs::read_dir(&out).expect("read").count(), 3, "nothing hidden is left");
    assert_eq!(plain.tree(), live);
}

#[test]
fn what_cannot_come_back_is_refused_before_anything_is_made() {
    let plain = lost();
    let (live, changed) = (plain.tree(), plain.files().metadata().expect("a root").ctime_nsec());
    let refused = |path: &str, code, said: &str| {
        plain.bkp(["restore", "--path", path]).run().fails_with(code).says(said);
    };
    refused("config/ap.php", 1, "config holds app.php");
    refused("confg/app.php", 1, "its top holds config");
    refused("config/app.php/x", 1, "is a file");
    refused("../files/config", 2, "holds ..");
    refused("/etc/passwd", 2, "in no directory of the backup");
    refused(".", 2, "--only files");
    refused(".bkp-x/old", 2, "never saved");
    plain.bkp(["restore", "--path", "config"]).env("BKP_FILES_KEEP", "config").run().fails_with(1).says("--to DIR");
    plain.bkp(["restore", "--path", "config"]).without("BKP_FILES").run().fails_with(2).says("BKP_FILES is not set");
    plain.bkp(["restore", "--path", "config", "--only", "files"]).run().fails_with(2);
    assert_eq!(plain.tree(), live);
    assert_eq!(plain.files().metadata().expect("a root").ctime_nsec(), changed, "nothing was even made there");
}

#[test]
fn of_several_directories_the_one_that_is_named_is_touched() {
    let plain = Plain::open();
    plain.work.file("more/config/app.php", "of more");
    let both = format!("{},{}", plain.files().display(), plain.work.join("more").display());
    plain.bkp(["backup"]).env("BKP_FILES", &both).run().ok();
    plain.work.file("more/config/app.php", "lost");
    plain.work.file("files/config/app.php", "lost");
    let restore = |path: &str| plain.bkp(["restore", "--path", path]).env("BKP_FILES", &both);
    restore("config/app.php").run().fails_with(2).says("several directories");
    restore(&plain.work.join("more/config/app.php").display().to_string()).run().ok();
    assert_eq!(fs::read_to_string(plain.work.join("more/config/app.php")).expect("read"), "of more");
    assert_eq!(read(&plain, "config/app.php"), "lost");
    assert!(
        !fs::read_dir(plain.files())
            .expect("read")
            .flatten()
            .any(|entry| { entry.file_name().to_string_lossy().starts_with(".bkp-") })
    );
    plain.bkp(["restore", "--undo"]).env("BKP_FILES", &both).run().ok();
    assert_eq!(fs::read_to_string(plain.work.join("more/config/app.php")).expect("read"), "lost");
}

#[test]
fn a_place_that_cannot_be_reached_is_told_before_anything_is_restored() {
    let plain = lost();
    let config = plain.files().join("config");
    fs::remove_dir_all(&config).expect("removed");
    let refused = |said: &str| {
        let was = plain.files().metadata().expect("a root").ctime_nsec();
        let plan = plain.bkp(["restore", "--path", "config/app.php", "--dry-run"]).run().fails_with(1);
        plan.says("nothing was begun").says(said);
        assert_eq!(plain.files().metadata().expect("a root").ctime_nsec(), was);
    };
    std::os::unix::fs::symlink("data", &config).expect("a link");
    refused("config is no directory");
    fs::remove_file(&config).expect("removed");
    plain.work.file("files/config", "a file by now");
    refused("config is no directory");
    fs::remove_file(&config).expect("removed");
    let _mounted = Mounted::tmpfs(&config, "size=1m");
    refused("config/app.php is on a volume of its own");
}
