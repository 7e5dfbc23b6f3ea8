//! Imports run one way, and sources and repositories never see each other.

use crate::source::{code, files};

/// Each top-level module and those that it may see; itself always.
const MAY_SEE: &[(&str, &[&str])] = &[
    (
        "main",
        &[
            "cli",
            "aliases",
            "commands",
            "sources",
            "repository",
            "pause",
            "lock",
            "process",
            "settings",
            "report",
            "error",
            "exit",
        ],
    ),
    ("lib", &[]),
    ("cli", &["settings", "error", "exit"]),
    ("aliases", &["cli", "settings", "error", "exit"]),
    ("commands", &["cli", "sources", "repository", "pause", "lock", "process", "settings", "report", "error", "exit"]),
    ("sources", &["process", "settings", "report", "error", "exit"]),
    ("repository", &["process", "settings", "report", "authorities", "error", "exit"]),
    ("pause", &["process", "settings", "report", "authorities", "error", "exit"]),
    ("lock", &["process", "settings", "report", "error", "exit"]),
    ("process", &["error", "exit"]),
    ("settings", &["error"]),
    ("report", &["settings", "authorities", "error", "exit"]),
    ("authorities", &[]),
    ("error", &["exit"]),
    ("exit", &[]),
];

/// What is wrong in one file of `src`.
fn faults(path: &str, text: &str) -> Vec<String> {
    let within = path.strip_prefix("src/").unwrap();
    let module = within.split('/').next().unwrap().trim_end_matches(".rs");
    let Some((_, allowed)) = MAY_SEE.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{path}: the module {module} is not on the map in tests/tidy/layers.rs")];
    };
    seen(&code(text, false))
        .into_iter()
        .filter(|other| other != module && MAY_SEE.iter().any(|(name, _)| name == other))
        .filter(|other| !allowed.contains(&other.as_str()))
        .map(|other| format!("{path}: {module} must not see {other}"))
        .collect()
}

/// The top-level modules that are named: `crate::x`, `bkp::x`, and `crate::{x, y::z}`.
fn seen(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for start in ["crate::", "bkp::"] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                continue;
            }
            let rest = &code[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(group) => names.extend(top_of_group(group)),
                None => names.push(word(rest)),
            }
        }
    }
    names
}

/// The first words at the group's own depth.
fn top_of_group(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut fresh) = (0, Vec::new(), true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && !character.is_whitespace() => {
                names.push(word(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

#[test]
fn imports_run_one_way() {
    let faults: Vec<_> =
        files(&["src"], &[".rs"]).iter().flat_map(|source| faults(&source.path, &source.text)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn an_import_the_wrong_way_is_found() {
    for (path, text) in [
        ("src/sources/files/pack.rs", "use crate::repository::Repository;"),
        ("src/repository/bucket/store.rs", "fn f() { crate::sources::postgres::dump() }"),
        ("src/process/child.rs", "use crate::{error, settings::Settings};"),
        ("src/process/child.rs", "use crate::{error::{a, b}, report};"),
        ("src/settings/mod.rs", "use bkp::commands;"),
        ("src/helpers.rs", ""),
    ] {
        assert_eq!(faults(path, text).len(), 1, "{path}: {text}");
    }
    assert!(
        faults("src/sources/a.rs", "use crate::{settings, process::{self, commands}}; // crate::repository").is_empty()
    );
}
