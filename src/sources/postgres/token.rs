//! The words of one statement that is held whole: where each token lies, and what kind it is.
//!
//! Reads with the rules of psql's `psqlscan.l`, as the lexer does, but over bytes that are all
//! there. Comments and white space between tokens are skipped.

use std::ops::Range;

use memchr::{memchr, memchr2, memmem};

use super::name::Name;

/// What a token is, as far as the rules ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An unquoted identifier or keyword.
    Word,
    /// `"quoted"`, quotes included.
    Quoted,
    /// A string literal of any kind, prefix and quotes included, or a dollar-quoted one.
    Literal,
    /// A number, or what looks like one.
    Number,
    /// One byte of anything else: parentheses, commas, operators.
    Punct(u8),
}

/// One token of a statement.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its bytes, as spelled.
    pub text: &'a [u8],
    /// Where it starts in the statement, in bytes.
    pub start: usize,
    /// How many parentheses are open around it.
    pub depth: u32,
}

impl Token<'_> {
    /// Whether this is the unquoted keyword, given in lower case.
    pub fn is(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword.as_bytes())
    }

    /// Whether this is the one-byte token.
    pub fn is_punct(&self, byte: u8) -> bool {
        self.kind == Kind::Punct(byte)
    }

    /// The identifier's value; `None` for what is not an identifier.
    pub fn name(&self) -> Option<Name> {
        match self.kind {
            Kind::Word | Kind::Quoted => Name::parse(self.text),
            _ => None,
        }
    }

    /// Where the token ends in the statement, in bytes.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// The token's place in the statement.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end()
    }
}

/// How many tokens most statements stay below: room for them is of the size that the allocator keeps at hand.
pub const TOKENS: usize = 32;

/// All tokens of a statement.
pub fn tokens(sql: &[u8], standard_strings: bool) -> Vec<Token<'_>> {
    let mut tokens = Vec::with_capacity(TOKENS);
    tokens.extend(Tokens::new(sql, standard_strings));
    tokens
}

/// The first token.
pub fn first(sql: &[u8], standard_strings: bool) -> Option<Token<'_>> {
    Tokens::new(sql, standard_strings).next()
}

/// The first tokens only: enough to know what a statement is without reading all of it.
pub fn head<const COUNT: usize>(sql: &[u8], standard_strings: bool) -> [Option<Token<'_>>; COUNT] {
    let mut tokens = Tokens::new(sql, standard_strings);
    std::array::from_fn(|_| tokens.next())
}

/// Reads tokens one after the other.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    sql: &'a [u8],
    at: usize,
    depth: u32,
    standard_strings: bool,
}

impl<'a> Tokens<'a> {
    /// A reader at the start of `sql`.
    pub fn new(sql: &'a [u8], standard_strings: bool) -> Self {
        Self { sql, at: 0, depth: 0, standard_strings }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let start = skip_space(self.sql, self.at);
        let rest = self.sql.get(start..)?;
        let first = *rest.first()?;
        let (kind, len) = match first {
            _ if is_word_start(first) => {
                let len = 1 + run(&rest[1..], is_word_part);
                // Only a word of one letter may open a quote.
                match if len == 1 { prefixed(self.sql, start) } else { None } {
                    Some(len) => (Kind::Literal, len),
                    None => (Kind::Word, len),
                }
            }
            b'\'' => (Kind::Literal, string(self.sql, start, !self.standard_strings)),
            b'"' => (Kind::Quoted, quoted(rest)),
            b'$' => match dollar_tag(rest) {
                Some(tag) => (Kind::Literal, dollar_quoted(rest, tag)),
                None => (Kind::Punct(b'$'), 1),
            },
            b'0'..=b'9' => (Kind::Number, run(rest, is_number_part)),
            b'(' => {
                self.depth += 1;
                self.at = start + 1;
                return Some(Token { kind: Kind::Punct(first), text: &rest[..1], start, depth: self.depth - 1 });
            }
            b')' => {
                self.depth = self.depth.saturating_sub(1);
                (Kind::Punct(first), 1)
            }
            _ => (Kind::Punct(first), 1),
        };
        self.at = start + len;
        Some(Token { kind, text: &rest[..len], start, depth: self.depth })
    }
}

/// What each byte may be part of: one look where ranges would be compared one after the other.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        let starts = byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80;
        let digit = byte.is_ascii_digit();
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
        let special = matches!(byte, b';' | b'\\' | b'\'' | b'"' | b'-' | b'/' | b'$' | b'(' | b')' | b':');
        let all = [
            (starts, WORD_START),
            (starts || digit || byte == b'$', WORD_PART),
            (starts || digit || byte == b'.', NUMBER_PART),
            (space, SPACE),
            (!(starts || digit || special), PLAIN),
        ];
        let mut class = 0;
        while class < all.len() {
            classes[at] |= if all[class].0 { all[class].1 } else { 0 };
            class += 1;
        }
        at += 1;
    }
    classes
};
const WORD_START: u8 = 1;
const WORD_PART: u8 = 2;
const NUMBER_PART: u8 = 4;
const SPACE: u8 = 8;
const PLAIN: u8 = 16;

fn is_of(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// First byte of an identifier.
pub(super) fn is_word_start(byte: u8) -> bool {
    is_of(byte, WORD_START)
}

/// Any later byte of an identifier.
pub(super) fn is_word_part(byte: u8) -> bool {
    is_of(byte, WORD_PART)
}

/// Any later byte of a number; letters too, so that `1e5` is one token. No `$`: `1$x$` opens a quote.
pub(super) fn is_number_part(byte: u8) -> bool {
    is_of(byte, NUMBER_PART)
}

/// White space of SQL.
pub(super) fn is_space(byte: u8) -> bool {
    is_of(byte, SPACE)
}

/// What neither begins nor ends anything: white space, commas, most operators.
pub(super) fn is_plain(byte: u8) -> bool {
    is_of(byte, PLAIN)
}

/// How long the run of bytes that `belongs` accepts is.
pub(super) fn run(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&b| !belongs(b)).unwrap_or(bytes.len())
}

/// The delimiter (`$$`, `$_X$`) at the start of `bytes`.
pub(super) fn dollar_tag(bytes: &[u8]) -> Option<&[u8]> {
    let inside = run(&bytes[1..], |b| is_word_start(b) || b.is_ascii_digit());
    let starts_well = bytes.get(1).is_some_and(|b| !b.is_ascii_digit());
    (starts_well && bytes.get(1 + inside) == Some(&b'$')).then(|| &bytes[..inside + 2])
}

fn dollar_quoted(bytes: &[u8], tag: &[u8]) -> usize {
    memmem::find(&bytes[tag.len()..], tag).map_or(bytes.len(), |at| at + 2 * tag.len())
}

/// The length of `E'…'`, `B'…'`, `X'…'`, `N'…'`, `U&'…'`, `U&"…"`; `None` when it is a plain word.
fn prefixed(sql: &[u8], start: usize) -> Option<usize> {
    let rest = &sql[start..];
    match rest {
        [b'e' | b'E', b'\'', ..] => Some(1 + string(sql, start + 1, true)),
        [b'b' | b'B' | b'x' | b'X', b'\'', ..] => Some(1 + string(sql, start + 1, false)),
        [b'u' | b'U', b'&', b'\'', ..] => Some(2 + string(sql, start + 2, false)),
        [b'u' | b'U', b'&', b'"', ..] => Some(2 + quoted(&rest[2..])),
        _ => None,
    }
}

/// The length of the string that opens at `start`, with its continuations over a line break.
fn string(sql: &[u8], start: usize, escapes: bool) -> usize {
    let mut at = start + 1;
    loop {
        at += match memchr2(b'\'', b'\\', &sql[at.min(sql.len())..]) {
            None => return sql.len() - start,
            Some(found) => found,
        };
        if sql[at] == b'\\' {
            at += if escapes { 2 } else { 1 };
        } else if sql.get(at + 1) == Some(&b'\'') {
            at += 2;
        } else {
            match continuation(sql, at + 1) {
                Some(next) => at = next + 1,
                None => return at + 1 - start,
            }
        }
    }
}

/// Where a string goes on after its closing quote: white space with a line break, then a quote.
fn continuation(sql: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    let mut broken = false;
    loop {
        match sql.get(at)? {
            b'\'' if broken => return Some(at),
            b'-' if sql.get(at + 1) == Some(&b'-') => at = line_end(sql, at),
            &byte if is_space(byte) => {
                broken |= matches!(byte, b'\n' | b'\r');
                at += 1;
            }
            _ => return None,
        }
    }
}

fn quoted(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = memchr(b'"', &bytes[at..]) {
        at += found + 1;
        if bytes.get(at) != Some(&b'"') {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// A line comment ends at LF or CR: psql and the server both see it so.
fn line_end(sql: &[u8], from: usize) -> usize {
    memchr2(b'\n', b'\r', &sql[from..]).map_or(sql.len(), |at| from + at)
}

fn skip_space(sql: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = sql.get(at) {
        match byte {
            _ if is_space(byte) => at += 1,
            b'-' if sql.get(at + 1) == Some(&b'-') => at = line_end(sql, at),
            b'/' if sql.get(at + 1) == Some(&b'*') => at = block_end(sql, at),
            _ => break,
        }
    }
    at
}

fn block_end(sql: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    loop {
        match &sql[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            [] => return at,
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        let found = tokens(sql.as_bytes(), true);
        found.iter().map(|t| std::str::from_utf8(t.text).unwrap_or("?")).collect()
    }

    #[test]
    fn words_literals_and_punctuation_are_told_apart() {
        assert_eq!(
            texts("ALTER /* x /* y */ */ ROLE \"a\"\"b\" -- c\n SET a TO 'it''s;', E'\\';' ;"),
            ["ALTER", "ROLE", "\"a\"\"b\"", "SET", "a", "TO", "'it''s;'", ",", "E'\\';'", ";"]
        );
    }

    #[test]
    fn dollar_quotes_end_at_their_own_tag() {
        assert_eq!(texts("$_X$ a; $$ b $_$ $_X$;"), ["$_X$ a; $$ b $_$ $_X$", ";"]);
        assert_eq!(texts("a$b$ $1 1$x$;$x$"), ["a$b$", "$", "1", "1", "$x$;$x$"]);
    }

    #[test]
    fn an_escape_string_goes_on_over_a_line_break() {
        assert_eq!(texts("E'a'\n -- c\n '\\';' ;").len(), 2);
        assert_eq!(texts("'a' 'b'").len(), 2);
    }
}
