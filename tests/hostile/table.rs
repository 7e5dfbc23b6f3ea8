//! The table of `docs/security.md` that says what a hostile dump can do: the tests read it, so that it cannot say anything else.

use std::collections::BTreeMap;
use std::path::Path;

/// What stands in the first and the second column, below the heading of hostile dumps.
pub fn verdicts() -> BTreeMap<String, String> {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md")).expect("the page");
    let (_, below) = text.split_once("## What a hostile dump can do").expect("the heading");
    let below = below.split("\n## ").next().unwrap_or_default();
    let rows = below
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| what the dump ") && !line.starts_with("| ---"));
    rows.map(|row| {
        let mut columns = row.trim_matches('|').split(" | ").map(|column| column.trim().to_owned());
        (columns.next().unwrap_or_default(), columns.next().unwrap_or_default())
    })
    .collect()
}
