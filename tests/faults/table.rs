//! The matrix as it is printed: what was tried, and what came of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::fault::COLUMNS;
use super::judge::Outcome;

/// Counts of a cell: done all the same, failed and told, killed and mended by the next start.
type Counts = [usize; 3];

/// Rows by name, in the order in which they came to be known.
#[derive(Default)]
pub struct Table {
    rows: Vec<String>,
    cells: BTreeMap<(usize, usize), Counts>,
}

impl Table {
    pub fn add(&mut self, row: &str, column: usize, outcome: Outcome) {
        let at = self.rows.iter().position(|known| known == row).unwrap_or_else(|| {
            self.rows.push(row.to_owned());
            self.rows.len() - 1
        });
        let index = match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::Died => 2,
        };
        self.cells.entry((at, column)).or_default()[index] += 1;
    }

    /// How many there are of each outcome.
    pub fn totals(&self) -> Counts {
        self.cells.values().fold([0; 3], |sum, counts| std::array::from_fn(|at| sum[at] + counts[at]))
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "| step of | {} |", COLUMNS.join(" | "))?;
        writeln!(f, "| --- |{}", " --- |".repeat(COLUMNS.len()))?;
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|row| &self.rows[*row]);
        for row in order {
            let mut line = format!("| {} |", self.rows[row]);
            for column in 0..COLUMNS.len() {
                match self.cells.get(&(row, column)) {
                    Some([done, failed, died]) => write!(line, " {done}/{failed}/{died} |")?,
                    None => line.push_str(" · |"),
                }
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}
