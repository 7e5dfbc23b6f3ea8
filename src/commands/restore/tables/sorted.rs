//! Tables that are restored, by what is done with each of them: decided when both databases can be looked at.

use anyhow::{Result, bail};

use crate::error::Failure;
use crate::settings::Postgres;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::table::spec::Spec;
use crate::sources::postgres::table::{Table, beside_name, find, rows, was_name};

/// What became of one table.
pub struct Done {
    /// Which.
    pub table: Table,
    /// Under which name it is there.
    pub now: String,
    /// Where its former rows are.
    pub was: Option<String>,
}

/// The tables by what is done with them.
#[derive(Default)]
pub struct Sorted {
    /// Not in the live database any more: (in the side database, with partitions).
    pub gone: Vec<(Table, Vec<Table>)>,
    /// Replaced in place: (side, live).
    pub in_place: Vec<(Table, Table)>,
    /// Copied beside.
    pub beside: Vec<Table>,
    /// What is there only after the COMMIT.
    pub mark: Option<(String, String)>,
}

impl Sorted {
    /// What will have become of each.
    pub fn done(&self, run: &str) -> Vec<Done> {
        let shown = |table: &Table, name: String| format!("{}.{name}", table.schema);
        let gone = self.gone.iter().map(|(table, _)| Done { now: table.shown(), was: None, table: table.clone() });
        let rows = self.in_place.iter().map(|(table, _)| Done {
            now: table.shown(),
            was: Some(shown(table, was_name(&table.name, run))),
            table: table.clone(),
        });
        let beside = self.beside.iter().map(|table| Done {
            now: shown(table, beside_name(&table.name, run)),
            was: None,
            table: table.clone(),
        });
        gone.chain(rows).chain(beside).collect()
    }

    /// What tells that it is done, as people read it.
    pub fn shown_mark(&self) -> String {
        self.mark.as_ref().map(|(schema, name)| format!("{schema}.{name}")).unwrap_or_default()
    }

    /// Whether the COMMIT happened; nothing when the server cannot be asked.
    pub async fn is_done(&self, postgres: &Postgres, live: &str, session_name: &str) -> Option<bool> {
        let (schema, name) = self.mark.as_ref()?;
        let session = Session::connect(postgres, live, session_name).await.ok()?;
        find::named(&session, schema, name).await.ok().map(|table| table.is_some())
    }
}

/// Finds each table on both sides.
///
/// # Errors
/// When one is not in the backup, has no schema to go to, or cannot be put where it is to go.
pub async fn sort(live: &Session, side: &Session, specs: &[Spec], in_place: bool, run: &str) -> Result<Sorted> {
    let mut sorted = Sorted::default();
    for table in find::all_meant(side, specs).await? {
        if !find::has_schema(live, &table.schema).await? {
            let schema = crate::sources::postgres::server::ident(&table.schema);
            bail!(
                Failure::new(format!("the live database has no schema {}, where the table belongs", table.schema))
                    .hint(format!("make it first: CREATE SCHEMA {schema}; then run the restore again"))
            );
        }
        let here = find::named(live, &table.schema, &table.name).await?;
        let name = match (&here, in_place) {
            (None, _) => table.name.clone(),
            (Some(_), true) => was_name(&table.name, run),
            (Some(_), false) => beside_name(&table.name, run),
        };
        sorted.mark = Some((table.schema.clone(), name));
        match here {
            None => {
                let tree = find::with_partitions(side, &table).await?;
                sorted.gone.push((table, tree));
            }
            Some(here) if in_place => {
                let differences = rows::differences((live, &here), (side, &table)).await?;
                if !differences.is_empty() {
                    bail!(
                        Failure::new(format!(
                            "{} has other columns than in the backup: {}",
                            table.shown(),
                            differences.join("; ")
                        ))
                        .hint("restore it beside the live one, without --in-place, and copy the rows with SQL")
                    );
                }
                sorted.in_place.push((table, here));
            }
            Some(_) => sorted.beside.push(table),
        }
    }
    Ok(sorted)
}
