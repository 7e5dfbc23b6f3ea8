//! What a dump is: read once while it is made, and once more before it is restored.
//!
//! Nothing here decides; `rewrite` and the restore's preflight do, by these facts.

mod facts;
mod proof;

use super::lexer::{DumpError, Event, Lexer, Meta, Place};
use super::name::Name;
use super::statement::{Act, Class, Statement};
use super::token::{Tokens, head};

pub use self::facts::{Copied, CreateDatabase, Globals, Layout, Member, Section, Survey};
use self::proof::Proof;

/// Reads a dump and collects what it is.
#[derive(Debug, Default)]
pub struct Surveyor {
    lexer: Lexer,
    reader: Reader,
}

impl Surveyor {
    /// A surveyor at the start of a dump.
    pub fn new() -> Self {
        Self::default()
    }

    /// A surveyor of a dump that psql is to read, see [`Lexer::for_replay`].
    pub fn for_replay() -> Self {
        Self { lexer: Lexer::for_replay(), reader: Reader::default() }
    }

    /// Takes in the next chunk.
    pub fn push(&mut self, input: &[u8]) -> Result<(), DumpError> {
        self.lexer.push(input, &mut |place, event| {
            self.reader.event(place, event);
            Ok(())
        })
    }

    /// Whether rows of a COPY come next, which [`Surveyor::skip_rows`] may pass over.
    pub fn is_among_rows(&self) -> bool {
        self.lexer.is_among_rows()
    }

    /// Which COPY's rows come next, or their end, by its number in the dump.
    pub fn copy(&self) -> Option<usize> {
        self.lexer.is_in_copy().then_some(self.reader.copies)
    }

    /// How many COPYs have begun.
    pub fn copies(&self) -> usize {
        self.reader.copies
    }

    /// Which of the survey's sections is being read; nothing before the first of a cluster's dump.
    pub fn section(&self) -> Option<usize> {
        self.reader.current
    }

    /// Counts rows that nobody unpacked: of so many bytes and lines, the last of which `is_ended`. The survey has no digest then.
    pub fn skip_rows(&mut self, bytes: u64, lines: u64, is_ended: bool) {
        self.lexer.skip_rows(lines, is_ended);
        self.reader.skipped(bytes, lines, is_ended);
    }

    /// The facts; an error when the dump ends inside anything.
    pub fn finish(self) -> Result<Survey, DumpError> {
        let mut reader = self.reader;
        self.lexer.finish(&mut |place, event| {
            reader.event(place, event);
            Ok::<(), DumpError>(())
        })?;
        Ok(reader.survey())
    }
}

#[derive(Debug, Default)]
struct Reader {
    survey: Survey,
    proof: Proof,
    /// What comes before the first `\connect`, or all of a single database.
    outer: Section,
    /// Which section is being read; `None` for the outer one.
    current: Option<usize>,
    /// The line of the first statement that belongs to no database and is not of what all share.
    stray: Option<u64>,
    line: u64,
    /// How many COPYs have begun.
    copies: usize,
    /// Whether the database's own dump is over: what follows up to `\connect` is the next one's.
    between: bool,
}

impl Reader {
    fn event(&mut self, place: Place, event: Event<'_>) {
        self.line = place.line;
        self.section().bytes += event.bytes().len() as u64;
        self.proof.event(&event);
        match event {
            Event::Space(_) => {}
            Event::Comment(line) => self.comment(line),
            Event::Statement(sql) => self.statement(sql, place.standard_strings),
            Event::Long { bytes, first, last } => {
                if first {
                    let [first, second] = head(bytes, true);
                    let creates = first.is_some_and(|t| t.is("create"));
                    if creates && second.is_some_and(|t| t.is("function") || t.is("view")) {
                        self.note("a statement of more than 1 MiB is passed on unread");
                    }
                }
                if last {
                    self.count();
                }
            }
            Event::Meta(line) => self.meta(line),
            Event::CopyRows { rows, .. } => {
                if let Some(table) = self.section().tables.last_mut() {
                    table.rows += rows;
                }
            }
            Event::CopyEnd(_) => {}
        }
    }

    fn skipped(&mut self, bytes: u64, rows: u64, is_ended: bool) {
        self.proof.skipped(bytes, is_ended);
        let section = self.section();
        section.bytes += bytes;
        if let Some(table) = section.tables.last_mut() {
            table.rows += rows;
        }
    }

    fn section(&mut self) -> &mut Section {
        match self.current {
            Some(at) => &mut self.survey.sections[at],
            None => &mut self.outer,
        }
    }

    /// One more statement that is more than a setting.
    fn count(&mut self) {
        if self.current.is_none() {
            self.stray.get_or_insert(self.line);
        }
        let section = self.section();
        section.statements += 1;
        section.empty = false;
    }

    fn note(&mut self, text: &str) {
        if !self.survey.notes.iter().any(|note| note == text) {
            self.survey.notes.push(text.into());
        }
    }

    fn comment(&mut self, line: &[u8]) {
        let banner = |prefix: &[u8]| line.strip_prefix(prefix).map(|v| String::from_utf8_lossy(v).trim().to_owned());
        if let Some(version) = banner(b"-- Dumped from database version ") {
            self.survey.server_banner.get_or_insert(version);
        } else if let Some(version) = banner(b"-- Dumped by pg_dump version ") {
            self.survey.client_banner.get_or_insert(version);
        } else if line.trim_ascii_end() == b"-- PostgreSQL database dump complete" {
            self.between = true;
        }
    }

    fn meta(&mut self, line: &[u8]) {
        // The lexer has read it already; it hands out no line that it cannot read.
        if let Ok(Meta::Connect(name)) = Meta::parse(line) {
            self.current = Some(self.section_of(name));
            self.between = false;
        }
    }

    fn section_of(&mut self, name: Name) -> usize {
        let sections = &mut self.survey.sections;
        let known = sections.iter().position(|s| s.database.as_ref() == Some(&name));
        known.unwrap_or_else(|| {
            sections.push(Section { database: Some(name), ..Section::default() });
            sections.len() - 1
        })
    }

    fn statement(&mut self, sql: &[u8], standard: bool) {
        let statement = Statement::parse(sql, standard);
        if statement.is(0, "copy") {
            let table = copied_table(sql, standard);
            self.section().tables.push(Copied { table, rows: 0 });
            self.copies += 1;
            return self.count();
        }
        if !matches!(statement.class, Class::Database { .. }) {
            self.owner(&statement);
        }
        match &statement.class {
            Class::Set(setting) => self.set(&statement, &setting.name, setting.value),
            Class::Database { act, names } => {
                if *act == Act::Create {
                    let created = CreateDatabase::read(&statement, names[0]);
                    self.survey.tablespaces.extend(created.tablespace.clone());
                    if let Some(name) = statement.name(names[0]) {
                        let at = self.section_of(name);
                        self.survey.sections[at].create = Some(created);
                    }
                }
            }
            Class::Extension { act: Act::Create, name } => {
                let name = statement.name(*name);
                self.section().extensions.extend(name);
                self.count();
            }
            Class::LoCreate => {
                self.section().large_objects += 1;
                self.count();
            }
            Class::UpdatePgDatabase => {}
            _ if self.survey.globals.read(&statement) => self.survey.globals.statements += 1,
            Class::Other if statement.is_session() => {}
            _ => self.count(),
        }
        self.roles(&statement);
    }

    /// Which roles are needed, and by which database.
    fn roles(&mut self, statement: &Statement<'_>) {
        let mut roles = statement.roles();
        if roles.is_empty() {
            return;
        }
        for role in &roles {
            if !self.survey.roles_referenced.contains(role) {
                self.survey.roles_referenced.insert(role.clone());
            }
        }
        match &statement.class {
            Class::Role { .. } | Class::Membership | Class::Parameter | Class::Tablespace { .. } => {}
            // Its owner is said before its own dump begins.
            Class::Database { names, .. } => {
                let name = names.first().and_then(|at| statement.name(*at));
                let sections = &mut self.survey.sections;
                if let Some(section) = sections.iter_mut().find(|one| one.database.is_some() && one.database == name) {
                    section.roles.extend(roles);
                }
            }
            _ => {
                let known = &mut self.section().roles;
                roles.retain(|role| !known.contains(role));
                known.extend(roles);
            }
        }
    }

    /// To whom what is given, and where that lies.
    fn owner(&mut self, statement: &Statement<'_>) {
        let grants = statement.is(0, "grant").then(|| statement.find(1, "on")).flatten();
        if let Some(on) = grants.filter(|on| statement.is(on + 1, "schema"))
            && statement.name(on + 2).is_some_and(|name| name.as_bytes() == b"public")
            && (1..on).any(|at| statement.is(at, "create") || statement.is(at, "all"))
        {
            self.section().creators_in_public.extend(statement.roles());
        }
        let Some(owner) = statement.owner() else { return };
        let of_schema = statement.is(1, "schema").then(|| statement.name(2)).flatten();
        let dotted = |at: &usize| statement.token(at + 1).is_some_and(|token| token.is_punct(b'.'));
        let lies_in = (2..6).find(dotted).and_then(|at| statement.name(at));
        let publishes = statement.is(1, "publication");
        let section = self.section();
        section.publishers.extend(publishes.then(|| owner.clone()));
        match (of_schema, lies_in) {
            (Some(schema), _) => {
                section.schemas.insert(schema, owner);
            }
            (None, lies_in) => {
                section.placed.extend(lies_in.map(|schema| (schema, owner.clone())));
                section.owners.insert(owner);
            }
        }
    }

    fn set(&mut self, statement: &Statement<'_>, name: &str, value: Option<usize>) {
        self.survey.settings.insert(name.to_owned());
        let text = value.and_then(|at| statement.token(at)).and_then(super::statement::value);
        if name == "client_encoding" && !self.between {
            let text = text.map(|v| String::from_utf8_lossy(&v).into_owned());
            let section = self.section();
            section.encoding = section.encoding.take().or(text);
        } else if name == "default_tablespace"
            && let Some(space) = value.and_then(|at| statement.name(at)).filter(|space| !space.as_bytes().is_empty())
        {
            self.survey.tablespaces.insert(space);
        }
    }

    fn survey(self) -> Survey {
        let Self { mut survey, outer, proof, stray, .. } = self;
        let only_globals = outer.empty && survey.globals.statements > 0;
        if !survey.sections.is_empty() || proof.cluster || only_globals {
            survey.layout = Layout::Cluster;
            survey.stray = stray;
        } else {
            survey.sections.push(outer);
        }
        (survey.bytes, survey.digest, survey.trailer, survey.seal) = proof.finish(survey.layout);
        survey
    }
}

/// `schema.table` as the COPY spells it.
fn copied_table(sql: &[u8], standard_strings: bool) -> String {
    let name = Tokens::new(sql, standard_strings).skip(1).take_while(|t| !t.is_punct(b'(') && !t.is("from"));
    name.map(|t| String::from_utf8_lossy(t.text)).collect()
}
