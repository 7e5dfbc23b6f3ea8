//! A list for people: two lines a backup or more, no wider than a terminal of 100 columns as long as its names are not.

use jiff::Timestamp;

use super::row::Row;
use crate::commands::when::age;
use crate::error::plain;
use crate::report::{size, table as aligned};

/// What a terminal has at the least where somebody works.
const WIDTH: usize = 100;

/// Who looks, and when.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// What ages are counted from.
    pub now: Timestamp,
    /// Whose backups need no name.
    pub app: &'a str,
    /// Whether there are colours.
    pub colours: bool,
}

/// The word for what a restore may expect of a backup, the worst first.
fn state(row: &Row) -> &'static str {
    match row {
        Row { problem: Some(_), .. } => "unreadable",
        Row { run: None, .. } => "no seal",
        Row { sealed: false, .. } => "incomplete",
        Row { safety: true, .. } => "safety",
        Row { shrunk, .. } if !shrunk.is_empty() => "SHRANK",
        _ => "sealed",
    }
}

/// Everything, a heading first.
pub fn table(rows: &[Row], look: Look<'_>) -> String {
    let heading = ["AGE", "TIME (UTC)", "RUN", "STATE", "PROVEN", "RESTORES", "STORED"].map(str::to_owned);
    let unknown = || "-".to_owned();
    let lines = rows.iter().map(|row| {
        [
            age(row.time, look.now),
            row.time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            row.run.clone().unwrap_or_else(unknown),
            state(row).to_owned(),
            row.proven.map_or_else(unknown, |when| when.strftime("%Y-%m-%d").to_string()),
            row.restored_bytes.map_or_else(unknown, size),
            row.stored_bytes.map_or_else(unknown, size),
        ]
    });
    let text = aligned(std::iter::once(heading).chain(lines));
    let mut lines = text.lines();
    let mut whole = lines.next().map(|heading| format!("{heading}\n")).unwrap_or_default();
    for (row, line) in rows.iter().zip(lines) {
        whole.push_str(&coloured(line, colour(row), look.colours));
        for (mark, words) in details(row, look.app) {
            for line in wrapped(mark, &words) {
                whole.push_str(&coloured(&line, if mark == '!' { colour(row) } else { "2" }, look.colours));
            }
        }
    }
    whole
}

/// As terminals are told: red for what must not be restored by mistake, yellow for what is less than it should be.
fn colour(row: &Row) -> &'static str {
    match state(row) {
        "SHRANK" | "unreadable" => "31;1",
        "incomplete" => "33",
        "safety" | "no seal" => "2",
        _ => "",
    }
}

fn coloured(line: &str, colour: &str, colours: bool) -> String {
    if colours && !colour.is_empty() { format!("\x1b[{colour}m{line}\x1b[0m\n") } else { format!("{line}\n") }
}

/// What stands below a backup: what is in it, and behind `!` what is wrong with it. Words that belong together are one.
fn details(row: &Row, app: &str) -> Vec<(char, Vec<String>)> {
    // The id beside the item: both together are what `restore --snapshot` and the old names are given.
    let with_id = |shown: &super::row::Shown| format!("{} {}", shown.item, &shown.id[..shown.id.len().min(8)]);
    let mut items = Vec::new();
    if let Some(object) = &row.object {
        let what = match row.databases.as_slice() {
            [] => "dump".to_owned(),
            [one] => format!("database {one}"),
            several => format!("databases {}", several.join(" ")),
        };
        let rows = row.rows.map(|rows| format!(" ({rows} rows)")).unwrap_or_default();
        items.push(format!("{what}{rows} in {object}"));
    }
    items.extend(row.snapshots.iter().map(with_id));
    if row.safety {
        items.push("(safety)".to_owned());
    }
    let in_both = row.object.is_some() && row.items.iter().any(|item| item.starts_with("database "));
    if in_both && row.proven.is_some() {
        // The other's databases nobody has read.
        items.push(format!("proven from {}", row.proven_from.join(" and ")));
    }
    if let Some(other) = row.app.as_deref().filter(|its| *its != app) {
        items.push(format!("of application {other}"));
    }
    let missing = row.missing.iter().map(|item| format!("MISSING {item}"));
    let wrong: Vec<String> = row.shrunk.iter().cloned().chain(missing).chain(row.problem.clone()).collect();
    [(' ', items), ('!', wrong)].into_iter().filter(|(_, words)| !words.is_empty()).collect()
}

/// Lines with as many of the words as fit, commas between them.
fn wrapped(mark: char, words: &[String]) -> Vec<String> {
    let indent = format!("  {mark} ");
    let mut lines: Vec<String> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let word = plain(word);
        let word = if at + 1 < words.len() { word + "," } else { word };
        let room = |line: &String| line.chars().count() + 1 + word.chars().count() <= WIDTH;
        match lines.last_mut().filter(|line| room(line)) {
            Some(line) => line.push_str(&format!(" {word}")),
            None => lines.push(format!("{indent}{word}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests;
