//! What the side database's own catalogue says of its tables, once everything before the data is there: whether rows may come in
//! any order, and which tables belong together. Asked of the server, because it knows what extensions and inline clauses made.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::doubts::Doubts;
use super::touches::{Qualified, Rows, Thing};
use crate::settings::Postgres;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::name::Name;
use crate::sources::postgres::{server, spare};

/// Why the order of rows may matter, each with a question that finds such things. Rules are none: COPY does not ask them.
const ORDERS: [(&str, &str); 2] = [
    ("a trigger", "SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE NOT tgisinternal)"),
    ("a foreign key", "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contype = 'f')"),
];

/// What makes more of a statement than it says.
const EVENTS: (&str, &str) =
    ("an event trigger", "SELECT EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D')");

/// Names in the dump's encoding, as its statements spell them.
const TABLES: &str = "SELECT c.oid, pg_catalog.convert_to(n.nspname::text, $1::text::name), pg_catalog.convert_to(c.relname::text, $1::text::name),
        (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
        EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)), c.relkind = 'p'
 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')";

const FAMILIES: &str = "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = inhrelid \
                        WHERE c.relkind IN ('r', 'p', 'f')";

/// The tables that rows come into.
#[derive(Debug, Default)]
pub struct Facts {
    tables: BTreeMap<Qualified, Table>,
    /// How many further sessions may be opened.
    pub spare: usize,
    /// Whether functions are called for rows, which may read whatever they like.
    pub calls: bool,
}

#[derive(Debug, Clone)]
struct Table {
    oid: u32,
    /// Columns that a COPY may name.
    columns: usize,
    /// Whether two rows may disturb each other, here or in a table that belongs to it.
    unique: bool,
    /// Whether its rows may say something else when other rows are there, here or in a table that belongs to it.
    alone: bool,
    /// Whether its rows go into partitions.
    partitioned: bool,
    /// The first table of its family, when it has one.
    family: Option<Qualified>,
}

/// How the rows of one COPY may be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dealt {
    /// To all lanes, in whole rows.
    Out,
    /// All to one lane.
    Whole,
    /// All to the first lane: what goes into partitions locks each of them, and the server has room for only so many locks.
    First,
    /// By the first lane, with nothing beside it.
    Alone,
}

impl Facts {
    /// Asks the side database; or says why everything has to come in the dump's order. Whether rows still come.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn ask(
        (postgres, database, session_name): (&Postgres, &str, &str),
        encoding: &str,
        rows_come: bool,
    ) -> Result<Result<Facts, &'static str>> {
        let session = Session::connect(postgres, database, session_name).await.map_err(server::told)?;
        for (what, question) in ORDERS.iter().filter(|_| rows_come).chain([&EVENTS]) {
            if session
                .query_one(*question, &[])
                .await
                .context("asking for what may depend on the order of rows")?
                .get(0)
            {
                return Ok(Err(what));
            }
        }
        let rows = session.query(TABLES, &[&encoding]).await.context("asking for the tables")?;
        let kin = session.query(FAMILIES, &[]).await.context("asking which tables belong together")?;
        let doubts = Doubts::ask(&session).await?;
        let tables = rows.iter().map(|row| {
            let name = |at: usize| Name::new(row.get::<_, &[u8]>(at).to_vec());
            let columns = usize::try_from(row.get::<_, i64>(3)).unwrap_or(usize::MAX);
            let oid = row.get(0);
            let (unique, alone, partitioned) = (row.get(4), doubts.alone.contains(&oid), row.get(5));
            ((name(1), name(2)), Table { oid, columns, unique, alone, partitioned, family: None })
        });
        let spare = spare::sessions(&session).await?;
        let facts = Facts::of(tables, kin.iter().map(|row| (row.get(0), row.get(1))));
        Ok(Ok(Facts { spare, calls: doubts.calls, ..facts }))
    }

    fn of(tables: impl IntoIterator<Item = (Qualified, Table)>, kin: impl IntoIterator<Item = (u32, u32)>) -> Facts {
        let mut heads: BTreeMap<u32, u32> = BTreeMap::new();
        fn head(heads: &BTreeMap<u32, u32>, mut of: u32) -> u32 {
            while let Some(next) = heads.get(&of).filter(|next| **next != of) {
                of = *next;
            }
            of
        }
        for (heir, parent) in kin {
            let (one, other) = (head(&heads, heir), head(&heads, parent));
            heads.entry(heir).or_insert(one);
            heads.entry(parent).or_insert(other);
            heads.insert(one, other);
        }
        let tables: Vec<_> = tables.into_iter().collect();
        // Each family by the first of its tables that we know: its head may be a foreign table.
        let mut families: BTreeMap<u32, (Qualified, bool, bool)> = BTreeMap::new();
        for (name, table) in tables.iter().filter(|(_, table)| heads.contains_key(&table.oid)) {
            let family = families.entry(head(&heads, table.oid)).or_insert_with(|| (name.clone(), false, false));
            family.1 |= table.unique;
            family.2 |= table.alone;
        }
        let table = |(name, mut table): (Qualified, Table)| {
            if let Some((first, unique, alone)) =
                families.get(&head(&heads, table.oid)).filter(|_| heads.contains_key(&table.oid))
            {
                table.unique |= unique;
                table.alone |= alone;
                table.family = Some(first.clone());
            }
            (name, table)
        };
        Facts { tables: tables.into_iter().map(table).collect(), ..Facts::default() }
    }

    /// How the rows of this COPY may come.
    pub fn dealt(&self, rows: &Rows) -> Dealt {
        let Some(table) = rows.table.as_ref().and_then(|name| self.tables.get(name)) else { return Dealt::Alone };
        match () {
            // What is not listed gets a default, which may count; an option may ask for that, or for anything.
            () if table.alone || !rows.plain => Dealt::Alone,
            () if rows.columns.is_some_and(|listed| listed != table.columns) => Dealt::Alone,
            () if table.partitioned => Dealt::First,
            // Who has to wait whether another's row stays must not be the one that the other waits for.
            () if table.unique => Dealt::Whole,
            () => Dealt::Out,
        }
    }

    /// The number of a table that keeps rows itself.
    pub fn oid(&self, table: &Qualified) -> Option<u32> {
        self.tables.get(table).filter(|table| !table.partitioned).map(|table| table.oid)
    }

    /// The number of a table that keeps rows itself, and that nothing inherits from nor belongs to.
    pub fn lonely(&self, table: &Qualified) -> Option<u32> {
        self.oid(table).filter(|_| self.tables.get(table).is_some_and(|table| table.family.is_none()))
    }

    /// What stands for a table when statements are held against each other: all that inherit from each other are one.
    pub fn thing(&self, table: &Qualified) -> Thing {
        let family = self.tables.get(table).and_then(|table| table.family.clone());
        Thing::Table(family.unwrap_or_else(|| table.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Qualified {
        ("s".into(), name.into())
    }

    fn facts() -> Facts {
        let table = |oid, text: &str, unique| {
            let (alone, partitioned) = (text.contains("odd"), text == "root" || text == "odd_root");
            (name(text), Table { oid, columns: 2, unique, alone, partitioned, family: None })
        };
        let tables = [
            table(1, "plain", false),
            table(2, "parent", false),
            table(3, "child", false),
            table(4, "grandchild", true),
            table(5, "unique", true),
            table(7, "of_foreign", false),
            table(8, "of_foreign_too", false),
            table(9, "root", true),
            table(10, "odd", false),
            table(11, "of_an_odd_one", false),
            table(12, "odd_root", false),
        ];
        Facts::of(tables, [(3, 2), (4, 3), (7, 6), (8, 6), (11, 12)])
    }

    fn rows(table: &str, columns: Option<usize>, plain: bool) -> Rows {
        Rows { table: Some(name(table)), columns, plain }
    }

    #[test]
    fn rows_are_dealt_out_only_where_no_row_can_meet_another() {
        let facts = facts();
        for (rows, dealt) in [
            (rows("plain", None, true), Dealt::Out),
            (rows("plain", Some(2), true), Dealt::Out),
            (rows("plain", Some(1), true), Dealt::Alone),
            (rows("plain", Some(2), false), Dealt::Alone),
            (rows("root", Some(2), true), Dealt::First),
            (rows("odd", Some(2), true), Dealt::Alone),
            (rows("of_an_odd_one", Some(2), true), Dealt::Alone),
            (rows("unique", Some(2), true), Dealt::Whole),
            (rows("parent", Some(2), true), Dealt::Whole),
            (rows("view", Some(2), true), Dealt::Alone),
            (Rows { table: None, columns: None, plain: true }, Dealt::Alone),
        ] {
            assert_eq!(facts.dealt(&rows), dealt, "{rows:?}");
        }
    }

    #[test]
    fn a_family_is_one_thing() {
        let facts = facts();
        let family = facts.thing(&name("grandchild"));
        assert_eq!((facts.thing(&name("child")), facts.thing(&name("parent"))), (family.clone(), family));
        assert_eq!(facts.thing(&name("of_foreign")), facts.thing(&name("of_foreign_too")));
        assert_eq!(facts.thing(&name("plain")), Thing::Table(name("plain")));
        assert_ne!(facts.thing(&name("plain")), facts.thing(&name("unique")));
    }
}
