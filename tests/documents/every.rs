//! No block of commands is in a document that nobody runs.

use std::collections::BTreeSet;
use std::path::Path;

use super::page::{blocks, is_run, text};

/// Pages that are played by tests of this directory.
const PLAYED: [&str; 9] = [
    "README.md",
    "docs/doctor.md",
    "docs/drill.md",
    "docs/formats.md",
    "docs/metrics.md",
    "docs/moving.md",
    "docs/restore.md",
    "docs/runbook.md",
    "docs/security.md",
];

/// Pages that are played block by block on a cluster or a host with systemd: `tests/kubernetes/pages.rs`, `tests/kubernetes/shop/words.sh`, `tests/systemd/run`.
const PLAYED_ELSEWHERE: [&str; 8] = [
    "docs/forgejo.md",
    "docs/jira.md",
    "docs/nextcloud.md",
    "docs/opsocket.md",
    "docs/quetzal.md",
    "docs/taiga.md",
    "k8s/README.md",
    "systemd/README.md",
];

/// What a block `sh elsewhere` may call: what cannot be had where these tests run.
const ELSEWHERE: [&str; 2] = ["kubectl", "gcloud"];

/// Blocks `sh elsewhere` that no test plays at all: their page and heading, and why. No other may join them without a reason.
const PLAYED_BY_NOBODY: [(&str, &str, &str); 1] = [(
    "docs/security.md",
    "Least rights in the store",
    "they change a Google Cloud project, and no program stands in for one",
)];

/// What stands between fences and is no command: what a program prints, or what a file holds.
const NO_COMMANDS: [&str; 5] = ["text", "yaml", "ini", "json", ""];

/// All documents of the project.
fn documents() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["", "docs", "k8s", "systemd", "images", "monitoring"] {
        for entry in root.join(folder).read_dir().expect("a directory").flatten() {
            let path = Path::new(folder).join(entry.file_name());
            if path.extension().is_some_and(|end| end == "md") {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn no_document_has_a_command_that_nobody_runs() {
    let mut faults = Vec::new();
    for path in documents() {
        for block in blocks(&text(&path)) {
            let fault = match block.kind.as_str() {
                _ if PLAYED_ELSEWHERE.contains(&path.as_str()) => continue,
                kind if is_run(kind) => (!PLAYED.contains(&path.as_str())).then_some("nobody plays this page"),
                "sh elsewhere" => (!only_elsewhere(&block.lines)).then_some("could be run here"),
                kind => (!NO_COMMANDS.contains(&kind)).then_some("a kind of block that nobody runs"),
            };
            faults.extend(fault.map(|fault| format!("{path}, {}: {fault}:\n{}", block.heading, block.lines)));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn each_page_that_is_said_to_be_played_is() {
    let players = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let players = players.read_dir().expect("a directory").flatten().filter(|file| file.file_name() != "every.rs");
    let players: Vec<String> = players.map(|file| std::fs::read_to_string(file.path()).expect("a test")).collect();
    for page in PLAYED {
        let quoted = format!("\"{page}\"");
        assert!(players.iter().any(|player| player.contains(&quoted)), "nobody plays {page}");
    }
}

#[test]
fn each_block_for_elsewhere_is_played_on_a_cluster_or_has_a_reason() {
    let elsewhere = |page: &str| {
        let blocks = blocks(&text(page)).into_iter().filter(|block| block.kind == "sh elsewhere");
        blocks.map(|block| block.heading).collect::<Vec<String>>()
    };
    let run_book = elsewhere("docs/runbook.md").len();
    assert_eq!(numbers(&["tests/kubernetes/scenarios/runbook.sh".to_owned()], "elsewhere "), (1..=run_book).collect());
    let others = documents().into_iter().filter(|page| page != "docs/runbook.md");
    let left = others.flat_map(|page| elsewhere(&page).into_iter().map(move |heading| (page.clone(), heading)));
    let excused = PLAYED_BY_NOBODY.map(|(page, heading, _)| (page.to_owned(), heading.to_owned()));
    assert_eq!(left.collect::<Vec<_>>(), excused);
}

/// Whether each line calls what cannot be had here.
fn only_elsewhere(lines: &str) -> bool {
    lines.lines().all(|line| ELSEWHERE.iter().any(|program| line.split([' ', '|']).any(|word| word == *program)))
}

#[test]
fn what_can_be_run_here_is_not_for_elsewhere() {
    assert!(only_elsewhere("kubectl get pods\ngcloud storage ls\n"));
    assert!(!only_elsewhere("kubectl get pods\nbkp list\n"));
}

/// The numbers behind a word at the beginning of a scenario's lines.
fn numbers(scenarios: &[String], word: &str) -> BTreeSet<usize> {
    let texts = scenarios.iter().map(|path| text(path));
    let found = texts.flat_map(|text| {
        let after = text.lines().filter_map(|line| line.split_once(word)).map(|(_, rest)| rest.to_owned());
        after.filter_map(|rest| rest.split([' ', ')', '"']).next()?.parse().ok()).collect::<Vec<usize>>()
    });
    found.collect()
}

#[test]
fn each_block_of_the_pages_of_clusters_and_hosts_is_played() {
    let all = |page: &str| (1..=blocks(&text(page)).iter().filter(|block| block.kind == "sh").count()).collect();
    let run_book =
        numbers(&["nightly", "secrets"].map(|it| format!("tests/kubernetes/scenarios/{it}.sh")), "as_written ");
    // The scenarios count from the second on: the first makes the images and applies the manifests that all of them stand on.
    let mut cluster: BTreeSet<usize> = run_book.iter().map(|number| number + 1).chain([1]).collect();
    // By `tests/kubernetes/pages.rs`: the minute of a schedule, and the chart.
    cluster.extend([7, 8]);
    let there: BTreeSet<usize> = all("k8s/README.md");
    assert_eq!(cluster, there);

    let files = ["files", "shared"].map(|it| format!("tests/systemd/scenarios/{it}.sh"));
    let mut host: BTreeSet<usize> = numbers(&files, "as_written ");
    host.extend(numbers(&files, "$(block "));
    // A file's content.
    host.insert(2);
    let there: BTreeSet<usize> = all("systemd/README.md");
    assert_eq!(host, there);
}
