//! What keeps psql reading as we read.
//!
//! psql reads a line by the `client_encoding` and the `standard_conforming_strings` that its session has when the line begins, and
//! any function may change both. So before a statement that would be cut elsewhere under others, they are said again.

use memchr::memchr_iter;

/// Encodings of clients in which a quote or a backslash may be the second half of a character.
const UNSAFE: &str = "'BIG5', 'GBK', 'UHC', 'GB18030', 'JOHAB', 'SJIS', 'SHIFT_JIS_2004'";

/// Whether a statement may end elsewhere for a psql whose session was changed behind our back, or begins what such a change survives:
/// where a transaction fails, its beginning is what settings go back to.
pub fn is_ambiguous(sql: &[u8], first_word: &[u8]) -> bool {
    let begins = [&b"begin"[..], b"start", b"savepoint"].into_iter().any(|word| first_word.eq_ignore_ascii_case(word));
    begins || !sql.is_ascii() || memchr_iter(b'\\', sql).any(|at| sql.get(at + 1) == Some(&b'\''))
}

/// The lines that make psql read as we do: in no encoding that hides quotes, and strings with or without escapes.
pub fn guard(standard_strings: bool) -> String {
    let strings = if standard_strings { "on" } else { "off" };
    // Each name by its schema: the search path may be the dump's own.
    format!(
        "\nSELECT pg_catalog.set_config('standard_conforming_strings', '{strings}', false), \
         pg_catalog.set_config('client_encoding', CASE WHEN pg_catalog.current_setting('client_encoding') \
         OPERATOR(pg_catalog.=) ANY (ARRAY[{UNSAFE}]) THEN 'UTF8' ELSE pg_catalog.current_setting('client_encoding') END, false);\n"
    )
}

#[cfg(test)]
mod tests {
    use super::is_ambiguous;

    #[test]
    fn what_two_psql_could_cut_differently_is_ambiguous() {
        for sql in ["SELECT '\\';", "COMMENT ON TABLE t IS 'é';", "Begin;"] {
            assert!(is_ambiguous(sql.as_bytes(), sql.split([' ', ';']).next().unwrap_or_default().as_bytes()), "{sql}");
        }
        assert!(!is_ambiguous(b"ALTER TABLE t ADD CHECK (a ~ '^\\d+$');", b"ALTER"));
    }
}
