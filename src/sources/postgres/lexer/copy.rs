//! The rows of a COPY block: passed on at the speed of memory, counted, never looked into.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{Lexer, Mode};

/// Finds the next line that begins like the end mark.
static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\n\\."));

/// Every beginning of the end mark, for the part of it that an earlier chunk held.
const MARK: &[u8] = b"\\.\r";

/// Where in a line the rows stand between two chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At a line's start, after so many bytes of `\.` CR.
    Start(usize),
    /// Somewhere else in a line.
    Middle,
}

/// The reader of one COPY block's rows.
#[derive(Debug)]
pub(super) struct Rows {
    place: Place,
}

/// One piece of a COPY block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Bytes of rows.
    Rows(&'a [u8]),
    /// The line `\.` as the dump has it; the block is over.
    End(&'static [u8]),
    /// Everything was used; more rows follow.
    More,
}

impl Rows {
    pub(super) fn new() -> Self {
        Self { place: Place::Start(0) }
    }

    /// Whether nothing of an end mark has come: what comes next is of the rows as long as no line in it begins with `\.`, and its own first
    /// byte is no backslash.
    pub(super) fn is_among(&self) -> bool {
        matches!(self.place, Place::Start(0) | Place::Middle)
    }

    /// Rows that nobody looks at: whether their last byte ends a line.
    pub(super) fn skip(&mut self, is_ended: bool) {
        self.place = if is_ended { Place::Start(0) } else { Place::Middle };
    }

    /// The next piece of `rest`, and how many bytes of `rest` it used.
    ///
    /// psql ends the block at a line that is exactly `\.` with LF or CRLF (`handleCopyIn`).
    pub(super) fn next<'a>(&mut self, rest: &'a [u8]) -> (Piece<'a>, usize) {
        let mut at = 0;
        while let Place::Start(seen) = self.place {
            let Some(&byte) = rest.get(at) else {
                return (Piece::More, at);
            };
            match (seen, byte) {
                (2, b'\n') => return (Piece::End(b"\\.\n"), at + 1),
                (3, b'\n') => return (Piece::End(b"\\.\r\n"), at + 1),
                _ if seen < MARK.len() && byte == MARK[seen] => {
                    self.place = Place::Start(seen + 1);
                    at += 1;
                }
                _ => {
                    self.place = Place::Middle;
                    if seen > at {
                        // Part of what was waited for came with an earlier chunk.
                        return (Piece::Rows(&MARK[..seen]), at);
                    }
                    at -= seen;
                }
            }
        }
        let rows = &rest[at..];
        if let Some(found) = FINDER.find(rows) {
            self.place = Place::Start(0);
            return (Piece::Rows(&rows[..found + 1]), at + found + 1);
        }
        if rows.is_empty() {
            return (Piece::More, at);
        }
        let (kept, seen) = match rows {
            [kept @ .., b'\\'] if kept.ends_with(b"\n") => (kept, Some(1)),
            kept if kept.ends_with(b"\n") => (kept, Some(0)),
            kept => (kept, None),
        };
        self.place = seen.map_or(Place::Middle, Place::Start);
        (Piece::Rows(kept), rest.len())
    }
}

/// Rows that are read without what stands around them.
#[derive(Debug)]
pub struct AmongRows(Rows);

impl AmongRows {
    /// Rows whose first byte begins a line, or goes on with one.
    pub fn new(begins_line: bool) -> AmongRows {
        AmongRows(Rows { place: if begins_line { Place::Start(0) } else { Place::Middle } })
    }

    /// Takes the next bytes; false when the rows end in them.
    pub fn push(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            match self.0.next(bytes) {
                (Piece::End(_), _) => return false,
                (Piece::More, _) => return true,
                (Piece::Rows(_), used) => bytes = &bytes[used..],
            }
        }
    }
}

/// Rows that nobody looks at.
impl Lexer {
    /// Whether rows of a COPY come next, which [`Lexer::skip_rows`] may pass over.
    pub fn is_among_rows(&self) -> bool {
        self.held.is_empty() && matches!(&self.mode, Mode::Copy(rows) if rows.is_among())
    }

    /// Whether rows of a COPY come next, or their end.
    pub fn is_in_copy(&self) -> bool {
        self.held.is_empty() && matches!(self.mode, Mode::Copy(_))
    }

    /// The line of the dump that comes next, or goes on.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Passes over rows without seeing them: so many lines, the last of which `is_ended`. No line in them may begin as the end mark does.
    pub fn skip_rows(&mut self, lines: u64, is_ended: bool) {
        debug_assert!(self.is_among_rows(), "there are no rows to pass over");
        self.line += lines;
        if let Mode::Copy(rows) = &mut self.mode {
            rows.skip(is_ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows and the end mark of `input`, read in chunks of `size`.
    fn read(input: &[u8], size: usize) -> (Vec<u8>, Option<&'static [u8]>) {
        let mut rows = Rows::new();
        let mut out = Vec::new();
        for chunk in input.chunks(size) {
            let mut at = 0;
            while at < chunk.len() {
                let (piece, used) = rows.next(&chunk[at..]);
                at += used;
                match piece {
                    Piece::Rows(bytes) => out.extend_from_slice(bytes),
                    Piece::End(mark) => return (out, Some(mark)),
                    Piece::More => break,
                }
            }
        }
        (out, None)
    }

    #[test]
    fn rows_read_by_themselves_end_where_the_dump_has_them_end() {
        for (begins_line, input, is_rows) in [
            (true, "\\.\n", false),
            (false, "\\.\n", true),
            (false, "\n\\.\r\nDROP x;", false),
            (true, "\\.x\n\\\\.\n\\.", true),
            (true, "", true),
        ] {
            for size in [1, 2, 100] {
                let mut rows = AmongRows::new(begins_line);
                let all = input.as_bytes().chunks(size).all(|chunk| rows.push(chunk));
                assert_eq!(all, is_rows, "{input:?}");
            }
        }
    }

    #[test]
    fn only_a_line_of_its_own_ends_the_rows() {
        for (input, rows) in [
            ("\\.\n", ""),
            ("\\.x\n\\.\n", "\\.x\n"),
            ("a\\.\n\n\\\n\\.\r\r\n\\.\n", "a\\.\n\n\\\n\\.\r\r\n"),
            ("\\\\.\n\\N\n\\.\n", "\\\\.\n\\N\n"),
            ("\n\n\\.\r\n", "\n\n"),
            ("\\\n\\.\n", "\\\n"),
        ] {
            for size in 1..=input.len() {
                let (found, end) = read(input.as_bytes(), size);
                assert_eq!((String::from_utf8_lossy(&found).as_ref(), end.is_some()), (rows, true), "{input:?} {size}");
            }
        }
    }

    #[test]
    fn without_its_line_end_the_mark_is_none() {
        for size in 1..4 {
            assert_eq!(read(b"1\n\\.", size).1, None);
        }
    }
}
