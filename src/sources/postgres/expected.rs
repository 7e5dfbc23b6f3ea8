//! How much SQL a database will be, for whoever watches: by what it was the last time, and by how large it is now.

use super::connect::Session;

/// What was saved of a database the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// Bytes of SQL.
    pub bytes: u64,
    /// Rows of all tables, where that is known.
    pub rows: Option<u64>,
}

/// What the catalogue says of a database, as the last VACUUM or ANALYZE counted it. What none of them has seen counts as nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Bytes of the tables' pages.
    pub bytes: u64,
    /// Rows of the tables.
    pub rows: u64,
}

/// More growth than this between two backups is rather a catalogue that is wrong.
const MOST_GROWTH: u64 = 8;

impl Now {
    /// Asks the catalogue alone: the functions that measure a table wait for whoever holds it. Nothing where it does not answer.
    pub async fn of(session: &Session) -> Now {
        let sql =
            "SELECT (pg_catalog.sum(relpages::bigint) * pg_catalog.current_setting('block_size')::bigint)::bigint,
                          (pg_catalog.sum(reltuples::float8) FILTER (WHERE relkind <> 't' AND reltuples > 0))::bigint
                   FROM pg_catalog.pg_class WHERE relkind IN ('r', 'm', 't') AND oid >= 16384";
        let Ok(row) = session.query_one(sql, &[]).await else { return Now::default() };
        let figure = |at| u64::try_from(row.get::<_, Option<i64>>(at).unwrap_or(0)).unwrap_or(0);
        Now { bytes: figure(0), rows: figure(1) }
    }
}

/// Bytes that a dump of it may be, the best guess first.
///
/// A row is about as long as it was the last time, and there are as many as the catalogue says; but never fewer than the last time, because
/// the catalogue knows little of tables that nobody analysed. How many pages there are says less: indexes are not in them, what was deleted
/// is, and what is packed in them is not in a dump.
pub fn guesses(before: Option<Before>, now: Now) -> Vec<u64> {
    let grown = before.map(|before| match before.rows {
        Some(rows) if rows > 0 => {
            let rows_now = now.rows.clamp(rows, rows.saturating_mul(MOST_GROWTH));
            let bytes = u128::from(before.bytes) * u128::from(rows_now) / u128::from(rows);
            u64::try_from(bytes).unwrap_or(u64::MAX)
        }
        _ => before.bytes,
    });
    grown.into_iter().chain([now.bytes]).filter(|bytes| *bytes > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: u64, rows: Option<u64>, now: (u64, u64)) -> Vec<u64> {
        guesses(Some(Before { bytes, rows }), Now { bytes: now.0, rows: now.1 })
    }

    #[test]
    fn as_much_as_the_last_time_and_more_where_there_are_more_rows() {
        assert_eq!(of(1000, Some(10), (700, 10)), [1000, 700]);
        assert_eq!(of(1000, Some(10), (700, 15)), [1500, 700]);
        assert_eq!(of(1000, None, (700, 15)), [1000, 700], "restic's list has no rows");
    }

    #[test]
    fn a_catalogue_that_knows_nothing_makes_no_dump_smaller_and_one_that_is_wrong_not_much_larger() {
        assert_eq!(of(1000, Some(10), (0, 0)), [1000]);
        assert_eq!(of(1000, Some(10), (0, 10_000)), [8000]);
        assert_eq!(of(u64::MAX, Some(1), (0, 5)), [u64::MAX]);
        assert_eq!(of(1000, Some(0), (0, 5)), [1000]);
    }

    #[test]
    fn the_first_time_the_size_of_the_database_is_all_that_is_known() {
        assert_eq!(guesses(None, Now { bytes: 700, rows: 5 }), [700]);
        assert_eq!(guesses(None, Now::default()), Vec::<u64>::new());
    }
}
