//! The text of a dump, brought into a form that two equal databases share. Pure.

/// Lines of a dump as they are compared: without what differs between two dumps of the same content, and with the rows of each
/// table in order. (Heap order is no content: a replay may write rows elsewhere.)
pub fn lines(dump: &[u8]) -> Vec<String> {
    let text: String = dump.utf8_chunks().map(|chunk| chunk.valid().to_owned() + &escape(chunk.invalid())).collect();
    let mut all: Vec<String> = Vec::new();
    let mut rows: Option<Vec<String>> = None;
    let mut header: Option<String> = None;
    for line in text.split('\n') {
        if let Some(open) = rows.as_mut() {
            if line == r"\." {
                open.sort();
                all.append(open);
                rows = None;
                all.push(line.to_owned());
            } else {
                open.push(line.to_owned());
            }
            continue;
        }
        // A COPY header runs over lines when a column's name does.
        if header.is_some() || line.starts_with("COPY ") {
            let whole = header.take().map_or_else(|| line.to_owned(), |begun| begun + "\n" + line);
            if whole.ends_with(" FROM stdin;") {
                rows = Some(Vec::new());
            } else if !whole.ends_with(';') && whole.contains('"') {
                header = Some(whole);
                continue;
            }
            all.push(whole);
            continue;
        }
        if !changes_by_itself(line) {
            all.push(line.to_owned());
        }
    }
    // An unfinished COPY is a dump cut short: its rows stay visible to the comparison.
    all.extend(rows.unwrap_or_default());
    all.extend(header);
    all.retain(|line| !line.is_empty());
    sort_runs(&mut all, |line| line.starts_with("ALTER ROLE ") && line.contains(" IN DATABASE "));
    all
}

/// Brings neighbouring lines of one kind in order: the server gives them in that of its oids.
fn sort_runs(lines: &mut [String], of_kind: impl Fn(&str) -> bool) {
    for run in lines.chunk_by_mut(|a, b| of_kind(a) && of_kind(b)) {
        run.sort();
    }
}

/// Lines that say which program dumped when and with what key, not what was dumped.
fn changes_by_itself(line: &str) -> bool {
    let banners = [r"\restrict ", r"\unrestrict ", "-- Dumped ", "-- Started on ", "-- Completed on "];
    banners.iter().any(|start| line.starts_with(start))
}

/// Bytes that are not UTF-8, as databases in other encodings hold them, each in a form of its own.
fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("<{byte:02x}>")).collect()
}

/// A few lines of difference, readable in a test's output: what only one side has, with the place before it.
///
/// `None` when both are equal.
pub fn difference(before: &[String], after: &[String]) -> Option<String> {
    if before == after {
        return None;
    }
    let mut text = String::new();
    let (mut left, mut right, mut told) = (0, 0, 0);
    while (left < before.len() || right < after.len()) && told < 12 {
        match (before.get(left), after.get(right)) {
            (Some(a), Some(b)) if a == b => (left, right) = (left + 1, right + 1),
            (a, b) => {
                if told == 0 && left > 0 {
                    text.push_str(&format!("    after: {}\n", short(&before[left - 1])));
                }
                told += 1;
                // The nearest place where both go on together says which side has more.
                let (skip_left, skip_right) = resync(&before[left..], &after[right..]);
                for line in &before[left..left + skip_left] {
                    text.push_str(&format!("  - {}\n", short(line)));
                }
                for line in &after[right..right + skip_right] {
                    text.push_str(&format!("  + {}\n", short(line)));
                }
                if skip_left + skip_right == 0 {
                    text.push_str(&format!("  - {}\n  + {}\n", short_or_end(a), short_or_end(b)));
                    break;
                }
                (left, right) = (left + skip_left, right + skip_right);
            }
        }
    }
    Some(text)
}

/// How many lines to leave out on each side until the two are equal again, looking a little way ahead.
fn resync(left: &[String], right: &[String]) -> (usize, usize) {
    const AHEAD: usize = 60;
    for total in 1..AHEAD {
        for skip_left in 0..=total {
            let skip_right = total - skip_left;
            if let (Some(a), Some(b)) = (left.get(skip_left), right.get(skip_right))
                && a == b
            {
                return (skip_left, skip_right);
            }
        }
    }
    (left.len().min(5), right.len().min(5))
}

fn short_or_end(line: Option<&String>) -> String {
    line.map_or_else(|| "(the end)".to_owned(), |line| short(line))
}

fn short(line: &str) -> String {
    const MOST: usize = 300;
    let mut cut: String = line.chars().take(MOST).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    cut
}
