//! Every pain of `docs/pains.md` is answered by tests, and these are there.

use std::fs;

use crate::source::{code, root};

/// How many there are; one that is answered stays in the list.
const PAINS: usize = 25;

/// The cells of the table's rows, without its heading.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| line.starts_with("| ")).skip(2);
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// `tests/job/runs.rs::two_runs_never_overlap`, between backticks, as the path of a file and the name of a test.
fn tests<'a>(cells: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let named = cells.last().into_iter().flat_map(|cell| cell.split('`').skip(1).step_by(2));
    named.map(|name| name.split_once("::").unwrap_or((name, ""))).collect()
}

/// Whether a source has a test of that name: a function behind an attribute that makes it one.
fn has(source: &str, name: &str) -> bool {
    let code = code(source, true);
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let is_it = |line: &&str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    let Some(at) = lines.iter().position(is_it) else { return false };
    lines[..at]
        .iter()
        .rev()
        .take_while(|line| line.starts_with("#[") || line.is_empty())
        .any(|line| line.contains("test"))
}

fn faults(text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let rows = rows(text);
    let mut faults = Vec::new();
    if rows.len() != PAINS {
        faults.push(format!("{} rows", rows.len()));
    }
    for (number, cells) in rows.iter().enumerate() {
        if cells.first().and_then(|cell| cell.parse().ok()) != Some(number + 1) || cells.len() != 5 {
            faults.push(format!("row {} is not numbered so, or has other than five cells", number + 1));
        }
        let named = tests(cells);
        if named.is_empty() {
            faults.push(format!("row {} has no test", number + 1));
        }
        for (path, name) in named {
            if !read(path).is_some_and(|source| has(&source, name)) {
                faults.push(format!("row {}: there is no test {path}::{name}", number + 1));
            }
        }
    }
    faults
}

#[test]
fn every_pain_has_its_tests() {
    let text = fs::read_to_string(root().join("docs/pains.md")).unwrap();
    let faults = faults(&text, |path| fs::read_to_string(root().join(path)).ok());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_test_that_is_gone_a_row_without_one_and_a_mere_function_are_found() {
    let row = |number: usize, shown: &str| format!("| {number} | pain | x#1 | answer | {shown} |\n");
    let table = |last: &str| -> String {
        let rows: String = (1..PAINS).map(|number| row(number, "`tests/a.rs::is_there`")).collect();
        format!("| # | a | b | c | d |\n| --- | --- | --- | --- | --- |\n{rows}{}", row(PAINS, last))
    };
    let source = "#[test]\nfn is_there() {}\n#[tokio::test]\nasync fn waits() {}\nfn helper() {}\n// fn said() {}\n";
    let found = |last: &str| faults(&table(last), |path| (path == "tests/a.rs").then(|| source.to_owned()));
    assert_eq!(found("`tests/a.rs::is_there`, `tests/a.rs::waits`"), Vec::<String>::new());
    for wrong in ["", "`tests/a.rs::is_gone`", "`tests/b.rs::is_there`", "`tests/a.rs::helper`", "`tests/a.rs::said`"] {
        assert_eq!(found(wrong).len(), 1, "{wrong}");
    }
    assert_eq!(faults("", |_| None), ["0 rows"]);
}
