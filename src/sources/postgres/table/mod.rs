//! Single tables: taken out of a side database that is loaded and proven, into a live database, in one transaction there.
//!
//! No SQL is edited. What must not collide is renamed *in the side database*, which is thrown away afterwards ([`beside`]); then
//! the server's own pg_dump writes the table as it is now called ([`copy`]). Three ways:
//! - **gone**: the live database has no such table. It is made again under its own name, with all that the dump has of it, and
//!   the foreign keys of other tables to it ([`links`]).
//! - **beside**: as `NAME_bkp_RUN`, with its rows, indexes, constraints, comments, grants and policies, and sequences of its own.
//! - **in place**: the live table stays the very table; its rows are copied aside to `NAME_was_RUN` and replaced ([`rows`]).
//!
//! What is made has no right that the backup does not give ([`rights`]).
//!
//! Before the COMMIT the rows on both sides are compared by count and hash ([`proof`]).

pub mod beside;
pub mod copy;
pub mod find;
pub mod links;
pub mod partition;
pub mod proof;
pub mod rights;
pub mod rows;
pub mod spec;

use super::name::ending_in;
use super::server::ident;

/// A table, found in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its number in the catalogue that it was found in.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether it is partitioned; its partitions come with it.
    pub partitioned: bool,
}

impl Table {
    /// As SQL wants it.
    pub fn quoted(&self) -> String {
        quoted(&self.schema, &self.name)
    }

    /// As people read it.
    pub fn shown(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The table with its partitions, or without what merely inherits from it.
    pub fn from(&self) -> String {
        format!("{}{}", if self.partitioned { "" } else { "ONLY " }, self.quoted())
    }
}

/// `"schema"."name"`
pub fn quoted(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// `NAME_bkp_20261121_231004`, for what is restored by the run of that id.
pub fn beside_name(name: &str, run: &str) -> String {
    marked(name, "bkp", run)
}

/// `NAME_was_20261121_231004`, for the rows that the run replaced.
pub fn was_name(name: &str, run: &str) -> String {
    marked(name, "was", run)
}

/// The run's second is enough: two restores of an application never run at once. Lower case, so that nobody has to quote it.
fn marked(name: &str, mark: &str, run: &str) -> String {
    let digits: String = run.chars().take(15).collect::<String>().replace('T', "_");
    ending_in(name, &format!("_{mark}_{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::postgres::name::NAME_BYTES;

    const RUN: &str = "20261121T231004Z-7f3a9c";

    #[test]
    fn names_of_copies_fit_and_stay_different() {
        assert_eq!(beside_name("orders", RUN), "orders_bkp_20261121_231004");
        let (one, two) = (format!("{}1", "ü".repeat(31)), format!("{}2", "ü".repeat(31)));
        for name in [&one, &two] {
            assert!(beside_name(name, RUN).len() <= NAME_BYTES && was_name(name, RUN).len() <= NAME_BYTES);
        }
        assert_ne!(beside_name(&one, RUN), beside_name(&two, RUN));
    }
}
