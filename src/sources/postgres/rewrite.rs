//! A dump turned into what one target can run; bytes in, pieces out, in one pass.
//!
//! COPY rows, function bodies and literals pass untouched, byte for byte. What is changed is
//! commented out or edited, and reported. Backslash commands never leave here when the purpose
//! is a replay: a dump is data, not a program.

mod filter;
mod guard;
mod neutral;
mod piece;

use std::collections::BTreeSet;

use super::lexer::{DumpError, Event, Lexer, Meta, Place};
use super::name::Name;
use super::rules::{Does, To, Verdict, apply, commented, decide, ends_it};
use super::statement::{Manner, Statement};
use super::survey::Layout;
use super::token::first;

pub use self::filter::{Keep, as_filter};
pub use self::guard::guard;
pub use self::piece::{Begun, Change, Piece, Report};
pub use super::rules::{Policy, Purpose, RoleMode, RolePolicy};

/// Why a statement of a replay has blanks that the dump has not.
const BLANKS: &str = "a blank behind a colon, where psql would put one of its variables; to the server it is the same";

/// Rewrites one dump. Push chunks of any size, then finish.
#[derive(Debug)]
pub struct Rewriter {
    lexer: Lexer,
    writer: Writer,
}

impl Rewriter {
    /// A rewriter at the start of a dump.
    pub fn new(policy: Policy) -> Self {
        let writer = Writer {
            policy,
            section: None,
            created: BTreeSet::new(),
            swallow: false,
            line: 1,
            moved: true,
            inserting: false,
            report: Report::default(),
        };
        let lexer = if writer.policy.purpose == Purpose::Replay { Lexer::for_psql() } else { Lexer::new() };
        Self { lexer, writer }
    }

    /// Hands the pieces of the next chunk to `sink`. Fails with a [`DumpError`] or the sink's error.
    pub fn push(&mut self, input: &[u8], sink: &mut impl FnMut(Piece<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let writer = &mut self.writer;
        self.lexer.push(input, &mut |place, event| writer.event(place, event, sink))
    }

    /// Where rows of a COPY come next, which [`Rewriter::skip_rows`] may pass over, the line that they begin in.
    pub fn among_rows(&self) -> Option<u64> {
        self.lexer.is_among_rows().then(|| self.lexer.line())
    }

    /// Passes over rows that go to the database by another way: so many lines, the last of which `is_ended`.
    pub fn skip_rows(&mut self, lines: u64, is_ended: bool) {
        self.lexer.skip_rows(lines, is_ended);
    }

    /// Hands out what was held; fails when the dump ends inside anything.
    pub fn finish(mut self, sink: &mut impl FnMut(Piece<'_>) -> anyhow::Result<()>) -> anyhow::Result<Report> {
        let writer = &mut self.writer;
        self.lexer.finish(&mut |place, event| writer.event(place, event, sink))?;
        Ok(self.writer.report)
    }
}

fn first_word(sql: &[u8], place: Place) -> &[u8] {
    first(sql, place.standard_strings).map_or(b"", |word| word.text)
}

/// Whose replay is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Current {
    Single,
    Database(Name),
}

#[derive(Debug)]
struct Writer {
    policy: Policy,
    /// `None` before the first database of a cluster.
    section: Option<Current>,
    created: BTreeSet<Name>,
    /// Whether a statement that became comments brought its own line break, so that the dump's goes.
    swallow: bool,
    /// The dump's line of what is being handed out.
    line: u64,
    /// Whether lines were left out or added since the line was last said.
    moved: bool,
    /// Whether the last statement was an INSERT.
    inserting: bool,
    report: Report,
}

impl Writer {
    fn event(
        &mut self,
        place: Place,
        event: Event<'_>,
        sink: &mut impl FnMut(Piece<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if self.section.is_none() && self.policy.layout == Layout::Single {
            self.section = Some(Current::Single);
            sink(Piece::Section(None))?;
        }
        let swallow = std::mem::take(&mut self.swallow);
        self.line = place.line;
        match event {
            // psql skips a byte order mark only at the very start of what it reads.
            Event::Space(b"\xef\xbb\xbf") if place.line == 1 && self.policy.purpose == Purpose::Replay => Ok(()),
            Event::Space(space) if swallow => {
                self.line += u64::from(space.starts_with(b"\n"));
                self.moved = true;
                self.put(Piece::Gap(space.strip_prefix(b"\n").unwrap_or(space)), sink)
            }
            Event::Meta(line) => self.meta(place, line, sink),
            Event::Statement(sql) => self.statement(place, sql, sink),
            Event::Long { bytes, first: true, .. } if self.policy.one_transaction && ends_it(bytes) => {
                anyhow::bail!("line {}: a statement that may end the transaction is too long to be read", place.line)
            }
            Event::Long { bytes, first: true, .. } => {
                let begun = || Begun::long(bytes, place.standard_strings);
                self.begins(place, (None, first_word(bytes, place)), begun, sink)?;
                self.long(place, bytes, sink)
            }
            Event::Space(gap) | Event::Comment(gap) => self.put(Piece::Gap(gap), sink),
            Event::CopyRows { bytes, .. } => self.put(Piece::Rows { line: place.line, rows: bytes }, sink),
            Event::CopyEnd(mark) => self.put(Piece::RowsEnd(mark), sink),
            Event::Long { bytes, .. } => self.long(place, bytes, sink),
        }
    }

    fn long(
        &mut self,
        place: Place,
        bytes: &[u8],
        sink: &mut impl FnMut(Piece<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if place.blanks {
            self.report.add(place.line, "a statement of more than 1 MiB".into(), BLANKS.into());
        }
        self.here(bytes, sink)
    }

    /// Says what the statement is that is handed out next: its bytes where they are held, and its first word.
    fn begins(
        &mut self,
        place: Place,
        (sent, word): (Option<&[u8]>, &[u8]),
        begun: impl FnOnce() -> Begun,
        sink: &mut impl FnMut(Piece<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let wanted = match &self.section {
            None => false,
            Some(Current::Single) => true,
            Some(Current::Database(name)) => self.policy.wants(name),
        };
        if !wanted || self.policy.purpose != Purpose::Replay {
            return Ok(());
        }
        // What is not held may hold anything.
        let guarded = sent.is_none_or(|sent| guard::is_ambiguous(sent, word));
        let inserts = word.eq_ignore_ascii_case(b"insert");
        if std::mem::replace(&mut self.inserting, inserts) && inserts && !guarded {
            return Ok(());
        }
        let mut begun = begun();
        if begun.manner == Manner::Makes && !place.standard_strings {
            // A transaction that failed would take that setting back, and strings would be read otherwise than we read them.
            begun.manner = Manner::Along;
        }
        let lines = sent.filter(|_| begun.manner != Manner::Rows);
        begun.lines = lines.map(|sent| memchr::memchr_iter(b'\n', sent).count() as u64);
        begun.line = Some(place.line);
        begun.guarded = guarded.then_some(place.standard_strings);
        sink(Piece::Begins(&begun))
    }

    /// Bytes that go where the dump has them.
    fn here(&mut self, bytes: &[u8], sink: &mut impl FnMut(Piece<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.put(Piece::Sql(bytes), sink)
    }

    fn put(&mut self, piece: Piece<'_>, sink: &mut impl FnMut(Piece<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let bytes = piece.bytes();
        let plain;
        let piece = match piece {
            // Comments may be read in another encoding than they were written in, where they would end elsewhere.
            Piece::Gap(bytes) if self.policy.purpose == Purpose::Replay && !bytes.is_ascii() => {
                plain = bytes.iter().map(|&byte| if byte.is_ascii() { byte } else { b'?' }).collect::<Vec<u8>>();
                Piece::Gap(&plain)
            }
            piece => piece,
        };
        match &self.section {
            _ if bytes.is_empty() => Ok(()),
            None => sink(Piece::Global(piece.bytes())),
            Some(Current::Database(name)) if !self.policy.wants(name) => Ok(()),
            Some(_) => {
                if std::mem::take(&mut self.moved) && self.policy.purpose == Purpose::Replay {
                    sink(Piece::At(self.line))?;
                }
                sink(piece)
            }
        }
    }

    fn meta(
        &mut self,
        place: Place,
        line: &[u8],
        sink: &mut impl FnMut(Piece<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.moved = true;
        let meta = Meta::parse(line).map_err(|command| DumpError::Meta { line: place.line, command })?;
        let stores = self.policy.purpose == Purpose::Store;
        if let Meta::Connect(name) = &meta {
            let next = Some(Current::Database(name.clone()));
            // pg_dump connects again so that properties take effect; they are set after the load here.
            if self.section != next {
                self.section = next;
                sink(Piece::Section(Some(name)))?;
            }
        }
        if stores {
            return match &self.section {
                Some(Current::Database(name)) if !self.policy.wants(name) => Ok(()),
                _ => sink(Piece::Meta(line)),
            };
        }
        match meta {
            Meta::Encoding(name) => {
                let sql = format!("SET client_encoding = '{name}';");
                let statement = Statement::parse(sql.as_bytes(), place.standard_strings);
                let begun = || Begun::of(&statement, place.standard_strings);
                self.begins(place, (Some(sql.as_bytes()), &b"SET"[..]), begun, sink)?;
                self.here(sql.as_bytes(), sink)?;
                self.put(Piece::Gap(b"\n"), sink)
            }
            _ => Ok(()),
        }
    }

    fn statement(
        &mut self,
        place: Place,
        sql: &[u8],
        sink: &mut impl FnMut(Piece<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let statement = Statement::parse(sql, place.standard_strings);
        let Verdict { to, does, said } = decide(&statement, &self.policy, &mut self.created);
        if let (To::Here, Some(Current::Database(name))) = (&to, &self.section)
            && !self.policy.wants(name)
        {
            return Ok(());
        }
        for why in said {
            self.report.add(place.line, statement.title(), why);
        }
        if place.blanks {
            self.report.add(place.line, statement.title(), BLANKS.into());
        }
        // What goes elsewhere leaves its lines out here; what is edited may have others.
        let elsewhere = to != To::Here || does != Does::Keep;
        let begins = to == To::Here && self.section.is_some();
        let begun = || Begun::of(&statement, place.standard_strings);
        let sent = match does {
            Does::Keep => {
                if begins {
                    let word = statement.token(0).map_or(&b""[..], |token| token.text);
                    self.begins(place, (Some(sql), word), begun, sink)?;
                }
                self.send((place, &to), sql, sink)
            }
            Does::Edit(edits) => {
                let sql = apply(sql, &edits);
                if begins {
                    self.begins(place, (Some(&sql), first_word(&sql, place)), begun, sink)?;
                }
                self.send((place, &to), &sql, sink)
            }
            // Comments run nowhere: they stay where the dump has them.
            Does::Comment => {
                self.swallow = true;
                match to {
                    To::Global => sink(Piece::Global(&commented(sql))),
                    _ => self.put(Piece::Gap(&commented(sql)), sink),
                }
            }
            Does::Remove | Does::Skip => {
                self.swallow = true;
                Ok(())
            }
        };
        self.moved |= elsewhere;
        sent
    }

    fn send(
        &mut self,
        (place, to): (Place, &To),
        sql: &[u8],
        sink: &mut impl FnMut(Piece<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let is_apart = *to != To::Here || self.section.is_none();
        let is_read_anew = is_apart && self.policy.purpose == Purpose::Replay && !place.standard_strings;
        let neutral = is_read_anew.then(|| neutral::neutral(sql)).flatten();
        if neutral.is_some() {
            self.report.add(place.line, Statement::parse(sql, false).title(), neutral::WHY.into());
        }
        let sql = neutral.as_deref().unwrap_or(sql);
        match to {
            To::Here => self.here(sql, sink),
            To::Global => sink(Piece::Global(sql)),
            To::Existing => sink(Piece::ExistingRole(sql)),
            To::Create(name) => sink(Piece::CreateDatabase { name, sql }),
            To::Property(database) => sink(Piece::Property { database, sql }),
            To::Comment(database) => sink(Piece::Comment { database, sql }),
        }
    }
}
