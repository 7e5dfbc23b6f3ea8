//! What a statement of a replay may run beside. Pure; whatever is not surely known runs alone, and what may change a session in a
//! way that other sessions would have to follow ends the parallel way.

use crate::sources::postgres::name::Name;
use crate::sources::postgres::parallel::schedule::Hold;
use crate::sources::postgres::statement::{Class, Statement, value};
use crate::sources::postgres::token::Kind;

/// A schema's name and a name in it.
pub type Qualified = (Name, Name);

/// Something that statements touch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A table; of partitions and heirs, the first of their family.
    Table(Qualified),
    /// An index, or the constraint that has made it.
    Index(Qualified),
    /// The values of sequences.
    Sequences,
}

/// What is to be done with a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Rows follow.
    Rows(Rows),
    /// It sets what every session has to have.
    Session,
    /// It goes beside everything: it sets a sequence.
    Free,
    /// It goes beside what does not touch the same.
    Beside(Touched),
    /// It makes or shapes tables and sequences, before any rows, and goes beside what does not touch the same.
    Shapes(Vec<(Qualified, Hold)>),
    /// It goes alone.
    Alone {
        /// Whether tables, keys or triggers may have changed.
        changes: bool,
    },
    /// A transaction of the dump's own begins here.
    Begin,
    /// And ends here.
    End,
    /// It may change its session, or what every later statement does: from here on there is one session.
    Serial,
}

/// Where rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// The table, where its schema is said.
    pub table: Option<Qualified>,
    /// How many columns are listed; nothing without a list.
    pub columns: Option<usize>,
    /// Whether there is no option: any line begins a row then.
    pub plain: bool,
}

/// What a statement that goes beside others touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Tables.
    pub tables: Vec<(Qualified, Hold)>,
    /// The index that it makes, with the table that this is on.
    pub makes: Option<(Qualified, Qualified)>,
    /// Indexes that are there already; nobody else may touch them meanwhile.
    pub indexes: Vec<Qualified>,
    /// How the tables of those are touched.
    pub through: Hold,
}

impl Touched {
    fn indexes(indexes: Vec<Qualified>, through: Hold) -> Touched {
        Touched { tables: Vec::new(), makes: None, indexes, through }
    }

    fn table(table: Qualified, hold: Hold) -> Touched {
        Touched { tables: vec![(table, hold)], makes: None, indexes: Vec::new(), through: Hold::Shared }
    }
}

/// Looks at a statement that is held whole.
pub fn way(sql: &[u8], standard_strings: bool) -> Way {
    let statement = Statement::parse(sql, standard_strings);
    let Some(first) = statement.token(0) else { return Way::Alone { changes: false } };
    let is = |at: usize, word: &str| statement.is(at, word);
    let starts = |words: &[&str]| words.iter().any(|word| first.is(word));
    match () {
        // Of what brings rows only the first words were read.
        () if starts(&["copy"]) => Way::Rows(rows(sql, standard_strings)),
        () if starts(&["insert"]) => Way::Alone { changes: false },
        () if starts(&["set", "reset"]) => session(&statement),
        () if starts(&["select"]) => selected(&statement),
        () if starts(&["begin", "start"]) => Way::Begin,
        () if starts(&["commit", "end", "rollback", "abort"])
            && !statement.tokens().iter().any(|t| t.is("prepared") || t.is("to") || t.is("chain")) =>
        {
            Way::End
        }
        () if starts(&["create"]) => created(&statement),
        () if is(0, "alter") && is(1, "table") => altered_table(&statement),
        () if is(0, "alter") && is(1, "index") => altered_index(&statement),
        () if is(0, "alter") && (is(1, "event") || is(1, "system")) => Way::Serial,
        () if is(0, "comment") => commented(&statement),
        () if starts(&[
            "grant", "revoke", "security", "refresh", "analyze", "vacuum", "update", "delete", "truncate",
        ]) =>
        {
            Way::Alone { changes: false }
        }
        () if starts(&["alter", "drop", "cluster", "reindex", "import"]) => Way::Alone { changes: true },
        () if first.is_punct(b';') => Way::Alone { changes: false },
        () => Way::Serial,
    }
}

/// What sets one parameter, or who the session is, for good.
fn session(statement: &Statement<'_>) -> Way {
    let is = |at: usize, word: &str| statement.is(at, word);
    if let Class::Set(setting) = &statement.class {
        let text = setting.value.and_then(|at| statement.token(at)).and_then(value).unwrap_or_default();
        return match setting.name.as_str() {
            // Statements are read here as they are with the usual setting.
            "standard_conforming_strings" if text != b"on" => Way::Serial,
            "session_replication_role" => Way::Serial,
            _ if is(1, "local") => Way::Serial,
            _ => Way::Session,
        };
    }
    let of_user = is(1, "role") || (is(1, "session") && is(2, "authorization"));
    if of_user { Way::Session } else { Way::Serial }
}

/// SELECT of the few functions that dumps call.
fn selected(statement: &Statement<'_>) -> Way {
    let from = statement.find(1, "from");
    let call = if statement.token(1).is_some_and(|t| t.is_punct(b'*')) { from.map_or(1, |from| from + 1) } else { 1 };
    let ours = statement.is(call, "pg_catalog") && statement.token(call + 1).is_some_and(|t| t.is_punct(b'.'));
    let name = statement.token(call + 2).filter(|_| ours);
    // Arguments that are literals and nothing else: a call among them could do anything.
    let plain = statement.tokens().iter().skip(call + 4).all(|t| match t.kind {
        Kind::Literal | Kind::Number => true,
        Kind::Punct(byte) => matches!(byte, b',' | b')' | b';' | b':' | b'-' | b'='),
        Kind::Word => [
            "true", "false", "null", "bigint", "integer", "boolean", "real", "regclass", "text", "name", "oid",
            "smallint",
        ]
        .iter()
        .any(|word| t.is(word)),
        Kind::Quoted => false,
    });
    match name {
        Some(name) if name.is("setval") && plain => Way::Free,
        Some(name) if name.is("set_config") && plain && from.is_none() => {
            // Of the transaction only: it is over at once, unless there is one, and in that there is one session.
            Way::Session
        }
        Some(name)
            if [
                "lo_create",
                "lo_open",
                "lowrite",
                "lo_close",
                "lo_from_bytea",
                "lo_put",
                "lo_unlink",
                "pg_restore_relation_stats",
                "pg_restore_attribute_stats",
                "pg_restore_extended_stats",
                "pg_clear_relation_stats",
                "pg_clear_attribute_stats",
            ]
            .iter()
            .any(|known| name.is(known)) =>
        {
            Way::Alone { changes: false }
        }
        _ => Way::Serial,
    }
}

fn created(statement: &Statement<'_>) -> Way {
    let is = |at: usize, word: &str| statement.is(at, word);
    let temporary = |at: usize| ["temp", "temporary", "local", "global"].iter().any(|word| is(at, word));
    if temporary(1) || (is(1, "or") && is(2, "replace") && temporary(3)) || is(1, "event") {
        return Way::Serial;
    }
    let alone = Way::Alone { changes: true };
    let unique = usize::from(is(1, "unique"));
    if is(1 + unique, "index") {
        let mut at = 2 + unique;
        if is(at, "concurrently") {
            return alone;
        }
        if is(at, "if") {
            at += 3;
        }
        let (Some(name), true) = (statement.name(at), is(at + 1, "on")) else { return alone };
        let Some((table, _)) = qualified(statement, at + 2 + usize::from(is(at + 2, "only"))) else { return alone };
        let index = (table.0.clone(), name);
        let mut touched = Touched::table(table.clone(), Hold::Shared);
        touched.makes = Some((index, table));
        return Way::Beside(touched);
    }
    if is(1, "trigger") {
        let table = statement.find(3, "on").and_then(|on| qualified(statement, on + 1));
        return table.map_or(alone, |(table, _)| Way::Beside(Touched::table(table, Hold::Alone)));
    }
    alone
}

fn altered_table(statement: &Statement<'_>) -> Way {
    let is = |at: usize, word: &str| statement.is(at, word);
    let alone = Way::Alone { changes: true };
    let at = 2 + usize::from(is(2, "only"));
    let several = statement.tokens().iter().any(|t| t.depth == 0 && t.is_punct(b','));
    let (Some((table, at)), false) = (qualified(statement, at), several) else { return alone };
    if is(at, "owner") || (is(at, "alter") && is(at + 1, "column") && statement.find(at, "statistics").is_some()) {
        return Way::Alone { changes: false };
    }
    if is(at, "cluster") || (is(at, "replica") && is(at + 1, "identity")) {
        return Way::Beside(Touched::table(table, Hold::Alone));
    }
    let (true, Some(name)) = (is(at, "add") && is(at + 1, "constraint"), statement.name(at + 2)) else { return alone };
    let at = at + 3;
    let mut touched = Touched::table(table.clone(), Hold::Alone);
    match () {
        () if is(at, "primary") || is(at, "unique") || is(at, "exclude") => {
            if is(at, "exclude") || statement.find(at, "using").is_none() {
                touched.makes = Some(((table.0.clone(), name), table));
            } else {
                // It takes an index that is there, whose name is gone then.
                return alone;
            }
        }
        () if is(at, "check") => {}
        () if is(at, "foreign") => {
            let other = statement.find(at, "references").and_then(|at| qualified(statement, at + 1));
            let Some((other, _)) = other else { return alone };
            touched.tables.push((other, Hold::Alone));
        }
        () => return alone,
    }
    Way::Beside(touched)
}

fn altered_index(statement: &Statement<'_>) -> Way {
    let is = |at: usize, word: &str| statement.is(at, word);
    let alone = Way::Alone { changes: true };
    let Some((index, at)) = qualified(statement, 2) else { return alone };
    match () {
        () if is(at, "attach") && is(at + 1, "partition") => match qualified(statement, at + 2) {
            Some((part, _)) => Way::Beside(Touched::indexes(vec![index, part], Hold::Alone)),
            None => alone,
        },
        () if is(at, "alter") && statement.find(at, "statistics").is_some() => {
            Way::Beside(Touched::indexes(vec![index], Hold::Shared))
        }
        () => alone,
    }
}

fn commented(statement: &Statement<'_>) -> Way {
    let alone = Way::Alone { changes: false };
    let is = |at: usize, word: &str| statement.is(at, word);
    match () {
        () if is(2, "index") => match qualified(statement, 3) {
            Some((index, _)) => Way::Beside(Touched::indexes(vec![index], Hold::Shared)),
            None => alone,
        },
        () if (is(2, "constraint") || is(2, "trigger")) && is(4, "on") => match qualified(statement, 5) {
            Some((table, _)) => Way::Beside(Touched::table(table, Hold::Alone)),
            None => alone,
        },
        () => alone,
    }
}

fn rows(sql: &[u8], standard_strings: bool) -> Rows {
    let tokens = crate::sources::postgres::token::tokens(sql, standard_strings);
    let statement = Statement::of(sql, tokens);
    let table = qualified(&statement, 1).map(|(table, _)| table);
    let from = statement.find(1, "from");
    let opens = statement.tokens().iter().take(from.unwrap_or(0)).any(|t| t.is_punct(b'('));
    let commas = statement.tokens().iter().take(from.unwrap_or(0)).filter(|t| t.is_punct(b',')).count();
    let after = from.map_or(0, |from| from + 2);
    let plain = statement.token(after).is_none_or(|t| t.is_punct(b';')) && statement.token(after + 1).is_none();
    Rows { table, columns: opens.then_some(commas + 1), plain }
}

/// `schema.name` at a place, and the place after it.
pub fn qualified(statement: &Statement<'_>, at: usize) -> Option<(Qualified, usize)> {
    let point = statement.token(at + 1)?.is_punct(b'.');
    let more = statement.token(at + 3).is_some_and(|t| t.is_punct(b'.'));
    (point && !more).then_some(())?;
    Some(((statement.name(at)?, statement.name(at + 2)?), at + 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sql: &str) -> Way {
        way(sql.as_bytes(), true)
    }

    fn table(name: &str) -> Qualified {
        ("s".into(), name.into())
    }

    fn touched(sql: &str) -> Touched {
        match of(sql) {
            Way::Beside(touched) => touched,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn indexes_share_their_table_and_constraints_have_it_alone() {
        let index = touched("CREATE UNIQUE INDEX \"I x\" ON ONLY s.t USING btree (a, lower(b)) WHERE (a > 0);");
        assert_eq!(index.tables, [(table("t"), Hold::Shared)]);
        assert_eq!(index.makes, Some((("s".into(), "I x".into()), table("t"))));
        for sql in [
            "ALTER TABLE ONLY s.t\n    ADD CONSTRAINT k PRIMARY KEY (a, b);",
            "ALTER TABLE ONLY s.t ADD CONSTRAINT k UNIQUE NULLS NOT DISTINCT (a) INCLUDE (b);",
            "ALTER TABLE ONLY s.t ADD CONSTRAINT k EXCLUDE USING gist (a WITH =, b WITH &&);",
        ] {
            let key = touched(sql);
            assert_eq!(key.tables, [(table("t"), Hold::Alone)], "{sql}");
            assert_eq!(key.makes, Some((("s".into(), "k".into()), table("t"))), "{sql}");
        }
        for sql in [
            "ALTER TABLE s.t ADD CONSTRAINT k CHECK ((a > 0)) NOT VALID;",
            "CREATE TRIGGER g BEFORE INSERT OR UPDATE OF a, b ON s.t FOR EACH ROW EXECUTE FUNCTION s.f('on');",
            "COMMENT ON CONSTRAINT k ON s.t IS 'x';",
            "ALTER TABLE s.t CLUSTER ON i;",
        ] {
            assert_eq!(touched(sql).tables, [(table("t"), Hold::Alone)], "{sql}");
        }
    }

    #[test]
    fn a_foreign_key_has_both_tables_alone() {
        let key = touched(
            "ALTER TABLE ONLY s.a ADD CONSTRAINT k FOREIGN KEY (x, y) REFERENCES s.b(x, y) ON UPDATE CASCADE DEFERRABLE;",
        );
        assert_eq!(key.tables, [(table("a"), Hold::Alone), (table("b"), Hold::Alone)]);
        let attach = touched("ALTER INDEX s.p_key ATTACH PARTITION s.c_key;");
        assert_eq!(attach.indexes, [table("p_key"), table("c_key")]);
    }

    #[test]
    fn what_is_not_surely_known_goes_alone() {
        for sql in [
            "CREATE INDEX ON s.t (a);",
            "CREATE INDEX i ON t (a);",
            "CREATE INDEX CONCURRENTLY i ON s.t (a);",
            "ALTER TABLE s.t ADD CONSTRAINT k PRIMARY KEY USING INDEX i;",
            "ALTER TABLE s.t ADD CONSTRAINT k CHECK (a > 0), ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES s.b(a);",
            "ALTER TABLE s.t ADD COLUMN x int REFERENCES s.b(a);",
            "ALTER TABLE s.t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES b(a);",
            "CREATE CONSTRAINT TRIGGER g AFTER INSERT ON s.t FROM s.b FOR EACH ROW EXECUTE FUNCTION f();",
            "CREATE MATERIALIZED VIEW s.m AS SELECT 1;",
            "CREATE RULE r AS ON INSERT TO s.t DO NOTHING;",
            "ALTER TABLE d.s.t ADD CONSTRAINT k CHECK (a > 0);",
        ] {
            assert_eq!(of(sql), Way::Alone { changes: true }, "{sql}");
        }
        for sql in ["GRANT SELECT ON TABLE s.t TO r;", "COMMENT ON TABLE s.t IS 'x';", "REFRESH MATERIALIZED VIEW s.m;"]
        {
            assert_eq!(of(sql), Way::Alone { changes: false }, "{sql}");
        }
    }

    #[test]
    fn what_sets_a_session_is_told_from_what_may_do_more() {
        for sql in [
            "SET default_tablespace = '';",
            "SET client_encoding = 'UTF8';",
            "SET standard_conforming_strings = on;",
            "SET SESSION AUTHORIZATION 'x';",
            "RESET SESSION AUTHORIZATION;",
            "SET ROLE x;",
            "RESET statement_timeout;",
            "SELECT pg_catalog.set_config('search_path', '', false);",
        ] {
            assert_eq!(of(sql), Way::Session, "{sql}");
        }
        for sql in [
            "SET standard_conforming_strings = off;",
            "RESET standard_conforming_strings;",
            "SET session_replication_role = replica;",
            "SET LOCAL work_mem = '1GB';",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;",
            "SET CONSTRAINTS ALL DEFERRED;",
            "RESET ALL;",
            "DISCARD ALL;",
            "SELECT set_config('search_path', '', false);",
            "SELECT pg_catalog.set_config('x.y', s.f(), false);",
            "SELECT s.f();",
            "SELECT pg_catalog.setval('s.q', s.f(), true);",
            "DO $$BEGIN END$$;",
            "PREPARE p AS SELECT 1;",
            "CREATE TEMPORARY TABLE t (i int);",
            "CREATE OR REPLACE TEMP VIEW v AS SELECT 1;",
            "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();",
            "LOCK TABLE s.t;",
            "SAVEPOINT x;",
            "ROLLBACK TO x;",
            "COMMIT PREPARED 'x';",
            "COMMIT AND CHAIN;",
            "CALL s.p();",
        ] {
            assert_eq!(of(sql), Way::Serial, "{sql}");
        }
        assert_eq!(of("SELECT pg_catalog.setval('s.\"odd q\"', 7, true);"), Way::Free);
        assert_eq!(of("SELECT pg_catalog.setval('s.q', -7, false);"), Way::Free);
        assert_eq!((of("BEGIN;"), of("START TRANSACTION;"), of("COMMIT;")), (Way::Begin, Way::Begin, Way::End));
        assert_eq!(of("SELECT pg_catalog.lo_open('16', 131072);"), Way::Alone { changes: false });
    }

    #[test]
    fn rows_tell_their_table_and_whether_any_line_begins_one() {
        let rows = |sql: &str| match of(sql) {
            Way::Rows(rows) => (rows.table, rows.columns, rows.plain),
            other => panic!("{other:?}"),
        };
        assert_eq!(rows("COPY s.t (a, \"b,c\") FROM stdin;"), (Some(table("t")), Some(2), true));
        assert_eq!(rows("COPY s.t  FROM stdin;"), (Some(table("t")), None, true));
        assert_eq!(rows("COPY t (\"from\") FROM stdin;"), (None, Some(1), true));
        assert_eq!(rows("COPY s.t (a) FROM stdin WITH (HEADER true);"), (Some(table("t")), Some(1), false));
        assert!(!rows("COPY s.t FROM stdin WHERE a > 1;").2);
    }
}
