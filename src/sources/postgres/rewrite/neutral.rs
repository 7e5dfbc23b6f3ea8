//! Statements that are run apart from the rest of their section, by a session that may read strings otherwise than the dump's did.

use crate::sources::postgres::token::{Kind, Tokens};

/// Why a statement is changed so.
pub(super) const WHY: &str = "strings with escapes say so (E'…'): they are read alike wherever it runs";

/// A statement that was read with `standard_conforming_strings` off, as every session reads it: each `'…'` with a backslash in it is
/// an `E'…'`, which is what it was. Nothing where there is none.
pub(super) fn neutral(sql: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut at) = (Vec::new(), 0);
    for token in Tokens::new(sql, false).filter(|token| token.kind == Kind::Literal) {
        if token.text.starts_with(b"'") && token.text.contains(&b'\\') {
            out.extend_from_slice(&sql[at..token.start]);
            // Apart from a word that stands right before it.
            out.extend_from_slice(b" E");
            at = token.start;
        }
    }
    if out.is_empty() {
        return None;
    }
    out.extend_from_slice(&sql[at..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::neutral;

    #[test]
    fn strings_with_escapes_say_so_and_nothing_else_changes() {
        for (sql, wanted) in [
            (r"ALTER DATABASE a SET b.c TO'\'; \! id; ';", r"ALTER DATABASE a SET b.c TO E'\'; \! id; ';"),
            (r"COMMENT ON DATABASE a IS 'it''s \\';", r"COMMENT ON DATABASE a IS  E'it''s \\';"),
        ] {
            assert_eq!(String::from_utf8_lossy(&neutral(sql.as_bytes()).unwrap()), wanted);
        }
        for sql in [r"COMMENT ON DATABASE a IS E'\\' || 'b' || $$\$$;", "CREATE DATABASE a;"] {
            assert_eq!(neutral(sql.as_bytes()), None);
        }
    }
}
