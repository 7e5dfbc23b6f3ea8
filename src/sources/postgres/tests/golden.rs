//! Real dumps of every major and nasty ones by hand, with what they become.
//!
//! To renew an expected file after a change that is meant, delete it; a missing one is written and
//! the test fails once.

use std::path::PathBuf;

use super::*;
use crate::sources::postgres::rewrite::{Purpose, RoleMode, RolePolicy};
use crate::sources::postgres::survey::{Layout, Surveyor};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rewrite")
}

/// Every golden input by its folder's name.
pub(super) fn dumps() -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder()).expect("the golden folder");
    let mut out: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(path.join("input.sql")).expect("an input"))
        })
        .collect();
    out.sort();
    out
}

/// A target that makes every rule work: a server of 14 that we are no superuser of.
pub(super) fn strict() -> Policy {
    let settings = [
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "client_encoding",
        "standard_conforming_strings",
        "check_function_bodies",
        "xmloption",
        "client_min_messages",
        "row_security",
        "default_tablespace",
        "default_table_access_method",
        "default_transaction_read_only",
        "search_path",
        "work_mem",
    ];
    Policy {
        purpose: Purpose::Replay,
        rename: [("shop".into(), "shop__bkp_run".into()), ("CamelCase".into(), "Camel \"side\"".into())].into(),
        roles: RolePolicy {
            mode: RoleMode::Missing,
            existing: names(&["reader", "grp", "admin"]),
            connecting: Some("admin".into()),
            superuser: false,
            only: None,
        },
        known_settings: Some(settings.into_iter().map(str::to_owned).collect()),
        server_major: Some(14),
        tablespaces: Some(names(&[])),
        provided_extensions: names(&["pg_trgm"]),
        ..Policy::default()
    }
}

/// The strict target, told how the dump is laid out.
fn laid_out(input: &[u8]) -> Policy {
    let mut surveyor = Surveyor::new();
    surveyor.push(input).expect("a dump that can be read");
    let layout: Layout = surveyor.finish().expect("a whole dump").layout;
    Policy { layout, ..strict() }
}

#[test]
fn dumps_become_what_is_expected() {
    let mut wrong = Vec::new();
    for (name, input) in dumps() {
        let (output, report) = filter(laid_out(&input), Keep::Nothing, &input, 4096).expect("a dump that can be read");
        let mut expected = output;
        expected.extend_from_slice(b"\n===== changes =====\n");
        for change in &report.changes {
            expected.extend(format!("{}: {}: {}\n", change.line, change.what, change.why).bytes());
        }
        let path = folder().join(&name).join("expected.sql");
        match std::fs::read(&path) {
            Ok(text) if text == expected => {}
            Ok(_) => wrong.push(name),
            Err(_) => {
                std::fs::write(&path, expected).expect("writes the expected file");
                wrong.push(format!("{name} (written now: read it before you keep it)"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
