//! An SQL identifier's value: what the catalogue holds, not how a statement spells it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest identifier of PostgreSQL, in bytes (NAMEDATALEN - 1).
pub const NAME_BYTES: usize = 63;

/// Hexadecimal digits that tell cut names apart.
const DIGEST_DIGITS: usize = 8;

/// `name` and `end`, cut so that the server takes it whole.
///
/// Long names often differ only at their end: a cut one says by its digest which one it is.
pub fn ending_in(name: &str, end: &str) -> String {
    let room = NAME_BYTES.saturating_sub(end.len());
    if name.len() <= room {
        return format!("{name}{end}");
    }
    let digest = &blake3::hash(name.as_bytes()).to_hex()[..DIGEST_DIGITS];
    let cut = name.floor_char_boundary(room.saturating_sub(DIGEST_DIGITS + 1));
    format!("{}_{digest}{end}", &name[..cut])
}

/// The value of an identifier, as bytes, because a dump may mix encodings and a SQL_ASCII
/// database holds any bytes.
///
/// Two spellings of one object (`shop`, `SHOP`, `"shop"`) are one `Name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// A name from its value; nothing is folded or unquoted.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self(value.into())
    }

    /// The value of one identifier as a statement spells it: `"Odd ""x"""` or `shop`.
    ///
    /// Unquoted ASCII letters fold to lower case, as PostgreSQL does (other letters depend on the
    /// server's encoding; dumps quote them). `None` when it is not exactly one identifier.
    pub fn parse(spelled: &[u8]) -> Option<Self> {
        if let Some(rest) = spelled.strip_prefix(b"\"") {
            return unquote(rest.strip_suffix(b"\"")?).map(Self);
        }
        let first = *spelled.first()?;
        let starts = first.is_ascii_alphabetic() || first == b'_' || first >= 0x80;
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$') || *b >= 0x80;
        (starts && spelled.iter().all(plain)).then(|| Self(spelled.to_ascii_lowercase()))
    }

    /// The value's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The spelling that every server reads back as this name: always in quotes, so that no
    /// keyword list has to be kept.
    pub fn quoted(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() + 2);
        out.push(b'"');
        for &byte in &self.0 {
            if byte == b'"' {
                out.push(b'"');
            }
            out.push(byte);
        }
        out.push(b'"');
        out
    }

    /// PUBLIC and the server's own roles: never created, missing or left out by us.
    pub fn is_builtin_role(&self) -> bool {
        self.0 == b"public" || self.0.starts_with(b"pg_")
    }
}

/// The inside of a quoted identifier: each `""` is one `"`; a single one cannot be there.
fn unquote(inside: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(&byte) = bytes.next() {
        if byte == b'"' && bytes.next() != Some(&b'"') {
            return None;
        }
        out.push(byte);
    }
    (!out.is_empty()).then_some(out)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl From<&str> for Name {
    fn from(value: &str) -> Self {
        Self(value.as_bytes().to_vec())
    }
}

impl From<String> for Name {
    fn from(value: String) -> Self {
        Self(value.into_bytes())
    }
}

/// As a string. Bytes that are not UTF-8 are lost here: records are for people and JSON.
impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(&self.0))
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unquoted_name_folds_and_a_quoted_one_does_not() {
        assert_eq!(Name::parse(b"Shop"), Some("shop".into()));
        assert_eq!(Name::parse(b"\"Shop\""), Some("Shop".into()));
        assert_eq!(Name::parse(b"\"a \"\"b\"\";\n\""), Some("a \"b\";\n".into()));
    }

    #[test]
    fn what_is_not_one_identifier_is_none() {
        for bad in ["", "\"", "\"\"", "a b", "1a", "\"a\"b\"", "a.b", "\"a\"\""] {
            assert_eq!(Name::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_quoted_name_reads_back_as_itself() {
        for value in ["shop", "user", "odd \"x\"; y", "two\nlines", "é"] {
            assert_eq!(Name::parse(&Name::from(value).quoted()), Some(value.into()));
        }
    }
}
