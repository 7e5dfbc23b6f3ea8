//! Arrays of one dimension, as the server writes them (`array_out`).

use super::kind::{Kind, NULL};

/// Elements of the type of this number, behind how many they are.
pub fn array(element: u32, text: &[u8], to: &mut Vec<u8>) -> Option<()> {
    let kind = Kind::of(element)?;
    let mut rest = text.strip_prefix(b"{")?.strip_suffix(b"}")?;
    let from = to.len();
    // Dimensions, whether there are NULLs, the type.
    [0, 0, element].iter().for_each(|word| to.extend_from_slice(&word.to_be_bytes()));
    if rest.is_empty() {
        return Some(());
    }
    let (mut count, mut nulls) = (0_u32, 0_u32);
    // How many they are, and the number of the first.
    [0, 1_u32].iter().for_each(|word| to.extend_from_slice(&word.to_be_bytes()));
    let mut unquoted = Vec::new();
    loop {
        count += 1;
        match element_of(&mut rest, &mut unquoted)? {
            Element::Null => {
                nulls = 1;
                to.extend_from_slice(&NULL);
            }
            Element::Bare(text) => kind.put(text, to)?,
            Element::Quoted => kind.put(&unquoted, to)?,
        }
        match rest {
            [] => break,
            [b',', more @ ..] => rest = more,
            _ => return None,
        }
    }
    for (at, word) in [(0, 1), (4, nulls), (12, count)] {
        to[from + at..from + at + 4].copy_from_slice(&word.to_be_bytes());
    }
    Some(())
}

enum Element<'a> {
    Null,
    Bare(&'a [u8]),
    /// It is in what was given for it.
    Quoted,
}

fn element_of<'a>(rest: &mut &'a [u8], unquoted: &mut Vec<u8>) -> Option<Element<'a>> {
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let end = rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len());
        let (bare, more) = rest.split_at(end);
        *rest = more;
        // Whatever else needs quotes: braces are of other dimensions, spaces would not count.
        let is_bare = !bare.is_empty()
            && !bare.iter().any(|byte| matches!(byte, b'{' | b'}' | b'"' | b'\\' | b'\t'..=b'\r' | b' '));
        return match bare {
            b"NULL" => Some(Element::Null),
            _ if !is_bare || bare.eq_ignore_ascii_case(b"NULL") => None,
            _ => Some(Element::Bare(bare)),
        };
    };
    unquoted.clear();
    let mut bytes = quoted.iter();
    loop {
        match bytes.next()? {
            b'"' => break,
            // Of these two alone: another might become part of what stands before it.
            b'\\' => unquoted.push(*bytes.next().filter(|byte| matches!(byte, b'"' | b'\\'))?),
            byte => unquoted.push(*byte),
        }
    }
    *rest = bytes.as_slice();
    Some(Element::Quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(element: u32, text: &str) -> Option<Vec<u8>> {
        let mut to = Vec::new();
        array(element, text.as_bytes(), &mut to).map(|()| to)
    }

    #[test]
    fn elements_are_bare_quoted_or_null() {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
        assert_eq!(put(25, "{}"), Some(words(&[0, 0, 25])));
        assert_eq!(put(23, "{7,NULL}"), Some(words(&[1, 1, 23, 2, 1, 4, 7, u32::MAX])));
        let text = put(25, r#"{a,"b,\"\\} ",""}"#).expect("an array");
        assert_eq!(
            text,
            [words(&[1, 0, 25, 3, 1, 1]), b"a".to_vec(), words(&[6]), b"b,\"\\} ".to_vec(), words(&[0])].concat()
        );
    }

    #[test]
    fn what_the_server_would_spell_otherwise_is_none() {
        for other in [
            "",
            "{",
            "a",
            "{a",
            "{,}",
            "{a,}",
            "{ a}",
            "{a b}",
            "{null}",
            "{{a}}",
            "[0:1]={a,b}",
            r#"{"a"#,
            r#"{"a"b}"#,
            r#"{a"b"}"#,
            r"{a\b}",
            r#"{"a\b"}"#,
            "{a}}",
        ] {
            assert_eq!(put(25, other), None, "{other}");
        }
        assert_eq!(put(23, "{a}"), None);
    }
}
