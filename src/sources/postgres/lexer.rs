//! A plain dump cut into events, in one pass, without ever holding a table.
//!
//! Knows statements, quotes, comments, COPY blocks and backslash commands as psql's `psqlscan.l`
//! does. **The bytes of all events together are the input**, whatever chunks it comes in; chunks
//! only decide how `Space`, `Long` and `CopyRows` are split. What is [for psql](Lexer::for_psql) has a blank more where psql
//! would put a variable of its own, and says so.

mod copy;
mod error;
mod event;
mod meta;
mod routine;
pub(super) mod scan;

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2};

use self::copy::{Piece, Rows};
use self::event::{plain_text, tells_too_little};
use self::scan::{Scan, Step};
use super::statement::{Session, forbidden, holds_whole};
use super::token::{is_space, run};

pub use self::copy::AmongRows;
pub use self::error::DumpError;
pub use self::event::{Event, HELD_MAX, HOLD_MAX, Place};
pub use self::meta::Meta;

/// The longest backslash command, in bytes; names are at most 63.
const META_MAX: usize = 64 << 10;

/// What the lexer is in the middle of.
#[derive(Debug)]
enum Mode {
    Gap,
    Block(u32),
    Comment,
    Statement(Scan),
    Long(Scan),
    Meta,
    /// The rest of a line that nothing may follow in: psql reads rows, or strings in another way, from the next line on.
    Header {
        rows: bool,
    },
    Copy(Rows),
}

/// Cuts a dump into events. Push chunks of any size, then finish.
#[derive(Debug)]
pub struct Lexer {
    mode: Mode,
    /// What was pushed but could not be handed out yet.
    held: Vec<u8>,
    /// How much of `held` a comment or a command line has already been searched.
    searched: usize,
    session: Session,
    line: u64,
    began: u64,
    at_start: bool,
    replays: bool,
    /// Whether psql gets the events.
    feeds: bool,
    /// Whether the next event is other than the input.
    blanks: bool,
}

impl Default for Lexer {
    fn default() -> Self {
        Self::new()
    }
}

impl Lexer {
    /// A lexer at the start of a dump that psql is to read: what psql may read otherwise is refused, and so are statements that no
    /// dump has a reason to hold.
    pub fn for_replay() -> Self {
        Self { replays: true, ..Self::new() }
    }

    /// The same, with events that psql gets as they are: no name in them is one of its variables.
    pub fn for_psql() -> Self {
        Self { feeds: true, ..Self::for_replay() }
    }

    /// A lexer at the start of a dump.
    pub fn new() -> Self {
        Self {
            replays: false,
            feeds: false,
            blanks: false,
            mode: Mode::Gap,
            held: Vec::new(),
            searched: 0,
            session: Session::default(),
            line: 1,
            began: 1,
            at_start: true,
        }
    }

    /// Hands the events of the next chunk to `sink`, each with the place it begins in.
    pub fn push<E: From<DumpError>>(
        &mut self,
        input: &[u8],
        sink: &mut impl FnMut(Place, Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.held.is_empty() {
            let used = self.read(input, false, sink)?;
            self.held.extend_from_slice(&input[used..]);
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(input);
            let used = self.read(&held, false, sink)?;
            held.drain(..used);
            self.held = held;
        }
        Ok(())
    }

    /// Hands out what was held for its next byte; an error when the input ends inside anything.
    pub fn finish<E: From<DumpError>>(
        mut self,
        sink: &mut impl FnMut(Place, Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let held = std::mem::take(&mut self.held);
        let used = self.read(&held, true, sink)?;
        let inside = match &self.mode {
            Mode::Gap if used == held.len() => return Ok(()),
            Mode::Gap | Mode::Meta => "a line",
            Mode::Block(_) | Mode::Comment => "a comment",
            Mode::Statement(scan) | Mode::Long(scan) => scan.inside(),
            Mode::Header { rows: false } => return Ok(()),
            Mode::Header { .. } | Mode::Copy(_) => "COPY data",
        };
        Err(DumpError::CutShort { line: self.began, inside }.into())
    }

    /// Reads what can be decided of `data`; returns how many bytes were handed out.
    fn read<E: From<DumpError>>(
        &mut self,
        data: &[u8],
        last: bool,
        sink: &mut impl FnMut(Place, Event<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        if self.at_start && !last && tells_too_little(data) {
            return Ok(0);
        }
        let mut at = 0;
        if std::mem::take(&mut self.at_start) {
            at = plain_text(data)?;
            if at > 0 {
                self.emit(Event::Space(&data[..at]), sink)?;
            }
        }
        loop {
            let rest = &data[at..];
            let used = match &mut self.mode {
                Mode::Gap => self.gap(rest, last, sink)?,
                Mode::Block(_) => self.block(rest, sink)?,
                Mode::Comment => self.comment(rest, last, sink)?,
                Mode::Meta => self.meta(rest, last, sink)?,
                Mode::Statement(_) | Mode::Long(_) => self.statement(rest, sink)?,
                Mode::Header { rows } => {
                    let rows = *rows;
                    self.header(rest, rows, sink)?
                }
                Mode::Copy(_) => self.rows(rest, sink)?,
            };
            match used {
                Some(used) => at += used,
                None => return Ok(at),
            }
        }
    }

    fn emit<E: From<DumpError>>(
        &mut self,
        event: Event<'_>,
        sink: &mut impl FnMut(Place, Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = self.line;
        let lines = match event {
            Event::CopyRows { bytes, rows } => match memchr(0, bytes) {
                None => rows,
                // psql takes it for the end of what it has read, and would see the rows' end elsewhere.
                Some(at) => return Err(DumpError::Nul { line: line + lines(&bytes[..at]) }.into()),
            },
            // Most events are a line break or two.
            Event::Space([b'\n']) => 1,
            Event::Space(b"\n\n" | b"\n\n\n") => event.bytes().len() as u64,
            // Ends before its line break.
            Event::Comment(line) if memchr(0, line).is_none() => 0,
            _ => {
                if let Some(at) = memchr(0, event.bytes()) {
                    return Err(DumpError::Nul { line: line + lines(&event.bytes()[..at]) }.into());
                }
                lines(event.bytes())
            }
        };
        self.line += lines;
        let standard_strings = self.session.standard_strings;
        sink(Place { line, standard_strings, blanks: std::mem::take(&mut self.blanks) }, event)
    }

    /// What is done of a statement, as it is handed out.
    fn handed<'a>(&mut self, done: &'a [u8]) -> Cow<'a, [u8]> {
        let sql = match &self.mode {
            Mode::Statement(scan) | Mode::Long(scan) if self.feeds => scan.without_variables(done),
            _ => Cow::Borrowed(done),
        };
        self.blanks = matches!(sql, Cow::Owned(_));
        sql
    }

    fn enter(&mut self, mode: Mode) {
        self.mode = mode;
        self.began = self.line;
        self.searched = 0;
    }

    fn gap<E: From<DumpError>>(
        &mut self,
        rest: &[u8],
        last: bool,
        sink: &mut impl FnMut(Place, Event<'_>) -> Result<(), E>,
    ) -> Result<Option<usize>, E> {
        let space = run(rest, is_space);
        if space > 0 {
            self.emit(Event::Space(&rest[..space]), sink)?;
            return Ok(Some(space));
        }
        match rest {
            [] => return Ok(None),
            [b'-' | b'/'] if !last => return Ok(None),
            [b'-', b'-', ..] => self.enter(Mode::Comment),
            [b'/', b'*', ..] => {
                self.enter(Mode::Block(1));
                self.emit(Event::Space(&rest[..2]), sink)?;
                return Ok(Some(2));
            }
            [b'\\', ..] => self.enter(Mode::Meta),
            [0, ..] => return Err(DumpError::Nul { line: self.line }.into()),
            _ => self.enter(Mode::Statement(Scan::new(self.session.standard_strings, self.replays))),
        }
        Ok(Some(0))
    }

    fn block<E: From<DumpError>>(
        &mut self,
        rest: &[u8],
        sink: &mut impl FnMut(Place, Event<'_>) -> Result<(), E>,
    ) -> Result<Option<usize>, E> {
        let Mode::Block(depth) = self.mode else {
            return Ok(None);
        };
        let at = memchr2(b'*', b'/', rest).unwrap_or(rest.len());
        let len = match &rest[at..] {
            [b'/', b'*', ..] => {
                self.mode = Mode::Block(depth + 1);
                at + 2
            }
            [b'*', b'/', ..] => {
                self.mode = if depth == 1 { Mode::Gap } else { Mode::Block(depth - 1) };
                at + 2
            }
            [] | [_] => at,
            _ => at + 1,
        };
        if len == 0 {
            return Ok(None);
        }
        self.emit(Event::Space(&rest[..len]), sink)?;
        Ok(Some(len))
    }

    fn comment<E: From<DumpError>>(
        &mut self,
        rest: &[u8],
        last: bool,
        sink: &mut impl FnMut(Place, Event<'_>) -> Result<(), E>,
    ) -> Result<Option<usize>, E> {
        let found = memchr2(b'\n', b'\r', &rest[self.searched..]).map(|at| at + self.searched);
        let Some(len) = found.or(last.then_some(rest.len())) else {
            self.searched = rest.len();
            return self.wait(rest.len(), HELD_MAX, "a comment line");
        };
        self.wait::<E>(len, HELD_MAX, "a comment line")?;
        self.emit(Event::Comment(&rest[..len]), sink)?;
        self.enter(Mode::Gap);
        Ok(Some(len))
    }

    fn meta<E: From<DumpError>>(
        &mut self,
        rest: &[u8],
        last: bool,
        sink: &mut impl FnMut(Place, Event<'_>) -> Result<(), E>,
    ) -> Result<Option<usize>, E> {
        let found = memchr(b'\n', &rest[self.searched..]).map(|at| at + self.searched + 1);
        let Some(len) = found.or(last.then_some(rest.len())) else {
            self.searched = rest.len();
            return self.wait(rest.len(), META_MAX, "a psql command");
        };
        self.wait::<E>(len, META_MAX, "a psql command")?;
        let line = self.began;
        match Meta::parse(&rest[..len]).map_err(|command| DumpError::Meta { line, command })? {
            Meta::Connect(_) => self.session = Session::default(),
            Meta::Encoding(encoding) => self.session.check_encoding(line, encoding.as_bytes())?,
            Meta::Restrict | Meta::Unrestrict => {}
        }
        self.emit(Event::Meta(&rest[..len]), sink)?;
        self.enter(Mode::Gap);
        Ok(Some(len))
    }

    fn statement<E: From<DumpError>>(
        &mut self,
        rest: &[u8],
        sink: &mut impl FnMut(Place, Event<'_>) -> Result<(), E>,
    ) -> Result<Option<usize>, E> {
        let line = self.began;
        let (scan, long) = match &mut self.mode {
            Mode::Statement(scan) => (scan, false),
            Mode::Long(scan) => (scan, true),
            _ => return Ok(None),
        };
        let step = scan.advance(rest).map_err(|fault| DumpError::of(fault, line, if long { b"" } else { rest }))?;
        let (len, ends) = match step {
            Step::End(len) => (len, true),
            Step::More if long => (scan.done(), false),
            Step::More if rest.len() <= HOLD_MAX => return Ok(None),
            Step::More => (scan.done(), false),
        };
        if !long {
            let size = if ends { len } else { rest.len() };
            if self.replays && (ends || size > HOLD_MAX) {
                // Of a long one what its beginning says: whatever needs more of it to be told is held whole.
                let (of, standard_strings) =
                    (&rest[..if ends { len } else { HOLD_MAX }], self.session.standard_strings);
                forbidden(of, standard_strings).map_or(Ok(()), |what| Err(DumpError::Refused { line, what }))?;
            }
            if size > HOLD_MAX && holds_whole(&rest[..HOLD_MAX], self.session.standard_strings) {
                self.wait::<E>(size, HELD_MAX, "a statement")?;
                if !ends {
                    return Ok(None);
                }
            } else if size > HOLD_MAX {
                return self.part(rest, len, (true, ends), sink);
            }
            let before = self.session.standard_strings;
            let rows = self.session.after(line, &rest[..len])?;
            let turns = self.replays && self.session.standard_strings != before;
            let sql = self.handed(&rest[..len]);
            self.emit(Event::Statement(&sql), sink)?;
            self.enter(if rows || turns { Mode::Header { rows } } else { Mode::Gap });
            return Ok(Some(len));
        }
        if len == 0 && !ends {
            return Ok(None);
        }
        self.part(rest, len, (false, ends), sink)
    }

    fn part<E: From<DumpError>>(
        &mut self,
        rest: &[u8],
        len: usize,
        (first, last): (bool, bool),
        sink: &mut impl FnMut(Place, Event<'_>) -> Result<(), E>,
    ) -> Result<Option<usize>, E> {
        let bytes = self.handed(&rest[..len]);
        self.emit(Event::Long { bytes: &bytes, first, last }, sink)?;
        if last {
            self.enter(Mode::Gap);
        } else if let Mode::Statement(mut scan) | Mode::Long(mut scan) = std::mem::replace(&mut self.mode, Mode::Gap) {
            scan.forget(len);
            self.mode = Mode::Long(scan);
        }
        Ok(Some(len))
    }

    fn header<E: From<DumpError>>(
        &mut self,
        rest: &[u8],
        rows: bool,
        sink: &mut impl FnMut(Place, Event<'_>) -> Result<(), E>,
    ) -> Result<Option<usize>, E> {
        let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        if run(&rest[..end], is_space) < end {
            let what = match rows {
                true => "text after COPY … FROM stdin; in the same line, which psql would run after the rows",
                false => "text after a SET in the same line, which psql would read as before that SET",
            };
            return Err(DumpError::Refused { line: self.line, what }.into());
        }
        if end == 0 {
            return Ok(None);
        }
        self.emit(Event::Space(&rest[..end]), sink)?;
        if rest[end - 1] == b'\n' {
            self.enter(if rows { Mode::Copy(Rows::new()) } else { Mode::Gap });
        }
        Ok(Some(end))
    }

    fn rows<E: From<DumpError>>(
        &mut self,
        rest: &[u8],
        sink: &mut impl FnMut(Place, Event<'_>) -> Result<(), E>,
    ) -> Result<Option<usize>, E> {
        let Mode::Copy(rows) = &mut self.mode else {
            return Ok(None);
        };
        match rows.next(rest) {
            (Piece::Rows(bytes), used) => {
                if !bytes.is_empty() {
                    self.emit(Event::CopyRows { bytes, rows: lines(bytes) }, sink)?;
                }
                Ok(Some(used))
            }
            (Piece::End(mark), used) => {
                self.emit(Event::CopyEnd(mark), sink)?;
                self.enter(Mode::Gap);
                Ok(Some(used))
            }
            (Piece::More, 0) => Ok(None),
            (Piece::More, used) => Ok(Some(used)),
        }
    }

    /// Nothing yet, unless what is waited for is already longer than `most`.
    fn wait<E: From<DumpError>>(&self, len: usize, most: usize, what: &'static str) -> Result<Option<usize>, E> {
        if len > most {
            return Err(DumpError::TooLong { line: self.began, what }.into());
        }
        Ok(None)
    }
}

fn lines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}
