//! Tables cut into ranges of pages, each some mebibytes to read.

use super::large::Large;

/// What one range should take on disk: long enough that beginning it does not count, short enough to be held while it waits for
/// its turn.
const RANGE_BYTES: u64 = 4 << 20;

/// Pages of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Which table.
    pub table: usize,
    /// The first page.
    pub from: u32,
    /// The first page of the next range; none: to the table's end, wherever that is.
    pub until: Option<u32>,
}

impl Range {
    /// Begins it in a session: what it locks, the indexes that planning looks at, is free again at its [end](Range::END).
    pub fn begin(&self) -> String {
        let page = |page: u32| format!("({page},0)");
        format!(
            "SAVEPOINT range; SELECT pg_catalog.set_config('bkp.from', '{}', true), pg_catalog.set_config('bkp.until', '{}', true)",
            page(self.from),
            self.until.map(page).unwrap_or_default()
        )
    }

    /// Ends it.
    pub const END: &str = "ROLLBACK TO range; RELEASE range";
}

/// The ranges of all tables, in the order in which they are written.
#[derive(Debug)]
pub struct Ranges {
    /// Pages of each table, and how many of them make a range.
    tables: Vec<(u32, u32)>,
    next: (usize, u32),
}

impl Ranges {
    /// The ranges of these tables.
    pub fn new(tables: &[Large]) -> Self {
        let of = |table: &Large| (table.pages, step(table.pages, table.bytes));
        Self { tables: tables.iter().map(of).collect(), next: (0, 0) }
    }
}

/// Rows whose values lie outside of their pages make a page worth many.
fn step(pages: u32, bytes: u64) -> u32 {
    let step = u128::from(RANGE_BYTES) * u128::from(pages) / u128::from(bytes.max(1));
    u32::try_from(step).unwrap_or(u32::MAX).max(1)
}

impl Iterator for Ranges {
    type Item = Range;

    fn next(&mut self) -> Option<Range> {
        let (table, from) = self.next;
        let (pages, step) = *self.tables.get(table)?;
        let until = from.checked_add(step).filter(|until| *until < pages);
        self.next = until.map_or((table + 1, 0), |until| (table, until));
        Some(Range { table, from, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges(tables: &[(u32, u64)]) -> Vec<Range> {
        let tables = tables.iter().map(|(pages, bytes)| (*pages, step(*pages, *bytes))).collect();
        Ranges { tables, next: (0, 0) }.collect()
    }

    proptest! {
        #[test]
        fn each_page_of_each_table_lies_in_one_range_and_in_order(
            tables in proptest::collection::vec((0..5_000u32, 1..1_000_000u64), 0..5),
        ) {
            // As bytes of a table never are fewer than those of its pages.
            let tables: Vec<_> = tables.into_iter().map(|(pages, more)| (pages, u64::from(pages) * 8192 + more)).collect();
            let found = ranges(&tables);
            for (at, (pages, _)) in tables.iter().enumerate() {
                let own: Vec<_> = found.iter().filter(|range| range.table == at).collect();
                prop_assert_eq!(own[0].from, 0);
                prop_assert_eq!(own[own.len() - 1].until, None);
                prop_assert!(own.windows(2).all(|pair| pair[0].until == Some(pair[1].from) && pair[0].from < pair[1].from));
                prop_assert!(own.iter().all(|range| range.from == 0 || range.from < *pages));
            }
            prop_assert!(found.windows(2).all(|pair| pair[0].table <= pair[1].table));
        }
    }

    #[test]
    fn a_range_is_worth_some_mebibytes_however_the_rows_lie() {
        assert_eq!(ranges(&[(1024, 8 << 20)]).len(), 2);
        // Few pages, much outside of them.
        assert_eq!(ranges(&[(8, 1 << 30)]).len(), 8);
        assert_eq!(ranges(&[(0, 1 << 30)]), [Range { table: 0, from: 0, until: None }]);
        assert_eq!(ranges(&[(u32::MAX, u64::from(u32::MAX) * 8192)]).len(), 8_388_608);
    }
}
