//! Dumps of a part: `pg_dump --schema-only` and `--table` end as whole dumps do, load without an error, and would take the place
//! of everything. Only beside the live database do they show. A dump with a seal says itself what it holds.

use anyhow::{Result, bail};

use super::loading::{Loading, Side};
use crate::error::Failure;
use crate::sources::postgres::connect::Session;

/// Counts the tables of a database, and those with rows.
pub const EXTENT: &str =
    "SELECT count(*) AS tables, count(*) FILTER (WHERE pg_catalog.pg_relation_size(c.oid) > 0) AS filled
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// What of a database shows whether a dump is of all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Tables.
    pub tables: i64,
    /// Tables with rows.
    pub filled: i64,
}

/// Refuses to put what is clearly a part in the place of a whole.
///
/// # Errors
/// Naming the database and both counts. A live database that lets nobody in is not compared.
pub async fn refuse(loading: &Loading<'_>, sides: &[Side]) -> Result<()> {
    for side in sides.iter().filter(|side| loading.target.database(&side.target).is_some()) {
        let (Some(live), Some(new)) = (extent(loading, &side.target).await, extent(loading, &side.name).await) else {
            tracing::debug!("{} was not compared with its successor", side.target);
            continue;
        };
        if let Some(why) = part(live, new) {
            bail!(
                Failure::new(format!(
                    "the dump seems to be of a part of {} only: {why}; nothing was swapped",
                    side.target
                ))
                .hint(format!(
                    "to look at it: --as NAME; to put it in the place of {} all the same: --allow-unproven",
                    side.target
                ))
            );
        }
    }
    Ok(())
}

/// Older dumps may lack some tables; these lack most, or every row.
pub fn part(live: Extent, new: Extent) -> Option<String> {
    if live.filled > 0 && new.filled == 0 {
        return Some(format!("it has no rows at all, and {} tables of the live one have", live.filled));
    }
    (new.tables * 2 < live.tables).then(|| format!("it has {} tables, the live one {}", new.tables, live.tables))
}

async fn extent(loading: &Loading<'_>, database: &str) -> Option<Extent> {
    let session = Session::connect(loading.postgres, database, &loading.run.session_name("restore")).await.ok()?;
    extent_of(&session).await
}

/// That of the database which the session is in.
pub async fn extent_of(session: &Session) -> Option<Extent> {
    let row = session.query_one(EXTENT, &[]).await.ok()?;
    Some(Extent { tables: row.get(0), filled: row.get(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_no_rows_or_less_than_half_of_the_tables() {
        let extent = |tables, filled| Extent { tables, filled };
        for (live, new) in [((6, 5), (6, 0)), ((6, 5), (2, 2)), ((3, 1), (1, 1))] {
            assert!(part(extent(live.0, live.1), extent(new.0, new.1)).is_some(), "{live:?} {new:?}");
        }
        for (live, new) in [((6, 5), (3, 3)), ((6, 0), (6, 0)), ((0, 0), (0, 0)), ((1, 0), (9, 9)), ((2, 2), (1, 1))] {
            assert!(part(extent(live.0, live.1), extent(new.0, new.1)).is_none(), "{live:?} {new:?}");
        }
    }
}
