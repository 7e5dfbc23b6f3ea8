//! Every dependency says why it is there, what is built takes those of the lock file, and no code of ours is unsafe.

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

/// Calls of cargo that may take other crates than the ones in the lock file.
fn unlocked(script: &str) -> Vec<&str> {
    let builds = ["build", "test", "run", "check", "clippy", "bench"];
    let calls = |line: &str| {
        let mut words = line.split_whitespace().skip_while(|word| !["$(CARGO)", "cargo"].contains(word)).skip(1);
        let verb = words.find(|word| !word.starts_with(['+', '$']) && *word != "auditable");
        verb.is_some_and(|verb| builds.contains(&verb))
    };
    let code = script.lines().filter(|line| !line.trim_start().starts_with('#') && !line.contains("echo"));
    code.filter(|line| calls(line) && !line.contains("--locked") && !line.contains("CARGO_FLAGS")).collect()
}

#[test]
fn every_build_takes_the_locked_crates() {
    for path in
        ["Makefile", "release/build", "release/deny", "demo/run", "tests/systemd/run", "tests/images/run", ".ci/run"]
    {
        let script = std::fs::read_to_string(root().join(path)).unwrap();
        assert_eq!(unlocked(&script), [""; 0], "{path}");
    }
    assert_eq!(unlocked("\t$(CARGO) $(AUDITABLE) build --release\n\tcargo +1 test\n\t$(CARGO) fmt --check").len(), 2);
}

/// The compiler holds it then, for tests and benches as well, and nobody can allow it in one place.
#[test]
fn no_code_of_ours_is_unsafe() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("[lints.rust]\nunsafe_code = \"forbid\"\n"));
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# Why.\na = \"1\"\nb = \"1\"\nc = \"1\" # Why.\n\n[dev-dependencies]\nd = \"1\"\n";
    assert_eq!(unexplained(manifest), ["b"]);
}
