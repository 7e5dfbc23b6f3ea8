//! What stands on standard output and standard error, for people, collectors and pipes.

use std::io::Write;
use std::process::{Command, Stdio};

use super::Shop;
use crate::support::bkp::Bkp;

#[test]
fn every_command_prints_one_json_document_and_nothing_else() {
    let shop = Shop::open();
    for arguments in [
        &["init"][..],
        &["backup", "--dry-run"],
        &["backup"],
        &["list"],
        &["check"],
        &["check", "--read-data"],
        &["forget"],
        &["restore", "--dry-run"],
        &["restore", "--yes"],
    ] {
        let out = shop.bkp([]).args(arguments).args(["--json"]).run().ok();
        let document: serde_json::Value =
            serde_json::from_str(&out.stdout).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {out:?}"));
        assert!(document.is_array() || document["command"] == arguments[0], "{document}");
    }
}

#[test]
fn every_line_of_a_json_log_is_json_also_when_settings_or_arguments_are_wrong() {
    let bare = || Bkp::bare().env("BKP_LOG", "json");
    let outputs = [
        bare().args(["backup"]).env("BKP_KEEP_LAST", "many").run().fails_with(2),
        bare().args(["frobnicate"]).run().fails_with(2),
        bare().args(["rewrite", "--database", "x"]).run().fails_with(2),
        bare()
            .args(["list"])
            .env("BKP_BUCKET", "file:///nonexistent/bucket")
            .env("POSTGRES_HOST", "h")
            .run()
            .fails_with(10),
    ];
    for out in outputs {
        assert!(!out.stderr.is_empty(), "{out:?}");
        for line in out.stderr.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
        }
    }
}

#[test]
fn help_and_version_are_results_and_wrong_use_ends_with_2() {
    assert!(Bkp::bare().args(["--version"]).run().ok().stdout.contains("-linux-"));
    assert!(Bkp::bare().args(["--help"]).env("BKP_LOG", "json").run().ok().stdout.contains("Exit codes"));
    Bkp::bare().run().fails_with(2).says("Usage");
    Bkp::bare().args(["backup", "--nonsense"]).run().fails_with(2).says("Usage");
}

#[test]
fn a_reader_that_went_away_spoils_nothing_but_a_full_disk_is_told() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    for arguments in ["list", "backup --json", "--help", "--version"] {
        let ended = |to: Stdio| shop.bkp([]).args(arguments.split(' ')).status_with_stdout(to);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(ended(writer.into()), 0, "{arguments}");
        let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
        assert_eq!(ended(full.into()), 1, "{arguments}");
    }
}

#[test]
fn a_refused_rewrite_does_not_look_like_a_dump_that_ends() {
    let shop = Shop::open();
    let dump = String::from_utf8(shop.cluster.pg_dump("shop", [])).expect("UTF-8");
    let at = dump.find("COPY public.orders").expect("orders");
    let rows = at + 400;
    for cut in [dump[..at].to_owned() + "\\! id\n" + &dump[at..], dump[..rows].to_owned()] {
        let out = Bkp::bare().args(["rewrite"]).stdin(cut).run();
        assert_ne!(out.code, 0, "{out:?}");
        shop.cluster.psql("postgres", "DROP DATABASE IF EXISTS copy; CREATE DATABASE copy");
        let mut psql = shop.cluster.client("psql");
        psql.args(["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", "copy"]).stdin(Stdio::piped());
        let code = fed(&mut psql, &out.bytes);
        assert_ne!(code, 0);
        assert_eq!(shop.cluster.psql("copy", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").trim(), "0");
    }
    let out = Bkp::bare().args(["rewrite"]).stdin(dump).run().ok();
    assert!(!out.stdout.contains("RAISE EXCEPTION 'bkp"));
    // What a pipeline without pipefail hands on when pg_dump fails.
    for nothing in ["", "SET client_encoding = 'UTF8';\n"] {
        let out = Bkp::bare().args(["rewrite"]).stdin(nothing).run().fails_with(5);
        assert!(out.stdout.contains("RAISE EXCEPTION"), "{out:?}");
        Bkp::bare().args(["rewrite", "--allow-unproven"]).stdin(nothing).run().ok();
    }
}

fn fed(command: &mut Command, input: &[u8]) -> i32 {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
    // It may end before it has read everything.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait().expect("ended").code().unwrap_or(-1)
}

#[test]
fn a_state_directory_that_is_read_only_and_empty_is_nothing_to_warn_of() {
    let shop = Shop::open();
    let state = shop.work.dir("state");
    let read_only = "mount -t tmpfs -o ro state \"$BKP_STATE_DIR\" && exec \"$@\"";
    let backup = shop.bkp(["backup"]).env("BKP_STATE_DIR", &state).by_way_of(["sh", "-c", read_only, "sh"]);
    backup.by_way_of(["unshare", "--mount"]).run().ok().never_says("WARN");
}
