//! A store, a directory and a restic that lie about what they hold.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use bkp::error::is_unprintable;

use crate::items::App;
use crate::job::Shop;
use crate::support::bkp::{Bkp, Output};
use crate::support::gcs::Gcs;
use crate::support::parts;

/// Names that leave the tree, command a terminal, or look like others.
const NAMES: [&str; 9] = [
    "db/../../escaped.sql",
    "/etc/escaped.sql",
    "db//escaped.sql",
    "db/%2e%2e%2fescaped.sql",
    "db/\u{1b}]0;owned\u{7}\u{1b}[2J.sql",
    "db/db_dump-20250101_000000.bak.gz\u{1b}[1A\u{1b}[2K.sql",
    "db/\u{202e}zg.kab.lqs.sql",
    "db/zero\u{200b}width.sql",
    "db/two\nlines.sql",
];

/// What a terminal shows as it is: JSON is for programs, which read any text.
#[track_caller]
fn is_shown_safely(out: &Output) {
    for said in [&out.stdout, &out.stderr] {
        let odd = said.chars().find(|character| is_unprintable(*character) && !matches!(character, '\n' | '\t'));
        assert!(odd.is_none(), "{odd:?} in {said:?}");
    }
}

#[test]
fn names_made_to_harm_are_neither_followed_nor_shown_as_they_are() {
    let (shop, gcs) = (Shop::open(), Gcs::start());
    let bkp = |arguments: &[&str]| shop.bkp([]).google(&gcs, "").args(arguments);
    let orders = shop.orders();
    bkp(&["backup"]).run().ok();
    let good = gcs.objects();
    let sql = shop.cluster.pg_dump("shop", []);
    let long = format!("db/{}.sql", "x".repeat(900));
    for name in NAMES.into_iter().chain([long.as_str()]) {
        gcs.put(name, sql.clone());
    }
    let work = tree(&shop);
    for arguments in [&["list"][..], &["list", "--json"], &["check"], &["check", "--read-data"], &["doctor"]] {
        let out = bkp(arguments).run();
        if arguments != ["list", "--json"] {
            is_shown_safely(&out);
        }
    }
    for name in NAMES {
        let out = bkp(&["restore", name, "--as", "beside"]).run();
        is_shown_safely(&out);
        if out.code == 0 {
            shop.cluster.psql("postgres", "DROP DATABASE beside");
        }
    }
    shop.lose_orders();
    is_shown_safely(&bkp(&["restore", good[0].as_str()]).run().ok());
    assert_eq!(shop.orders(), orders);
    let out = bkp(&["forget"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1").run();
    is_shown_safely(&out);
    assert!(gcs.objects().contains(&good[0]), "{:?}", gcs.objects());
    assert_eq!(tree(&shop), work, "nothing was written here");
}

/// All that is in the directories of a test.
fn tree(shop: &Shop) -> Vec<String> {
    let mut found = Command::new("find");
    let listed = found.arg(shop.work.path()).output().expect("find");
    String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn pipes_devices_and_links_in_a_bucket_keep_nobody_waiting_and_lead_nowhere() {
    let shop = Shop::open();
    let orders = shop.orders();
    shop.bkp(["backup"]).run().ok();
    let folder = shop.bucket().join("db");
    for name in
        [folder.join("pipe.sql"), folder.join("db_dump-20990101_000000.bak.gz"), shop.bucket().join(".bkp-doctor")]
    {
        assert!(Command::new("mkfifo").arg(&name).status().expect("mkfifo").success());
    }
    let secret = shop.work.file("secret", "c4n4ry-of-a-file\n");
    for (to, name) in [
        ("/dev/zero", "zero.sql"),
        ("/dev/stdin", "stdin.sql"),
        ("..", "up"),
        (".", "circle"),
        ("nowhere", "nowhere.sql"),
        (secret.to_str().expect("UTF-8"), "db_dump-20980101_000000.bak.gz"),
    ] {
        symlink(to, folder.join(name)).expect("a link");
    }
    for arguments in [&["list"][..], &["check", "--read-data"], &["doctor"], &["forget"], &["restore", "--dry-run"]] {
        let out = Bkp::new(&shop.cluster).bucket(&shop.bucket()).env("POSTGRES_DB", "shop").args(arguments).run();
        assert!(!format!("{out:?}").contains("c4n4ry"), "{out:?}");
    }
    let dump =
        shop.dumps().into_iter().find(|path| path.metadata().is_ok_and(|data| data.is_file() && data.len() > 99));
    let name = format!("db/{}", dump.expect("the dump").file_name().expect("a name").to_string_lossy());
    shop.lose_orders();
    Bkp::new(&shop.cluster).bucket(&shop.bucket()).env("POSTGRES_DB", "shop").args(["restore", &name]).run().ok();
    assert_eq!(shop.orders(), orders);
    assert_eq!(fs::read_to_string(&secret).expect("there"), "c4n4ry-of-a-file\n");
}

#[test]
fn what_restic_says_is_shown_as_text() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    // Whoever writes into the repository chooses hosts, tags and paths.
    let liar = app.work.file(
        "liar",
        format!(
            "#!/bin/sh\n{} \"$@\" | sed -E 's/\"username\":\"[^\"]*\"/\"username\":\"\\\\u001b[2J\\\\u202e\"/g; s#\"paths\":\\[\"#&/\\\\u001b]0;owned\\\\u0007/../..#g'\n",
            parts::restic("0.18").display()
        ),
    );
    fs::set_permissions(&liar, fs::Permissions::from_mode(0o755)).expect("an executable");
    for arguments in [&["list"][..], &["restore", "--dry-run"], &["restore", "--yes"]] {
        let out = app.bkp([]).args(arguments).env("BKP_RESTIC_BIN", &liar).run();
        is_shown_safely(&out);
    }
    assert!(!app.work.join("owned").exists());
}
