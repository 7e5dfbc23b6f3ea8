//! What statements change in the session that matters for reading the next ones.

use super::literal;
use crate::sources::postgres::lexer::DumpError;
use crate::sources::postgres::token::{Kind, Token, first, tokens};

/// A SET or RESET of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The parameter, in lower case.
    pub name: String,
    /// The place of its first value token; `None` for RESET.
    pub value: Option<usize>,
}

/// The parameter that a SET or RESET is about; `None` for those that are not of parameters
/// (SESSION AUTHORIZATION, ROLE, TRANSACTION, CONSTRAINTS).
pub fn setting(tokens: &[Token<'_>]) -> Option<Setting> {
    let is = |at: usize, keyword: &str| tokens.get(at).is_some_and(|t| t.is(keyword));
    let mut at = 1;
    if is(1, "local") || (is(1, "session") && !is(2, "authorization") && !is(2, "characteristics")) {
        at = 2;
    }
    let none = ["session", "role", "transaction", "constraints", "all"];
    if none.into_iter().any(|keyword| is(at, keyword)) {
        return None;
    }
    let fixed = |name: &str, value| Some(Setting { name: name.into(), value: Some(value) });
    match () {
        () if is(at, "names") => return fixed("client_encoding", at + 1),
        () if is(at, "time") && is(at + 1, "zone") => return fixed("timezone", at + 2),
        () if is(at, "xml") && is(at + 1, "option") => return fixed("xmloption", at + 2),
        () => {}
    }
    let mut name = tokens.get(at)?.name()?.to_string().to_lowercase();
    while tokens.get(at + 1).is_some_and(|t| t.is_punct(b'.')) {
        at += 2;
        name = format!("{name}.{}", tokens.get(at)?.name()?.to_string().to_lowercase());
    }
    let value = (is(at + 1, "to") || tokens.get(at + 1)?.is_punct(b'=')).then_some(at + 2);
    Some(Setting { name, value })
}

/// The value of a SET as text: a word, a number or a literal.
pub fn value(token: &Token<'_>) -> Option<Vec<u8>> {
    match token.kind {
        Kind::Word | Kind::Number => Some(token.text.to_ascii_lowercase()),
        Kind::Literal => literal(token.text),
        Kind::Quoted => Some(token.name()?.as_bytes().to_vec()),
        Kind::Punct(_) => None,
    }
}

/// The part of a session's state that decides how bytes are read.
#[derive(Debug, Clone)]
pub struct Session {
    /// `standard_conforming_strings`: off makes a backslash in `'…'` an escape.
    pub standard_strings: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self { standard_strings: true }
    }
}

impl Session {
    /// Takes in a whole statement that began in `line`; true when COPY rows follow it.
    pub fn after(&mut self, line: u64, sql: &[u8]) -> Result<bool, DumpError> {
        let Some(first) = first(sql, self.standard_strings) else {
            return Ok(false);
        };
        if first.is("copy") {
            return copies(&tokens(sql, self.standard_strings)).map_err(|what| DumpError::Refused { line, what });
        }
        if first.is("set") || first.is("reset") {
            self.set(line, sql)?;
        } else if first.is("discard") {
            self.standard_strings = true;
        } else if first.is("select") {
            self.refuse_hidden(line, sql)?;
        }
        Ok(false)
    }

    fn set(&mut self, line: u64, sql: &[u8]) -> Result<(), DumpError> {
        let tokens = tokens(sql, self.standard_strings);
        if tokens[0].is("reset") && tokens.get(1).is_some_and(|t| t.is("all")) {
            self.standard_strings = true;
        }
        let Some(setting) = setting(&tokens) else {
            return Ok(());
        };
        let text = setting.value.and_then(|at| tokens.get(at)).and_then(value);
        match setting.name.as_str() {
            "standard_conforming_strings" => {
                self.standard_strings = match text.as_deref().map(<[u8]>::to_ascii_lowercase).as_deref() {
                    None | Some(b"on" | b"true" | b"yes" | b"1" | b"default") => true,
                    Some(b"off" | b"false" | b"no" | b"0") => false,
                    Some(_) => {
                        let what = "a value of standard_conforming_strings that cannot be followed";
                        return Err(DumpError::Refused { line, what });
                    }
                };
                Ok(())
            }
            "client_encoding" => self.check_encoding(line, &text.unwrap_or_default()),
            _ => Ok(()),
        }
    }

    /// Refuses encodings in which the second byte of a character may be a quote or a backslash.
    pub fn check_encoding(&self, line: u64, encoding: &[u8]) -> Result<(), DumpError> {
        let plain = |b: &u8| b.is_ascii_alphanumeric().then(|| b.to_ascii_lowercase() as char);
        let short: String = encoding.iter().filter_map(plain).collect();
        // The server's own aliases are among them (encnames.c).
        let unsafe_ones = [
            "sjis",
            "mskanji",
            "shiftjis",
            "win932",
            "windows932",
            "shiftjis2004",
            "big5",
            "win950",
            "windows950",
            "gbk",
            "win936",
            "windows936",
            "uhc",
            "win949",
            "windows949",
            "gb18030",
            "johab",
        ];
        if unsafe_ones.contains(&short.as_str()) {
            return Err(DumpError::Encoding { line, encoding: short });
        }
        Ok(())
    }

    /// set_config() of what the lexer has to follow: dumps use SET for these.
    fn refuse_hidden(&self, line: u64, sql: &[u8]) -> Result<(), DumpError> {
        let tokens = tokens(sql, self.standard_strings);
        for call in tokens.windows(3).filter(|w| is_set_config(&w[0]) && w[1].is_punct(b'(')) {
            let name = literal(call[2].text).unwrap_or_default().to_ascii_lowercase();
            if matches!(name.as_slice(), b"" | b"client_encoding" | b"standard_conforming_strings") {
                let what = "set_config() of a parameter that decides how the dump is read: use SET";
                return Err(DumpError::Refused { line, what });
            }
        }
        Ok(())
    }
}

/// The function of that name, however it is spelled.
pub(super) fn is_set_config(token: &Token<'_>) -> bool {
    token.is("set_config") || token.text == b"\"set_config\""
}

/// Whether rows follow a COPY; `Err` says why it is refused: only `COPY t FROM stdin` in text is data.
fn copies(tokens: &[Token<'_>]) -> Result<bool, &'static str> {
    let outside = |keyword: &str| tokens.iter().position(|t| t.depth == 0 && t.is(keyword));
    let Some(from) = outside("from") else {
        return Err("COPY … TO refused: a dump only loads");
    };
    if outside("to").is_some_and(|to| to < from) {
        return Err("COPY … TO refused: a dump only loads");
    }
    match tokens.get(from + 1) {
        Some(t) if t.is("stdin") => {}
        Some(t) if t.is("program") => {
            return Err("COPY … FROM PROGRAM refused: a dump is data, not a program");
        }
        _ => return Err("COPY from a file of the server refused"),
    }
    let mut options = tokens[from + 2..].iter();
    let other = |t: &Token<'_>| {
        let value = value(t).unwrap_or_default().to_ascii_lowercase();
        matches!(value.as_slice(), b"binary" | b"csv")
    };
    if tokens[1].is("binary") || options.any(other) {
        return Err("COPY in a format other than text refused: its rows cannot be counted");
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(sql: &str) -> Result<bool, DumpError> {
        Session::default().after(1, sql.as_bytes())
    }

    #[test]
    fn only_copy_from_stdin_in_text_is_data() {
        for sql in [
            "COPY public.\"weird\ncol\" (\"from\", b) FROM stdin;",
            "COPY t  FROM stdin;",
            "copy t from STDIN with (delimiter ',');",
        ] {
            assert_eq!(after(sql), Ok(true), "{sql}");
        }
        for sql in [
            "COPY t FROM PROGRAM 'x';",
            "COPY t FROM '/etc/passwd';",
            "COPY t TO stdout;",
            "COPY (SELECT 1 FROM stdin) TO PROGRAM 'x';",
            "COPY t (a) TO PROGRAM 'from stdin';",
            "COPY t FROM stdin WITH (FORMAT csv);",
            "COPY t FROM stdin (FORMAT 'binary');",
            "COPY BINARY t FROM stdin;",
            "COPY t FROM stdin CSV;",
            "COPY t;",
        ] {
            assert!(after(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn encodings_that_hide_quotes_are_refused() {
        for sql in [
            "SET client_encoding = 'SJIS';",
            "SET NAMES 'gbk';",
            "SET client_encoding TO shift_jis_2004;",
            "SET LOCAL client_encoding='Windows-932';",
        ] {
            assert!(matches!(after(sql), Err(DumpError::Encoding { .. })), "{sql}");
        }
        assert_eq!(after("SET client_encoding = 'LATIN1';"), Ok(false));
        assert!(after("SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);").is_err());
        assert!(after("SELECT pg_catalog.\"set_config\"('standard_conforming_strings', 'off', false);").is_err());
        assert_eq!(after("SELECT pg_catalog.set_config('search_path', '', false);"), Ok(false));
    }
}
