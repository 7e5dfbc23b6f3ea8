//! Each table that is asked for, found on both sides, and what is to be done with it.

use anyhow::{Result, bail};

use crate::error::{Failure, hints_of};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server::ident;
use crate::sources::postgres::survey::Survey;
use crate::sources::postgres::table::spec::{self, Spec};
use crate::sources::postgres::table::{Table, beside_name, find, rows, was_name};

/// What became of one table.
pub(super) struct Done {
    pub(super) table: Table,
    /// Under which name it is there.
    pub(super) now: String,
    /// Where its former rows are.
    pub(super) was: Option<String>,
}

/// The tables by what is done with them.
#[derive(Default)]
pub(super) struct Sorted {
    /// Not in the live database any more: (in the side database, with partitions).
    pub(super) gone: Vec<(Table, Vec<Table>)>,
    /// Replaced in place: (side, live).
    pub(super) in_place: Vec<(Table, Table)>,
    /// Copied beside.
    pub(super) beside: Vec<Table>,
    /// What is there only after the COMMIT.
    mark: Option<(String, String)>,
}

impl Sorted {
    pub(super) fn done(&self, run: &str) -> Vec<Done> {
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

    pub(super) fn shown_mark(&self) -> String {
        self.mark.as_ref().map(|(schema, name)| format!("{schema}.{name}")).unwrap_or_default()
    }
}

/// Finds each table on both sides.
pub(super) async fn sort(live: &Session, side: &Session, specs: &[Spec], in_place: bool, run: &str) -> Result<Sorted> {
    let mut sorted = Sorted::default();
    for table in find::all_meant(side, specs).await? {
        if let Some(fault) = without_schema(live, &table.schema).await? {
            bail!(Failure::new(fault));
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

/// What can be known to be missing in the live database before anything is loaded: the schema where a table belongs, or its name's
/// being free. Of a partitioned table, which no rows come under, nobody knows yet where it belongs, unless that was said.
///
/// # Errors
/// When the live database cannot be asked.
pub(super) async fn faults(live: &Session, survey: &Survey, specs: &[Spec]) -> Result<Vec<String>> {
    let there = with_rows(survey);
    let mut faults = Vec::new();
    for spec in specs {
        let found = spec::pick(&there, spec).ok().map(|at| there[at].clone());
        let Some(schema) = found.map(|(schema, _)| schema).or_else(|| spec.schema.clone()) else { continue };
        let missing = without_schema(live, &schema).await?;
        if missing.is_none()
            && let Err(error) = find::named(live, &schema, &spec.name).await
        {
            faults.push(format!("{error:#}: {}", hints_of(&error).join("; ")));
        }
        faults.extend(missing);
    }
    Ok(faults)
}

async fn without_schema(live: &Session, schema: &str) -> Result<Option<String>> {
    let there = find::has_schema(live, schema).await?;
    Ok((!there).then(|| {
        format!(
            "the live database has no schema {schema}, where the table belongs: CREATE SCHEMA {} first",
            ident(schema)
        )
    }))
}

/// The tables of a dump that rows come under.
fn with_rows(survey: &Survey) -> Vec<(String, String)> {
    let tables = survey.sections.iter().flat_map(|section| &section.tables);
    tables
        .filter_map(|copied| Spec::parse(&copied.table).ok())
        .map(|spec| (spec.schema.unwrap_or_default(), spec.name))
        .collect()
}

/// A name that no rows come under is mistyped or a partitioned table's; that is told before hours of loading.
pub(super) fn warn_early(survey: &Survey, specs: &[Spec]) {
    let there = with_rows(survey);
    for spec in specs.iter().filter(|_| !there.is_empty()) {
        if let Err(error) = spec::pick(&there, spec) {
            let hints = hints_of(&error).join("; ");
            tracing::warn!(
                "no rows come under the name {} ({hints}); only a partitioned table is like that",
                spec.shown()
            );
        }
    }
}
