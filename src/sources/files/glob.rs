//! One name against one pattern: `*`, `?`, `[a-z]`, `[!a-z]`, and a backslash before what shall mean itself. Names are bytes,
//! because file systems hold names that are no text.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Whether the whole name fits the pattern.
pub fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last star does not fit: the star takes one byte more.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(length) = one(&pattern[p..], name[n]) {
            p += length;
            n += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, n) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// How much of the pattern stands for this one byte, if it fits.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (escaped == byte).then_some(2),
        [b'[', ..] => match class(pattern, byte) {
            Some((length, fits)) => fits.then_some(length),
            None => (byte == b'[').then_some(1),
        },
        [plain, ..] => (plain == byte).then_some(1),
    }
}

/// The length of a `[…]` and whether the byte is in it; nothing where it is never closed, and so stands for itself.
fn class(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
    let mut at = 1;
    let not = matches!(pattern.get(at), Some(b'!' | b'^'));
    at += usize::from(not);
    let (first, mut found) = (at, false);
    loop {
        let mut low = *pattern.get(at)?;
        if low == b']' && at > first {
            return Some((at + 1, found != not));
        }
        if low == b'\\' {
            at += 1;
            low = *pattern.get(at)?;
        }
        let mut high = low;
        if pattern.get(at + 1) == Some(&b'-') && pattern.get(at + 2).is_some_and(|next| *next != b']') {
            high = pattern[at + 2];
            at += 2;
        }
        found |= (low..=high).contains(&byte);
        at += 1;
    }
}

/// Whether the pattern fits one name only.
pub fn is_plain(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| b"*?[\\".contains(byte))
}

/// A path as a pattern that fits itself alone.
pub fn escaped(path: &OsStr) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(path.len());
    for byte in path.as_bytes() {
        if b"*?[]\\".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_or_does_not() {
        for (pattern, yes, no) in [
            ("config", vec!["config"], vec!["config2", "Config", ""]),
            ("*.zip", vec!["a.zip", ".zip", "a.zip.zip"], vec!["a.zip.tmp", "zip"]),
            ("a*b*c", vec!["abc", "axxbyybzzc"], vec!["ab", "acb"]),
            ("?", vec!["x"], vec!["", "xy"]),
            ("[a-c]x", vec!["ax", "cx"], vec!["dx", "x"]),
            ("[!a-c]x", vec!["dx"], vec!["ax"]),
            ("[]-]", vec!["]", "-"], vec!["a"]),
            ("[ab", vec!["[ab"], vec!["a"]),
            ("\\*", vec!["*"], vec!["a", "\\"]),
            ("[\\]]", vec!["]"], vec!["\\"]),
            ("*", vec!["", "anything"], vec![]),
        ] {
            for name in yes {
                assert!(fits(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
            }
            for name in no {
                assert!(!fits(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        assert!(!fits("*a".repeat(40).as_bytes(), "a".repeat(39).as_bytes()));
    }

    #[test]
    fn an_escaped_path_fits_itself_alone() {
        let odd = OsStr::from_bytes(b"/a[b]*?\\\xff");
        assert!(fits(&escaped(odd), odd.as_bytes()));
        assert!(!fits(&escaped(odd), b"/abx?\\\xff"));
    }
}
