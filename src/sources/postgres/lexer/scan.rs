//! Finds where one statement ends; may stop at any byte and go on with the next chunk.
//!
//! States and heuristics are those of psql's `psqlscan.l`: a statement ends at a `;` outside
//! parentheses and outside `BEGIN ATOMIC … END`, which psql counts only in CREATE FUNCTION and
//! CREATE PROCEDURE. Being as clever as psql and no cleverer matters: psql replays the dump.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem};

use super::routine::Routine;
use crate::sources::postgres::token::{
    dollar_tag, is_number_part, is_plain, is_space, is_word_part, is_word_start, run,
};

/// No real token comes near; one that does would be scanned again with every chunk.
const TOKEN_MAX: usize = 1 << 20;

#[cfg(test)]
thread_local! {
    /// How many bytes this thread's scans have looked at: more than there are, when some were looked at again.
    pub(in crate::sources::postgres) static LOOKED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// What the scan has found so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The statement ends after this many bytes.
    End(usize),
    /// More input is needed.
    More,
}

/// Why a statement cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A psql command in the middle of a statement.
    Backslash,
    /// A string with escapes that goes on after a line break: psql and the server differ on it.
    Continued,
    /// A word of more than a mebibyte.
    Token,
    /// A number that goes on with letters and then with a `$`: not every psql sees a dollar quote begin there.
    Number,
    /// A name in Unicode escapes, which no rule reads.
    Escaped,
    /// A routine that ends elsewhere for psql than for the server, which may see several statements in it.
    Several,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Base,
    Line,
    Block(u32),
    Text {
        escapes: bool,
    },
    /// After a string whose escaping is not the session's: `broken` once a line break was seen.
    After {
        broken: bool,
    },
    Quoted,
    Dollar,
}

/// The scan of one statement.
#[derive(Debug)]
pub(super) struct Scan {
    state: State,
    /// Bytes of the statement that are done with.
    pos: usize,
    parens: u32,
    begins: u32,
    /// First letters of the keywords among the first four words, as psql keeps them.
    lead: [u8; 4],
    words: usize,
    tag: Vec<u8>,
    standard_strings: bool,
    /// Whether psql is to read the statement: then what it may read otherwise than we or the server is a fault.
    replays: bool,
    /// How far it is to the end of each colon behind which psql would look for a variable of its own.
    colons: Vec<usize>,
    routine: Routine,
}

impl Scan {
    /// A scan at the first byte of a statement.
    pub(super) fn new(standard_strings: bool, replays: bool) -> Self {
        Self {
            state: State::Base,
            pos: 0,
            parens: 0,
            begins: 0,
            lead: [0; 4],
            words: 0,
            tag: Vec::new(),
            standard_strings,
            replays,
            colons: Vec::new(),
            routine: Routine::default(),
        }
    }

    /// How many bytes of the statement are done with: they may be given away.
    pub(super) fn done(&self) -> usize {
        self.pos
    }

    /// Says that the first `len` bytes are no longer in front of what `advance` gets.
    pub(super) fn forget(&mut self, len: usize) {
        self.pos -= len;
        self.colons.clear();
    }

    /// `done`, the bytes that are done with, as psql is to get them: with a blank behind each colon where it would put the value of
    /// a variable of its own. `a[1:"USER"]` and `a[1: "USER"]` are the same to the server, and to psql the second has no variable.
    pub(super) fn without_variables<'a>(&self, done: &'a [u8]) -> Cow<'a, [u8]> {
        if self.colons.is_empty() {
            return Cow::Borrowed(done);
        }
        let (mut out, mut from) = (Vec::with_capacity(done.len() + self.colons.len()), 0);
        for &colon in &self.colons {
            out.extend_from_slice(&done[from..colon]);
            out.push(b' ');
            from = colon;
        }
        out.extend_from_slice(&done[from..]);
        Cow::Owned(out)
    }

    /// What a dump that ends here would have been cut in.
    pub(super) fn inside(&self) -> &'static str {
        match self.state {
            State::Text { .. } => "a string",
            State::Quoted => "a quoted name",
            State::Dollar => "a dollar-quoted body",
            State::Block(_) => "a comment",
            _ => "a statement",
        }
    }

    /// Goes on through `sql`, which starts where the statement (or what was not forgotten of it)
    /// starts and may have grown since the last call.
    pub(super) fn advance(&mut self, sql: &[u8]) -> Result<Step, Fault> {
        let more = loop {
            let rest = sql.get(self.pos..).unwrap_or_default();
            if rest.is_empty() {
                break true;
            }
            let went = match self.state {
                State::Base => match self.base(rest)? {
                    Base::Went(len) => Some(len),
                    Base::Wait => None,
                    Base::End => return Ok(Step::End(self.pos + 1)),
                },
                State::Line => self.until(memchr2(b'\n', b'\r', rest), rest.len()),
                State::Block(depth) => self.block(rest, depth),
                State::Text { escapes } => self.text(rest, escapes),
                State::After { broken } => self.after(rest, broken)?,
                State::Quoted => self.until(memchr(b'"', rest).map(|at| at + 1), rest.len()),
                State::Dollar => self.dollar(rest),
            };
            #[cfg(test)]
            LOOKED.set(LOOKED.get() + went.unwrap_or(rest.len()) as u64);
            match went {
                Some(len) => self.pos += len,
                None => break false,
            }
        };
        if !more && sql.len() - self.pos > TOKEN_MAX {
            return Err(Fault::Token);
        }
        Ok(Step::More)
    }

    /// To the end of the state, which is Base again, or over everything there is.
    fn until(&mut self, end: Option<usize>, len: usize) -> Option<usize> {
        if end.is_some() {
            self.state = State::Base;
        }
        Some(end.unwrap_or(len))
    }

    fn base(&mut self, rest: &[u8]) -> Result<Base, Fault> {
        let mut at = 0;
        while let Some(&byte) = rest.get(at) {
            // Words and what stands between them first: they are most of it.
            if is_word_start(byte) {
                let len = 1 + run(&rest[at + 1..], is_word_part);
                let after = &rest[at + len..];
                if after.is_empty() || after == b"&" {
                    return Ok(Base::stop(at));
                }
                let word = &rest[at..at + len];
                if let Some((state, skip)) = prefix(word, after) {
                    self.other()?;
                    if self.replays && state == State::Quoted {
                        return Err(Fault::Escaped);
                    }
                    self.state = state;
                    return Ok(Base::Went(at + len + skip));
                }
                self.word(word)?;
                at += len;
                continue;
            }
            if is_plain(byte) {
                if !is_space(byte) {
                    self.other()?;
                }
                at += 1;
                continue;
            }
            let next = rest.get(at + 1);
            let opened = match byte {
                b';' if self.parens == 0 && self.begins == 0 => {
                    self.pos += at;
                    return Ok(Base::End);
                }
                b'\\' => return Err(Fault::Backslash),
                b'\'' => Some((State::Text { escapes: !self.standard_strings }, 1)),
                b'"' => Some((State::Quoted, 1)),
                b'-' | b'/' if next.is_none() => return Ok(Base::stop(at)),
                b'-' if next == Some(&b'-') => Some((State::Line, 2)),
                b'/' if next == Some(&b'*') => Some((State::Block(1), 2)),
                b'$' => match dollar_tag(&rest[at..]) {
                    Some(tag) => {
                        self.tag = tag.to_vec();
                        Some((State::Dollar, tag.len()))
                    }
                    // The tag may go on in the next chunk.
                    None if run(&rest[at + 1..], is_word_part) == rest.len() - at - 1 => {
                        return Ok(Base::stop(at));
                    }
                    None => None,
                },
                b'0'..=b'9' => match run(&rest[at..], is_number_part) {
                    len if at + len == rest.len() => return Ok(Base::stop(at)),
                    len => {
                        let word = &rest[at..at + len];
                        let digits = |b: &u8| b.is_ascii_digit() || *b == b'.';
                        if self.replays && rest[at + len] == b'$' && !word.iter().all(digits) {
                            return Err(Fault::Number);
                        }
                        self.other()?;
                        at += len;
                        continue;
                    }
                },
                b':' => match variable(&rest[at + 1..]) {
                    None => return Ok(Base::stop(at)),
                    Some(variable) => {
                        if variable {
                            self.colons.push(self.pos + at + 1);
                        }
                        self.other()?;
                        at += 1 + usize::from(matches!(next, Some(b':' | b'=')));
                        continue;
                    }
                },
                b';' if self.parens == 0 => {
                    self.routine.semicolon()?;
                    None
                }
                _ => None,
            };
            if !matches!(opened, Some((State::Line | State::Block(_), _))) && byte != b';' {
                self.other()?;
            }
            match opened {
                Some((state, len)) => {
                    self.state = state;
                    return Ok(Base::Went(at + len));
                }
                None if byte == b'(' => self.parens += 1,
                None if byte == b')' => self.parens = self.parens.saturating_sub(1),
                None => {}
            }
            at += 1;
        }
        Ok(Base::Went(at))
    }

    fn block(&mut self, rest: &[u8], depth: u32) -> Option<usize> {
        let Some(at) = memchr2(b'*', b'/', rest) else {
            return Some(rest.len());
        };
        match (rest[at], rest.get(at + 1)) {
            (_, None) if at == 0 => return None,
            (_, None) => return Some(at),
            (b'/', Some(b'*')) => self.state = State::Block(depth + 1),
            (b'*', Some(b'/')) if depth == 1 => self.state = State::Base,
            (b'*', Some(b'/')) => self.state = State::Block(depth - 1),
            _ => return Some(at + 1),
        }
        Some(at + 2)
    }

    fn text(&mut self, rest: &[u8], escapes: bool) -> Option<usize> {
        let found = match escapes {
            true => memchr2(b'\'', b'\\', rest),
            false => memchr(b'\'', rest),
        };
        let Some(at) = found else {
            return Some(rest.len());
        };
        let next = rest.get(at + 1);
        match next {
            None if at == 0 => return None,
            None => return Some(at),
            Some(b'\'') => return Some(at + 2),
            Some(_) if rest[at] == b'\\' => return Some(at + 2),
            Some(_) if escapes == self.standard_strings => self.state = State::After { broken: false },
            Some(_) => self.state = State::Base,
        }
        Some(at + 1)
    }

    fn after(&mut self, rest: &[u8], broken: bool) -> Result<Option<usize>, Fault> {
        match rest {
            [b'\'', ..] if broken => return Err(Fault::Continued),
            [b'-'] => return Ok(None),
            [b'-', b'-', ..] => {
                return Ok(memchr2(b'\n', b'\r', rest));
            }
            [byte, ..] if is_space(*byte) => {
                self.state = State::After { broken: broken || matches!(byte, b'\n' | b'\r') };
                return Ok(Some(1));
            }
            _ => self.state = State::Base,
        }
        Ok(Some(0))
    }

    fn dollar(&mut self, rest: &[u8]) -> Option<usize> {
        if let Some(at) = memmem::find(rest, &self.tag) {
            self.state = State::Base;
            return Some(at + self.tag.len());
        }
        match rest.len().saturating_sub(self.tag.len() - 1) {
            0 => None,
            len => Some(len),
        }
    }

    /// Takes in a token that is no word and no semicolon.
    fn other(&mut self) -> Result<(), Fault> {
        self.routine.token(b"")
    }

    /// psql's heuristic, word for word.
    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        self.routine.token(word)?;
        self.counted(word);
        Ok(())
    }

    fn counted(&mut self, word: &[u8]) {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
        if self.words < self.lead.len() {
            if ["create", "function", "procedure", "or", "replace"].into_iter().any(is) {
                self.lead[self.words] = word[0].to_ascii_lowercase();
            }
            self.words += 1;
        }
        let routine = |letter: u8| matches!(letter, b'f' | b'p');
        if self.lead[0] != b'c' {
            return;
        }
        let [create, second, third, fourth] = self.lead;
        let counts = create == b'c' && (routine(second) || (second == b'o' && third == b'r' && routine(fourth)));
        if !counts || self.parens > 0 {
            return;
        }
        if is("begin") || (self.begins > 0 && is("case")) {
            self.begins += 1;
        } else if is("end") {
            self.begins = self.begins.saturating_sub(1);
        }
    }
}

enum Base {
    Went(usize),
    Wait,
    End,
}

impl Base {
    /// Cannot decide about the byte at `at` yet.
    fn stop(at: usize) -> Self {
        if at == 0 { Self::Wait } else { Self::Went(at) }
    }
}

/// Whether psql would put a variable in the place of what follows a colon; `None` while that cannot be told. All the variables that
/// psql has by itself begin with a capital, and no dump can make others.
fn variable(after: &[u8]) -> Option<bool> {
    match after {
        [] | [b'\'' | b'"'] => None,
        [b'\'' | b'"', first, ..] | [first, ..] => Some(first.is_ascii_uppercase() || after[0] == b'{'),
    }
}

/// What `word` opens when it is the prefix of a quote, and how long the quote mark after it is.
fn prefix(word: &[u8], after: &[u8]) -> Option<(State, usize)> {
    let text = |escapes| State::Text { escapes };
    match (word, after) {
        ([b'e' | b'E'], [b'\'', ..]) => Some((text(true), 1)),
        ([b'b' | b'B' | b'x' | b'X'], [b'\'', ..]) => Some((text(false), 1)),
        ([b'u' | b'U'], [b'&', b'\'', ..]) => Some((text(false), 2)),
        ([b'u' | b'U'], [b'&', b'"', ..]) => Some((State::Quoted, 2)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
