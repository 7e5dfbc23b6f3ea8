//! Statements before the data that make one table or sequence, or shape it: any two that touch different ones may go beside each other. Pure.
//!
//! It is a list of what `pg_dump` writes for each of a thousand tables. What such a statement names with a schema is there already, because
//! what makes types, functions and views goes alone; or it is a table, whose row type it is, and waits for that. What is not surely known goes
//! alone, and so does everything where names are looked for in a search path.

use super::schedule::Hold;
use super::touches::{Qualified, qualified};
use crate::sources::postgres::name::{NAME_BYTES, Name};
use crate::sources::postgres::statement::{Act, Class, Statement};
use crate::sources::postgres::token::Token;

/// Words by which a literal may name something, those that bring what an order counts for, and those that touch other tables.
const UNSURE: [&str; 16] = [
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "currval",
    "nextval",
    "setval",
    "like",
    "references",
];

/// What brings a sequence or an index to a table that is named after it, or otherwise where that name is taken.
const NAMED_BY_THE_SERVER: [&str; 10] =
    ["serial", "serial2", "serial4", "serial8", "smallserial", "bigserial", "identity", "primary", "unique", "exclude"];

/// What a statement makes or shapes, alone, and what it asks for.
pub fn shaped(sql: &[u8]) -> Option<Vec<(Qualified, Hold)>> {
    let statement = Statement::parse(sql, true);
    let is = |at: usize, word: &str| statement.is(at, word);
    let (table, at) = match () {
        () if is(0, "create") && is(1, "table") => new_table(&statement, 2)?,
        () if is(0, "create") && is(1, "unlogged") && is(2, "table") => new_table(&statement, 3)?,
        () if is(0, "create") && is(1, "sequence") => {
            let named = qualified(&statement, 2)?;
            (!statement.tokens().iter().any(|token| token.is("owned"))).then_some(named)?
        }
        () if is(0, "alter") && is(1, "table") => altered_table(&statement)?,
        () if is(0, "alter") && is(1, "sequence") => {
            let (sequence, at) = qualified(&statement, 2)?;
            let owned = is(at, "owned") && is(at + 1, "by") && !is(at + 2, "none");
            (owned || is(at, "owner")).then_some((sequence, at))?
        }
        () if is(0, "comment") && (is(2, "table") || is(2, "sequence")) => qualified(&statement, 3)?,
        () if is(0, "comment") && is(2, "column") && is(8, "is") => (pair(&statement, 3)?, 8),
        () => return None,
    };
    let rest = statement.tokens().get(at..).unwrap_or_default();
    let holds = |words: &[&str]| rest.iter().any(|token| words.iter().any(|word| token.is(word)));
    if holds(&UNSURE) || (is(0, "create") && holds(&NAMED_BY_THE_SERVER)) {
        return None;
    }
    let named = (at..statement.tokens().len()).filter_map(|at| pair(&statement, at));
    // Of a sequence's owner the sequence becomes a part.
    let hold = if is(1, "sequence") { Hold::Alone } else { Hold::Shared };
    let asked = named.filter(|named| *named != table).map(|named| (named, hold)).collect::<Vec<_>>();
    let made = is(0, "create").then(|| (array(&table), Hold::Alone));
    Some([vec![(table, Hold::Alone)], made.into_iter().collect(), asked].concat())
}

/// The type of its rows' arrays, which a table of that name would take the name from: who comes first decides what the other one gets. (The
/// server cuts what is too long between characters.)
fn array((schema, name): &Qualified) -> Qualified {
    let mut array = [b"_", name.as_bytes()].concat();
    array.truncate(NAME_BYTES);
    (schema.clone(), Name::new(array))
}

/// Whether it may bring what looks at whatever is made after it: an extension may come with event triggers.
pub fn sees_to_more(sql: &[u8]) -> bool {
    matches!(Statement::parse(sql, true).class, Class::Extension { act: Act::Create, .. })
}

/// Where what sets a session sets the search path: whether that is empty, so that names say their schemas.
pub fn path(sql: &[u8]) -> Option<bool> {
    let sets = |name: &str| matches!(Statement::parse(sql, true).class, Class::Set(setting) if setting.name == name);
    let is_path = memchr::memmem::find(&sql.to_ascii_lowercase(), b"search_path").is_some() || sets("schema");
    is_path.then(|| sql.trim_ascii() == b"SELECT pg_catalog.set_config('search_path', '', false);")
}

/// Of columns, and no more: no partition, heir or copy of another, and in no other place or manner than usual.
fn new_table(statement: &Statement<'_>, at: usize) -> Option<(Qualified, usize)> {
    let (table, at) = qualified(statement, at)?;
    let tokens = &statement.tokens()[at..];
    let around =
        |token: &Token<'_>| token.is_punct(b'(') || token.is_punct(b')') || token.is_punct(b';') || token.is("with");
    let is_known = tokens.first()?.is_punct(b'(') && tokens.iter().filter(|token| token.depth == 0).all(around);
    is_known.then_some((table, at))
}

fn altered_table(statement: &Statement<'_>) -> Option<(Qualified, usize)> {
    let (table, at) = qualified(statement, 2 + usize::from(statement.is(2, "only")))?;
    let is = |after: usize, word: &str| statement.is(at + after, word);
    let of_column = is(0, "alter") && is(1, "column");
    let opens = statement.token(at + 4).is_some_and(|token| token.is_punct(b'('));
    let set =
        of_column && is(3, "set") && (opens || ["storage", "compression", "statistics"].iter().any(|what| is(4, what)));
    let is_named = || statement.tokens().windows(2).any(|pair| pair[0].is("sequence") && pair[1].is("name"));
    let identity = of_column && is(3, "add") && is(4, "generated") && is_named();
    let replica = is(0, "replica") && is(1, "identity") && (is(2, "full") || is(2, "nothing"));
    let several = statement.tokens().iter().any(|token| token.depth == 0 && token.is_punct(b','));
    ((is(0, "owner") || set || identity || replica) && !several).then_some((table, at))
}

/// Two names with a point between them, of which the first is not the server's own schema, and no third before them.
fn pair(statement: &Statement<'_>, at: usize) -> Option<Qualified> {
    let is_point = |at: usize| statement.token(at).is_some_and(|token| token.is_punct(b'.'));
    let is_first = at == 0 || !is_point(at - 1);
    (is_first && is_point(at + 1) && !statement.is(at, "pg_catalog")).then_some(())?;
    Some((statement.name(at)?, statement.name(at + 2)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it has alone, then what it shares after a bar.
    fn names(sql: &str) -> Option<String> {
        let things = shaped(sql.as_bytes())?;
        let of = |hold: Hold| {
            let held = things.iter().filter(|((_, name), held)| *held == hold && !name.as_bytes().starts_with(b"_"));
            held.map(|((schema, name), _)| format!("{schema}.{name}")).collect::<Vec<_>>().join(" ")
        };
        Some(format!("{}|{}", of(Hold::Alone), of(Hold::Shared)))
    }

    #[test]
    fn what_pg_dump_writes_for_each_table_concerns_this_one() {
        for (sql, concerns) in [
            (
                "CREATE TABLE s.t (\n    id integer NOT NULL,\n    region text COLLATE pg_catalog.\"C\",\n    n numeric(12,2) DEFAULT 1.5,\n    \
                 x text DEFAULT 'a.b'::text,\n    d double precision GENERATED ALWAYS AS ((n * (2)::numeric)) STORED,\n    owned boolean,\n    \
                 CONSTRAINT c CHECK ((n OPERATOR(pg_catalog.>) (0)::numeric))\n);",
                "s.t|",
            ),
            ("CREATE TABLE \"S\".\"t.u\" (\n)\nWITH (fillfactor='80', autovacuum_enabled='false');", "S.t.u|"),
            ("CREATE UNLOGGED TABLE s.t (a s.kind, b public.citext[] DEFAULT s.f());", "s.t|s.kind public.citext s.f"),
            ("CREATE TABLE s.t (a s.u);", "s.t|s.u"),
            ("ALTER TABLE s.t OWNER TO somebody;", "s.t|"),
            ("ALTER TABLE ONLY s.t ALTER COLUMN c SET STORAGE EXTERNAL;", "s.t|"),
            ("ALTER TABLE ONLY s.t ALTER COLUMN c SET (n_distinct=5);", "s.t|"),
            ("ALTER TABLE ONLY s.t REPLICA IDENTITY FULL;", "s.t|"),
            (
                "ALTER TABLE s.t ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (\n    SEQUENCE NAME s.t_id_seq\n    START WITH 1\n);",
                "s.t|s.t_id_seq",
            ),
            ("CREATE SEQUENCE s.q\n    AS integer\n    START WITH 1\n    NO MINVALUE\n    CACHE 1;", "s.q|"),
            ("ALTER SEQUENCE s.q OWNER TO somebody;", "s.q|"),
            ("ALTER SEQUENCE s.q OWNED BY s.t.id;", "s.q s.t|"),
            ("COMMENT ON TABLE s.t IS 'x';", "s.t|"),
            ("COMMENT ON SEQUENCE s.q IS 'x';", "s.q|"),
            ("COMMENT ON COLUMN s.t.c IS 'x';", "s.t|"),
        ] {
            assert_eq!(names(sql).as_deref(), Some(concerns), "{sql}");
        }
    }

    #[test]
    fn a_table_that_wants_the_name_of_anothers_array_waits_for_that() {
        let of = |sql: &str| shaped(sql.as_bytes()).unwrap();
        let array = (("s".into(), "_t".into()), Hold::Alone);
        assert!(
            of("CREATE TABLE s.t (a integer);").contains(&array)
                && of("CREATE TABLE s._t (a integer);").contains(&array)
        );
        let long = format!("CREATE TABLE s.{} (a integer);", "x".repeat(NAME_BYTES));
        assert_eq!(of(&long)[1].0.1.as_bytes().len(), NAME_BYTES);
    }

    #[test]
    fn what_may_touch_more_goes_alone() {
        for sql in [
            "CREATE TABLE t (a integer);",
            "CREATE TABLE IF NOT EXISTS s.t (a integer);",
            "CREATE TABLE s.t (a integer DEFAULT nextval('s.q'::regclass));",
            "CREATE TABLE s.t (a integer DEFAULT nextval('s.q'));",
            "CREATE TABLE s.t (a integer CHECK (a > ('s.q'::pg_catalog.regclass)::integer));",
            "CREATE TABLE s.t (a integer REFERENCES s.u);",
            "CREATE TABLE s.t (a bigserial);",
            "CREATE TABLE s.t (a integer PRIMARY KEY);",
            "CREATE TABLE s.t (a integer UNIQUE);",
            "CREATE TABLE s.t (a integer GENERATED ALWAYS AS IDENTITY);",
            "ALTER TABLE s.t ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (START WITH 1);",
            "CREATE TABLE s.t (LIKE s.u);",
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
            "ALTER TABLE ONLY s.t REPLICA IDENTITY USING INDEX i;",
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

    #[test]
    fn names_say_their_schemas_where_nothing_is_searched() {
        assert_eq!(path(b"SELECT pg_catalog.set_config('search_path', '', false);"), Some(true));
        for sql in [
            "SET SCHEMA 's';",
            "SET search_path = public, pg_catalog;",
            "RESET search_path;",
            "SELECT pg_catalog.set_config('search_path', 's', false);",
        ] {
            assert_eq!(path(sql.as_bytes()), Some(false), "{sql}");
        }
        assert_eq!(path(b"SET default_tablespace = '';"), None);
    }
}
