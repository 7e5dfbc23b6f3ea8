//! pg_dump's text, and where in it the rows belong that it left out.
//!
//! pg_dump says before each object what follows: `-- Name: …; Type: INDEX; …`, `-- Data for Name: …; Type: TABLE DATA; …`. Rows come
//! after all tables and before all that is made of rows, ordered by schema and name. These comments decide, and are believed
//! only as far as nothing can go wrong: no rows are put in before their table was made, none are put in twice, and a dump
//! without the table is none.

use std::collections::VecDeque;

use anyhow::{Result, bail};

use crate::error::Failure;
use crate::sources::postgres::lexer::{DumpError, Event, Lexer};

/// A piece of the text.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// As pg_dump wrote it.
    Text(Vec<u8>),
    /// All of this table's data.
    Table(usize),
}

/// A table's place in the order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Its schema.
    pub schema: Vec<u8>,
    /// Its name.
    pub name: Vec<u8>,
}

/// What pg_dump writes after the rows of all tables, in the order of its own list.
const BEHIND: [&[u8]; 22] = [
    b"SEQUENCE SET",
    b"BLOB METADATA",
    b"BLOBS",
    b"STATISTICS DATA",
    b"CONSTRAINT",
    b"CHECK CONSTRAINT",
    b"FK CONSTRAINT",
    b"INDEX",
    b"INDEX ATTACH",
    b"STATISTICS",
    b"RULE",
    b"TRIGGER",
    b"EVENT TRIGGER",
    b"POLICY",
    b"ROW SECURITY",
    b"PUBLICATION",
    b"PUBLICATION TABLE",
    b"PUBLICATION TABLES IN SCHEMA",
    b"SUBSCRIPTION",
    b"MATERIALIZED VIEW DATA",
    b"ACL",
    b"DEFAULT ACL",
];

/// Cuts pg_dump's text where tables belong.
pub struct Merger {
    lexer: Lexer,
    places: Places,
}

struct Places {
    tables: Vec<Key>,
    made: Vec<bool>,
    next: usize,
    /// What may belong to the object that comes next: line breaks, empty comments, the SET of a default.
    held: Vec<u8>,
}

impl Merger {
    /// For tables in order.
    pub fn new(tables: Vec<Key>) -> Self {
        let made = vec![false; tables.len()];
        Self { lexer: Lexer::new(), places: Places { tables, made, next: 0, held: Vec::new() } }
    }

    /// Takes pg_dump's next bytes.
    ///
    /// # Errors
    /// When they are no dump.
    pub fn push(&mut self, text: &[u8], parts: &mut VecDeque<Part>) -> Result<(), DumpError> {
        self.lexer.push(text, &mut |_, event| {
            self.places.event(&event, parts);
            Ok(())
        })
    }

    /// pg_dump has ended.
    ///
    /// # Errors
    /// When its text ends inside anything, or a table has found no place in it.
    pub fn finish(self, parts: &mut VecDeque<Part>) -> Result<()> {
        let mut places = self.places;
        let ended = self.lexer.finish(&mut |_, event| {
            places.event(&event, parts);
            Ok::<(), DumpError>(())
        });
        ended.map_err(|error| super::super::dump::cut_short("pg_dump").because(error))?;
        places.flush(parts);
        if let Some(table) = places.tables.get(places.next) {
            let shown = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
            bail!(
                Failure::new(format!(
                    "pg_dump did not write the table {}.{}, whose rows were to be put in",
                    shown(&table.schema),
                    shown(&table.name)
                ))
                .hint("nothing was saved; set BKP_JOBS=1 to leave all of it to pg_dump")
            );
        }
        Ok(())
    }
}

impl Places {
    fn event(&mut self, event: &Event<'_>, parts: &mut VecDeque<Part>) {
        match event {
            Event::Space(bytes) | Event::Comment(bytes @ b"--") => return self.held.extend_from_slice(bytes),
            Event::Statement(sql) if sql.starts_with(b"SET default_table") => {
                return self.held.extend_from_slice(sql);
            }
            Event::Comment(b"-- PostgreSQL database dump complete") => self.rest(parts),
            Event::Comment(line) => {
                if let Some(object) = Object::parse(line) {
                    self.object(&object, parts);
                }
            }
            _ => {}
        }
        self.flush(parts);
        text(parts, event.bytes());
    }

    fn object(&mut self, object: &Object<'_>, parts: &mut VecDeque<Part>) {
        let is = |key: &Key| key.schema == object.schema && key.name == object.name;
        match (object.data, object.kind) {
            (false, b"TABLE") => {
                if let Some(at) = self.tables.iter().position(is) {
                    self.made[at] = true;
                }
            }
            (true, b"TABLE DATA") => {
                let here = |key: &Key| (&key.schema[..], &key.name[..]) < (object.schema, object.name);
                while self.next_is_made() && here(&self.tables[self.next]) {
                    self.put(parts);
                }
            }
            (_, kind) if BEHIND.contains(&kind) => self.rest(parts),
            _ => {}
        }
    }

    fn next_is_made(&self) -> bool {
        self.made.get(self.next).copied().unwrap_or(false)
    }

    fn rest(&mut self, parts: &mut VecDeque<Part>) {
        // All or none: what stands here is behind all rows only when all tables stand before it.
        if self.made.iter().all(|made| *made) {
            while self.next < self.tables.len() {
                self.put(parts);
            }
        }
    }

    /// The table goes before the comment that introduces the next object, and before what was set for that one.
    fn put(&mut self, parts: &mut VecDeque<Part>) {
        // But behind the line breaks that end the object before.
        let breaks = self.held.iter().take_while(|byte| **byte == b'\n').count();
        text(parts, &self.held[..breaks]);
        self.held.drain(..breaks);
        parts.push_back(Part::Table(self.next));
        self.next += 1;
    }

    fn flush(&mut self, parts: &mut VecDeque<Part>) {
        text(parts, &self.held);
        self.held.clear();
    }
}

fn text(parts: &mut VecDeque<Part>, bytes: &[u8]) {
    match parts.back_mut() {
        _ if bytes.is_empty() => {}
        Some(Part::Text(text)) => text.extend_from_slice(bytes),
        _ => parts.push_back(Part::Text(bytes.to_vec())),
    }
}

/// What pg_dump says of an object before it writes it.
struct Object<'a> {
    data: bool,
    name: &'a [u8],
    kind: &'a [u8],
    schema: &'a [u8],
}

impl<'a> Object<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let (data, rest) = match line.strip_prefix(b"-- Data for Name: ") {
            Some(rest) => (true, rest),
            None => (false, line.strip_prefix(b"-- Name: ")?),
        };
        // From behind, because a name may hold anything.
        let (rest, _) = split(rest, b"; Owner: ")?;
        let (rest, schema) = split(rest, b"; Schema: ")?;
        let (name, kind) = split(rest, b"; Type: ")?;
        Some(Self { data, name, kind, schema })
    }
}

fn split<'a>(line: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = memchr::memmem::rfind(line, at)?;
    Some((&line[..found], &line[found + at.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Real dumps of single databases, with nearly every kind of object there is.
    fn dumps() -> Vec<Vec<u8>> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rewrite");
        let read = |major: &str| std::fs::read(folder.join(format!("{major}-create/input.sql"))).unwrap();
        ["14", "15", "16", "17", "18"].map(read).to_vec()
    }

    /// Where the data of tables stand in a dump.
    fn blocks(sql: &[u8]) -> Vec<(Key, std::ops::Range<usize>)> {
        let (mut found, mut from) = (Vec::new(), 0);
        while let Some(at) = memchr::memmem::find(&sql[from..], b"--\n-- Data for Name: ").map(|at| at + from) {
            let line = &sql[at + 3..];
            let object = Object::parse(&line[..memchr::memchr(b'\n', line).unwrap()]).unwrap();
            let end = memchr::memmem::find(&sql[at..], b"\n\\.\n\n\n").map_or(sql.len(), |end| at + end + 6);
            if object.kind == b"TABLE DATA" {
                found.push((Key { schema: object.schema.to_vec(), name: object.name.to_vec() }, at..end));
            }
            from = at + 10;
        }
        found
    }

    /// Takes some blocks out, as pg_dump would, and puts them in again where they are said to belong.
    fn out_and_in(sql: &[u8], chosen: impl Fn(usize) -> bool, size: usize) -> Vec<u8> {
        let taken: Vec<_> = blocks(sql).into_iter().enumerate().filter(|(at, _)| chosen(*at)).map(|(_, b)| b).collect();
        let (mut left, mut from) = (Vec::new(), 0);
        for (_, range) in &taken {
            left.extend_from_slice(&sql[from..range.start]);
            from = range.end;
        }
        left.extend_from_slice(&sql[from..]);
        let mut merger = Merger::new(taken.iter().map(|(key, _)| key.clone()).collect());
        let mut parts = VecDeque::new();
        for piece in left.chunks(size) {
            merger.push(piece, &mut parts).unwrap();
        }
        merger.finish(&mut parts).unwrap();
        let bytes = |part: Part| match part {
            Part::Text(text) => text,
            Part::Table(at) => sql[taken[at].1.clone()].to_vec(),
        };
        parts.into_iter().flat_map(bytes).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn what_was_left_out_finds_its_place_again(chosen in any::<u64>(), size in 1..3000usize, dump in 0..5usize) {
            let sql = &dumps()[dump];
            let back = out_and_in(sql, |at| chosen >> (at % 64) & 1 == 1, size);
            prop_assert_eq!(String::from_utf8_lossy(&back), String::from_utf8_lossy(sql));
        }
    }

    #[test]
    fn all_of_them_find_their_places_when_none_is_left() {
        for sql in dumps() {
            assert!(blocks(&sql).len() >= 3);
            assert_eq!(out_and_in(&sql, |_| true, 500), sql);
        }
    }

    fn parts(text: &str, tables: &[(&str, &str)]) -> Result<Vec<Part>> {
        let key = |(schema, name): &(&str, &str)| Key { schema: (*schema).into(), name: (*name).into() };
        let (mut merger, mut parts) = (Merger::new(tables.iter().map(key).collect()), VecDeque::new());
        merger.push(text.as_bytes(), &mut parts)?;
        merger.finish(&mut parts)?;
        Ok(parts.into())
    }

    const MADE: &str = "--\n-- Name: t; Type: TABLE; Schema: s; Owner: o\n--\n\nCREATE TABLE s.t (a int);\n\n\n";
    const END: &str = "--\n-- PostgreSQL database dump complete\n--\n\n";

    #[test]
    fn a_dump_without_objects_behind_rows_has_them_at_its_end() {
        let found = parts(&format!("{MADE}{END}"), &[("s", "t")]).unwrap();
        assert_eq!(found, [Part::Text(MADE.into()), Part::Table(0), Part::Text(END.into())]);
    }

    #[test]
    fn rows_never_stand_before_their_table_and_a_dump_without_the_table_is_none() {
        // What only looks like an index, because somebody called something so, comes before the table is made.
        let trap = "--\n-- Name: x; Type: INDEX; Schema: s; Owner: o\n--\n\nSELECT 1;\n\n\n";
        let found = parts(&format!("{trap}{MADE}{END}"), &[("s", "t")]).unwrap();
        assert_eq!(found, [Part::Text(format!("{trap}{MADE}").into()), Part::Table(0), Part::Text(END.into())]);
        assert!(parts(&format!("{MADE}{END}"), &[("s", "other")]).is_err());
        assert!(parts(MADE, &[("s", "t")]).is_err(), "cut short");
    }

    #[test]
    fn what_looks_like_a_comment_in_a_body_or_in_rows_is_none() {
        let body = "CREATE FUNCTION s.f() AS $$\n--\n-- Name: i; Type: INDEX; Schema: s; Owner: o\n--\n$$;\n\n\n";
        let copy = "COPY s.u (a) FROM stdin;\n--\n-- Name: i; Type: INDEX; Schema: s; Owner: o\n\\.\n\n\n";
        let text = format!("{MADE}{body}{copy}");
        let found = parts(&format!("{text}{END}"), &[("s", "t")]).unwrap();
        assert_eq!(found, [Part::Text(text.into()), Part::Table(0), Part::Text(END.into())]);
    }
}
