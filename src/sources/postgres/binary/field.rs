//! Where a value ends in a row of COPY's text, and what was escaped in it.

use memchr::{memchr, memchr3};

/// A value as it stands in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// As it stands there.
    pub raw: &'a [u8],
    /// Whether anything in it is escaped.
    pub is_escaped: bool,
    /// Whether it is the row's last.
    pub is_last: bool,
}

impl<'a> Field<'a> {
    /// The value that these bytes begin with; nothing where its end is not among them.
    pub fn first(bytes: &'a [u8]) -> Option<Field<'a>> {
        let (mut from, mut is_escaped) = (0, false);
        loop {
            let at = from + memchr3(b'\t', b'\n', b'\\', bytes.get(from..)?)?;
            match bytes[at] {
                // The next one is escaped, whatever it is.
                b'\\' => (from, is_escaped) = (at + 2, true),
                end => return Some(Field { raw: &bytes[..at], is_escaped, is_last: end == b'\n' }),
            }
        }
    }

    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        self.raw == b"\\N"
    }
}

/// What was escaped, as pg_dump's server escapes it; nothing where another would have been meant by it.
pub fn unescape(raw: &[u8], to: &mut Vec<u8>) -> Option<()> {
    to.clear();
    let mut rest = raw;
    while let Some(at) = memchr(b'\\', rest) {
        to.extend_from_slice(&rest[..at]);
        to.push(match rest.get(at + 1)? {
            b'\\' => b'\\',
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 0x08,
            b'f' => 0x0c,
            b'v' => 0x0b,
            _ => return None,
        });
        rest = &rest[at + 2..];
    }
    to.extend_from_slice(rest);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_at_a_tab_or_a_line_end_that_is_not_escaped() {
        for (bytes, raw, is_escaped, is_last) in [
            (&b"a\tb"[..], &b"a"[..], false, false),
            (b"\n", b"", false, true),
            (b"a\\\\\tb\n", b"a\\\\", true, false),
            (b"a\\\nb\n", b"a\\\nb", true, true),
        ] {
            assert_eq!(Field::first(bytes), Some(Field { raw, is_escaped, is_last }), "{bytes:?}");
        }
        for open in [&b""[..], b"abc", b"abc\\", b"abc\\\n", b"a\\\\"] {
            assert_eq!(Field::first(open), None, "{open:?}");
        }
    }

    #[test]
    fn only_what_the_server_escapes_is_undone() {
        let undone = |raw: &[u8]| {
            let mut to = vec![b'x'];
            unescape(raw, &mut to).map(|()| to)
        };
        assert_eq!(undone(br"a\\b\n\t\r\b\f\v\\"), Some(b"a\\b\n\t\r\x08\x0c\x0b\\".to_vec()));
        for other in [&br"\101"[..], br"\x41", br"\.", br"a\N", br"\q", b"a\\\n", b"\\"] {
            assert_eq!(undone(other), None, "{other:?}");
        }
    }
}
