//! Words that say nothing to whoever reads the project later.

use crate::source::{Source, files};

/// Put together, so that this file passes its own test.
fn forbidden() -> Vec<String> {
    [
        ["/wo", "rk/"],
        ["crates", ".io"],
        ["pypi", ".org"],
        ["registry.", "npmjs"],
        ["FIX", "ME"],
        ["XX", "X:"],
        ["TO", "DO"],
        ["HA", "CK"],
        ["cla", "ude"],
        ["chat", "gpt"],
        ["language ", "model"],
    ]
    .iter()
    .map(|parts| parts.concat())
    .collect()
}

fn faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for word in forbidden() {
            if line.contains(&word) {
                faults.push(format!("{}:{}: {word}", source.path, number + 1));
            }
        }
        if numbered(line) {
            faults.push(format!("{}:{}: a number of an issue, which outlives no move", source.path, number + 1));
        }
    }
    faults
}

/// A word of that kind and a number after it.
fn numbered(line: &str) -> bool {
    let line = line.to_lowercase();
    ["issue ", "issue #", "fixes #", "closes #", "pull request #"].iter().any(|start| {
        line.match_indices(start)
            .any(|(at, _)| line[at + start.len()..].starts_with(|next: char| next.is_ascii_digit()))
    })
}

#[test]
fn no_word_is_there_that_says_nothing_later() {
    let places = [
        "src",
        "tests",
        "benches",
        "fuzz/src",
        "fuzz/fuzz_targets",
        "fuzz/Cargo.toml",
        "fuzz/run",
        "release",
        "images",
        "docs",
        "k8s",
        "systemd",
        "build.rs",
        "Cargo.toml",
        "README.md",
        "CHANGELOG.md",
        "Makefile",
        "deny.toml",
        "clippy.toml",
        "rustfmt.toml",
    ];
    let endings = [
        ".rs",
        ".toml",
        ".md",
        ".yaml",
        ".yml",
        ".service",
        ".timer",
        "Makefile",
        "Containerfile",
        "Dockerfile",
        "/run",
        "/build",
    ];
    let faults: Vec<_> = files(&places, &endings).iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn such_a_word_is_found() {
    for word in forbidden().into_iter().chain([["fixes", " #12"].concat(), ["Issue", " 7"].concat()]) {
        let source = Source { path: "x".into(), text: format!("// a {word}b") };
        assert_eq!(faults(&source).len(), 1, "{word}");
    }
}
