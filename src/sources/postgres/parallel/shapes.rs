//! Statements before the data that make one table or sequence, or shape it, out of what the server itself has: any two that name different
//! ones may go beside each other. Pure.
//!
//! It is a list of what `pg_dump` writes for each of a thousand tables. What is made of anything else — a type, a function, another
//! table — names it with its schema, and goes alone; so does what is not surely known. Where such a name hides in a search path, the
//! server does not find what is not there yet, the statement fails, and one session loads it all.

use super::touches::{Qualified, qualified};
use crate::sources::postgres::statement::{Act, Class, Statement};
use crate::sources::postgres::token::Token;

/// The tables and sequences that a statement makes or shapes, where it asks for nothing else that the dump has made.
pub fn shaped(sql: &[u8]) -> Option<Vec<Qualified>> {
    let statement = Statement::parse(sql, true);
    let is = |at: usize, word: &str| statement.is(at, word);
    match () {
        () if is(0, "create") && is(1, "table") => new_table(&statement),
        () if is(0, "create") && is(1, "sequence") => {
            let (sequence, at) = qualified(&statement, 2)?;
            statement.tokens()[at..].iter().all(is_plain).then(|| vec![sequence])
        }
        () if is(0, "alter") && is(1, "table") => altered_table(&statement),
        () if is(0, "alter") && is(1, "sequence") => altered_sequence(&statement),
        () if is(0, "comment") && is(2, "table") => Some(vec![qualified(&statement, 3)?.0]),
        () if is(0, "comment") && is(2, "column") => Some(vec![column(&statement, 3)?]),
        () => None,
    }
}

/// Whether it may bring what looks at whatever is made after it: an extension may come with event triggers.
pub fn sees_to_more(sql: &[u8]) -> bool {
    matches!(Statement::parse(sql, true).class, Class::Extension { act: Act::Create, .. })
}

/// Of columns, and no more: no partition, heir or copy of another, and in no other place or manner than usual.
fn new_table(statement: &Statement<'_>) -> Option<Vec<Qualified>> {
    let (table, at) = qualified(statement, 2)?;
    let tokens = &statement.tokens()[at..];
    let around =
        |token: &Token<'_>| token.is_punct(b'(') || token.is_punct(b')') || token.is_punct(b';') || token.is("with");
    let is_known = tokens.first()?.is_punct(b'(') && tokens.iter().filter(|token| token.depth == 0).all(around);
    (is_known && tokens.iter().all(is_plain)).then(|| vec![table])
}

/// Whether it names nothing but the server's own things, as far as it can be seen.
fn is_plain(token: &Token<'_>) -> bool {
    let names = |word: &[u8]| token.text.get(..word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word));
    // A literal that is cast to `regclass` is a name.
    !token.is_punct(b'.') && !names(b"reg") && !["like", "references", "owned"].iter().any(|word| token.is(word))
}

fn altered_table(statement: &Statement<'_>) -> Option<Vec<Qualified>> {
    let (table, at) = qualified(statement, 2 + usize::from(statement.is(2, "only")))?;
    let is = |after: usize, word: &str| statement.is(at + after, word);
    let of_column = is(0, "alter") && is(1, "column");
    let set = of_column && is(3, "set") && ["storage", "compression", "statistics"].iter().any(|what| is(4, what));
    let identity = of_column && is(3, "add") && is(4, "generated");
    let several = statement.tokens().iter().any(|token| token.depth == 0 && token.is_punct(b','));
    ((is(0, "owner") || set || identity) && !several).then(|| vec![table])
}

fn altered_sequence(statement: &Statement<'_>) -> Option<Vec<Qualified>> {
    let (sequence, at) = qualified(statement, 2)?;
    match () {
        () if statement.is(at, "owner") => Some(vec![sequence]),
        () if statement.is(at, "owned") && statement.is(at + 1, "by") => {
            Some(vec![sequence, column(statement, at + 2)?])
        }
        () => None,
    }
}

/// The table of `schema.table.column`.
fn column(statement: &Statement<'_>, at: usize) -> Option<Qualified> {
    let is_point = |at: usize| statement.token(at).is_some_and(|token| token.is_punct(b'.'));
    (is_point(at + 1) && is_point(at + 3) && !is_point(at + 5)).then_some(())?;
    Some((statement.name(at)?, statement.name(at + 2)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sql: &str) -> Option<Vec<String>> {
        let shown = |(schema, name): Qualified| format!("{schema}.{name}");
        shaped(sql.as_bytes()).map(|tables| tables.into_iter().map(shown).collect())
    }

    #[test]
    fn what_pg_dump_writes_for_each_table_concerns_this_one() {
        for (sql, concerns) in [
            (
                "CREATE TABLE s.t (\n    id integer NOT NULL,\n    n numeric(12,2) DEFAULT 1.5,\n    x text DEFAULT 'a.b'::text COLLATE \"C\",\n    \
                 d double precision GENERATED ALWAYS AS ((n * (2)::numeric)) STORED,\n    CONSTRAINT c CHECK ((n > (0)::numeric))\n);",
                "s.t",
            ),
            ("CREATE TABLE \"S\".\"t.u\" (\n)\nWITH (fillfactor='80', autovacuum_enabled='false');", "S.t.u"),
            ("ALTER TABLE s.t OWNER TO somebody;", "s.t"),
            ("ALTER TABLE ONLY s.t ALTER COLUMN c SET STORAGE EXTERNAL;", "s.t"),
            (
                "ALTER TABLE s.t ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (\n    SEQUENCE NAME s.t_id_seq\n    START WITH 1\n);",
                "s.t",
            ),
            ("CREATE SEQUENCE s.q\n    AS integer\n    START WITH 1\n    NO MINVALUE\n    CACHE 1;", "s.q"),
            ("ALTER SEQUENCE s.q OWNER TO somebody;", "s.q"),
            ("ALTER SEQUENCE s.q OWNED BY s.t.id;", "s.q s.t"),
            ("COMMENT ON TABLE s.t IS 'x';", "s.t"),
            ("COMMENT ON COLUMN s.t.c IS 'x';", "s.t"),
        ] {
            assert_eq!(names(sql).map(|names| names.join(" ")).as_deref(), Some(concerns), "{sql}");
        }
    }

    #[test]
    fn what_is_made_of_something_else_goes_alone() {
        for sql in [
            "CREATE TABLE t (a integer);",
            "CREATE TABLE IF NOT EXISTS s.t (a integer);",
            "CREATE UNLOGGED TABLE s.t (a integer);",
            "CREATE TABLE s.t (a s.kind);",
            "CREATE TABLE s.t (a integer DEFAULT s.f());",
            "CREATE TABLE s.t (a integer DEFAULT nextval('s.q'::regclass));",
            "CREATE TABLE s.t (a integer REFERENCES u);",
            "CREATE TABLE s.t (LIKE u);",
            "CREATE TABLE s.t (a integer) INHERITS (s.u);",
            "CREATE TABLE s.t (a integer) PARTITION BY RANGE (a);",
            "CREATE TABLE s.t PARTITION OF s.u DEFAULT;",
            "CREATE TABLE s.t OF s.kind;",
            "CREATE TABLE s.t (a integer) TABLESPACE x;",
            "CREATE TABLE s.t (a integer) USING columnar;",
            "CREATE TABLE s.t AS SELECT 1;",
            "CREATE SEQUENCE s.q OWNED BY s.t.a;",
            "ALTER TABLE s.t ATTACH PARTITION s.u DEFAULT;",
            "ALTER TABLE s.t OWNER TO a, ADD COLUMN b integer;",
            "ALTER TABLE ONLY s.t ALTER COLUMN a SET DEFAULT nextval('s.q'::regclass);",
            "ALTER SEQUENCE s.q OWNED BY NONE;",
            "ALTER SEQUENCE s.q RESTART;",
            "COMMENT ON VIEW s.v IS 'x';",
            "COMMENT ON COLUMN d.s.t.c IS 'x';",
            "CREATE VIEW s.v AS SELECT 1;",
            "CREATE TYPE s.kind AS ENUM ('a');",
            "GRANT SELECT ON TABLE s.t TO somebody;",
        ] {
            assert_eq!(names(sql), None, "{sql}");
        }
    }
}
