//! Messages without what differs from run to run. Pure.

use std::path::PathBuf;

/// Where the golden files of a group are.
pub fn directory(group: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/messages/golden").join(group)
}

/// Warnings and errors with the lines that belong to them; times, ids and sizes by their names.
///
/// What is said of progress is left out: how much of it there is depends on the machine.
pub fn normal(said: &str, hidden: &[(String, &'static str)]) -> String {
    let mut told = String::new();
    let mut is_left_out = false;
    for line in said.lines() {
        let line = match line.split_once('Z').filter(|(time, _)| is_time(time)) {
            Some((_, rest)) => {
                is_left_out = rest.trim_start().starts_with("INFO");
                rest.trim_start()
            }
            None => line,
        };
        if !is_left_out {
            told.push_str(line);
            told.push('\n');
        }
    }
    for (text, name) in hidden {
        told = told.replace(text, name);
    }
    if let Some((before, rest)) = told.split_once("(installed: ") {
        let after = rest.split_once(')').map_or("", |(_, after)| after);
        told = format!("{before}(installed: <versions>){after}");
    }
    words(&told)
}

/// `2026-11-22T00:03:44.645575`
fn is_time(text: &str) -> bool {
    text.len() >= 19 && text.is_char_boundary(10) && text[10..].starts_with('T') && text[..10].split('-').count() == 3
}

/// Runs of letters and digits that are ids or times get a name, and so do sizes.
fn words(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_:.".contains(c);
    let mut told = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len()).max(first.len_utf8());
        let (word, after) = rest.split_at(length);
        let core = word.trim_end_matches(['.', ':', '-']);
        let is_size =
            [" B", " kB", " MB", " GB", " TB", " KiB", " MiB", " GiB"].iter().any(|unit| after.starts_with(unit));
        told.push_str(match () {
            () if told.ends_with("process ") && core.parse::<u32>().is_ok() => "<pid>",
            () if told.ends_with("data/") && core.len() == 2 => "<id>",
            () if is_clock(core) => "<time>",
            () if is_size && core.parse::<f64>().is_ok() => "<n>",
            () if is_id(core) || is_named_id(&told, core) => "<id>",
            () if is_stamp(core) => "<time>",
            () => core,
        });
        told.push_str(&word[core.len()..]);
        rest = after;
    }
    told
}

/// `00:11:30`
fn is_clock(word: &str) -> bool {
    word.len() == 8 && word.split(':').count() == 3 && word.split(':').all(|part| part.parse::<u8>().is_ok())
}

/// A hash in hexadecimal digits, or the first of its digits.
fn is_id(word: &str) -> bool {
    let word = word.split_once("-tmp-").map_or(word, |(id, _)| id);
    let is_hex = word.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    is_hex
        && word.len() >= 8
        && word.chars().any(|c| c.is_ascii_digit())
        && word.chars().any(|c| c.is_ascii_lowercase())
}

/// A short digest of restic's that happens to have no letter, known by what it is of: of forty one has none.
fn is_named_id(before: &str, word: &str) -> bool {
    let kinds = ["snapshot ", "tree ", "pack ", "blob ", "data/", "index/"];
    matches!(word.len(), 8 | 10)
        && word.bytes().all(|b| b.is_ascii_digit())
        && kinds.iter().any(|kind| before.ends_with(kind))
}

/// A run's id, a dump's or a database's name with its second in it, or a time as people write it.
fn is_stamp(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let starts_as_year = word.find("20").is_some_and(|at| word[at..].chars().take(4).all(|c| c.is_ascii_digit()));
    starts_as_year && (digits >= 14 || (digits >= 8 && word.matches('-').count() == 2))
}

#[test]
fn what_differs_from_run_to_run_gets_a_name_and_nothing_else_does() {
    let said = "2026-11-22T00:03:44.645575Z  INFO saved\n  and more\n2026-11-22T00:03:45.1Z ERROR run 20261122T000344Z-k3 in /tmp/x: 1.5 MB of\n - 3f2a9c01, at 127.0.0.1:55\n";
    let hidden = [("/tmp/x".to_owned(), "<work>"), ("127.0.0.1:55".to_owned(), "<server>")];
    assert_eq!(normal(said, &hidden), "ERROR run <time> in <work>: <n> MB of\n - <id>, at <server>\n");
    assert_eq!(
        words("tree 90392177: Save(<data/8389320439>), 90392177 rows"),
        "tree <id>: Save(<data/<id>>), 90392177 rows"
    );
    assert_eq!(
        words("PostgreSQL 15.4: table public.orders, 1100 rows"),
        "PostgreSQL 15.4: table public.orders, 1100 rows"
    );
}
