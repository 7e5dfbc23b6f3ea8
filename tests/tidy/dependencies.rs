//! Every dependency says why it is there.

use crate::source::root;

/// Dependencies without a comment before them, at their end, or before the one that they follow without a break.
fn unexplained(manifest: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut section, mut explained) = (String::new(), false);
    for line in manifest.lines().map(str::trim) {
        match line.chars().next() {
            None => explained = false,
            Some('[') => (section, explained) = (line.to_owned(), false),
            Some('#') => explained = true,
            // What tests need explains itself by what they test.
            Some(_) if section.contains("dependencies") && !section.contains("dev-") => {
                let own = line.contains(" # ");
                if let Some((name, _)) = line.split_once('=').filter(|_| !explained && !own) {
                    faults.push(name.trim().to_owned());
                }
                explained = false;
            }
            Some(_) => {}
        }
    }
    faults
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let faults = unexplained(&std::fs::read_to_string(root().join("Cargo.toml")).unwrap());
    assert!(faults.is_empty(), "Cargo.toml: without a comment: {}", faults.join(", "));
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# Why.\na = \"1\"\nb = \"1\"\nc = \"1\" # Why.\n\n[dev-dependencies]\nd = \"1\"\n";
    assert_eq!(unexplained(manifest), ["b"]);
}
