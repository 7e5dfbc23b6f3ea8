//! The project's files, and code without its comments and literals.

use std::fs;
use std::path::{Path, PathBuf};

/// A file: its path below the project's root, and its text.
pub struct Source {
    pub path: String,
    pub text: String,
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below these places whose names end so. A place that is not there has none.
pub fn files(places: &[&str], endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for place in places {
        walk(&root().join(place), endings, &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(place: &Path, endings: &[&str], found: &mut Vec<Source>) {
    if place.is_dir() {
        for entry in fs::read_dir(place).unwrap() {
            walk(&entry.unwrap().path(), endings, found);
        }
    } else if endings.iter().any(|ending| place.to_string_lossy().ends_with(ending))
        && let Ok(text) = fs::read_to_string(place)
    {
        let path = place.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        found.push(Source { path, text });
    }
}

/// The code alone, line for line: comments and what stands between quotes become spaces. Unit tests at a file's end
/// (`#[cfg(test)]` and `mod tests {`) are left out where `tests` is not asked for.
pub fn code(text: &str, tests: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        let length = match rest {
            [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => 2 + find(&rest[2..], b"*/").map_or(rest.len() - 2, |end| end + 2),
            [b'r', b'"' | b'#', ..] if !is_word(out.last()) => raw(rest).unwrap_or(0),
            [b'"', ..] => quoted(rest),
            [b'\'', b'\\', ..] => 3 + find(&rest[3..], b"'").map_or(0, |end| end + 1),
            [b'\'', first, ..] => {
                let wide = match first {
                    0..0x80 => 1,
                    0xc0..0xe0 => 2,
                    0xe0..0xf0 => 3,
                    _ => 4,
                };
                if rest.get(1 + wide) == Some(&b'\'') { wide + 2 } else { 0 }
            }
            _ => 0,
        };
        if length == 0 {
            out.push(bytes[at]);
            at += 1;
        } else {
            out.extend(rest[..length].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
            at += length;
        }
    }
    let code = String::from_utf8(out).unwrap();
    match code.find("#[cfg(test)]\nmod tests {").filter(|_| !tests) {
        Some(end) => code[..end].to_owned(),
        None => code,
    }
}

fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn raw(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    find(&rest[2 + hashes..], &end).map(|at| 2 + hashes + at + end.len())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = "a(); // b()\n/* c()\n */ d(\"e()\\\"\", 'f', '\\'', r#\"g(\"h()\"#);\nfn i<'a>(x: &'a str) {}\n";
    let found = code(text, true);
    assert_eq!(found.lines().count(), text.lines().count());
    for there in ["a()", "d(", "fn i<'a>(x: &'a str) {}"] {
        assert!(found.contains(there), "{found}");
    }
    for gone in ["b()", "c()", "e()", "g(", "h()"] {
        assert!(!found.contains(gone), "{found}");
    }
    let tested = "fn a() {}\n#[cfg(test)]\nmod tests {\n b() }";
    assert!(!code(tested, false).contains("b()") && code(tested, true).contains("b()"));
}
