//! What is called only in its place, what is called nowhere, and how long a file may be.

use crate::source::{Source, code, files};

/// The longest a file may be, its unit tests counted.
const LINES: usize = 450;

/// A call, the places where it belongs, and why.
const ONLY_IN: &[(&[&str], &[&str], &str)] = &[
    (
        &["env::var", "env::vars", "env::set_var", "env::remove_var"],
        &["src/settings/"],
        "the environment is read in settings, once, so that every fault is told",
    ),
    (
        &["Command::new"],
        &["src/process/", "src/process.rs"],
        "children are started in process, which reads how they end",
    ),
    (
        &["println!", "eprintln!", "print!", "eprint!", "dbg!"],
        &["src/report/", "src/report.rs", "src/main.rs"],
        "printing is the report's; everything else sends events",
    ),
    (
        &["Timestamp::now", "SystemTime::now", "Zoned::now"],
        &["src/commands/"],
        "the clock is read in commands; what is below is told the time",
    ),
    (&["clap::"], &["src/cli.rs", "src/cli/"], "arguments are taken apart in cli"),
    (&["process::exit"], &["src/main.rs", "src/process/stop.rs"], "only main ends the process, or a second signal"),
];

fn nowhere() -> [(String, &'static str); 5] {
    // Put together, so that this file passes its own test.
    [
        (["todo", "!"].concat(), "what is not done is not there"),
        (["unimple", "mented!"].concat(), "what is not done is not there"),
        (["#[ig", "nore"].concat(), "a test that does not run proves nothing"),
        (["unsa", "fe "].concat(), "there is no need for it"),
        (["Box::", "leak"].concat(), "memory stays constant"),
    ]
}

fn misplaced(source: &Source) -> Vec<String> {
    let code = code(&source.text, false);
    let mut faults = Vec::new();
    for (calls, places, why) in ONLY_IN {
        if places.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for call in *calls {
            if named(&code, call) {
                faults.push(format!("{}: {call}: {why}", source.path));
            }
        }
    }
    faults
}

/// Whether the call is there, and not only as the end of a longer word.
fn named(code: &str, call: &str) -> bool {
    code.match_indices(call)
        .any(|(at, _)| !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
}

fn forbidden(source: &Source) -> Vec<String> {
    let code = code(&source.text, true);
    let mut faults: Vec<_> = nowhere()
        .into_iter()
        .filter(|(call, _)| named(&code, call) || (call.starts_with('#') && code.contains(call.as_str())))
        .map(|(call, why)| format!("{}: {call}: {why}", source.path))
        .collect();
    let lines = source.text.lines().count();
    if lines > LINES {
        faults.push(format!("{}: {lines} lines; a file of more than {LINES} is two things", source.path));
    }
    faults
}

#[test]
fn each_call_stays_in_its_place() {
    let faults: Vec<_> = files(&["src"], &[".rs"])
        .iter()
        // Unit tests in files of their own may start what they test.
        .filter(|source| !source.path.contains("/tests/") && !source.path.ends_with("/tests.rs"))
        .flat_map(misplaced)
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn nothing_is_half_done_and_no_file_is_too_long() {
    let places = ["src", "tests", "benches", "fuzz/src", "fuzz/fuzz_targets", "build.rs"];
    let faults: Vec<_> = files(&places, &[".rs"]).iter().flat_map(forbidden).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_call_out_of_its_place_is_found() {
    let sample = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    for (calls, places, _) in ONLY_IN {
        for call in *calls {
            let text = format!("fn f() {{ {call}(\"x\"); }}");
            assert!(!misplaced(&sample("src/sources/files/pack.rs", &text)).is_empty(), "{call}");
            let home = if places[0].ends_with('/') { format!("{}mod.rs", places[0]) } else { places[0].into() };
            assert!(misplaced(&sample(&home, &text)).is_empty(), "{call}");
        }
    }
    for (call, _) in nowhere() {
        assert_eq!(forbidden(&sample("tests/x.rs", &format!("{call}(x)]"))).len(), 1, "{call}");
    }
    assert_eq!(forbidden(&sample("tests/x.rs", &"\n".repeat(LINES + 1))).len(), 1);
    assert!(
        misplaced(&sample("src/lock.rs", "// println!\nlet a = \"println!\"; my_println!(); Instant::now();"))
            .is_empty()
    );
}
