//! What a dump is held against: the last one that was not smaller than it may be. It stands in the seal, so that the next run need read
//! one seal only; and a dump that is too small does not become the measure of the next one, however many nights it is repeated.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Summary;

/// Fewer rows than this come and go; but none, where there were some, are worth a word.
const NOTICED_ROWS: u64 = 100;

/// Less SQL than this is hardly more than the frame.
const NOTICED_BYTES: u64 = 64 << 10;

/// What was there before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// Bytes of SQL; 0 where the two do not set out to save the same databases.
    #[serde(default)]
    pub bytes: u64,
    /// Rows of all tables, by database.
    #[serde(default)]
    pub rows: BTreeMap<String, u64>,
    /// It could not be read: whoever was held against nothing is no measure either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

/// Whether `now` is smaller than `before` by more than `percent` of it.
pub fn shrank(before: u64, now: u64, percent: u8) -> bool {
    let lost = u128::from(before.saturating_sub(now));
    lost * 100 > u128::from(before) * u128::from(percent)
}

impl Measure {
    /// Nothing could be read.
    pub fn unknown() -> Measure {
        Measure { unknown: true, ..Measure::default() }
    }

    /// The same, for a run that sets out to save only these databases.
    #[must_use]
    pub fn of_only(mut self, names: &[String]) -> Measure {
        let all = self.rows.len();
        self.rows.retain(|name, _| names.contains(name));
        if self.rows.len() < all {
            self.bytes = 0;
        }
        self
    }
}

impl Summary {
    /// What is smaller than it was by more than `percent`, each as a part of a sentence. Nothing for a dump that was held against nothing.
    pub fn shrunk(&self, percent: u8) -> Vec<String> {
        let Some(measure) = &self.measure else { return Vec::new() };
        let mut told = Vec::new();
        for (name, before) in &measure.rows {
            match self.databases.get(name).map(|counted| counted.rows) {
                None => told.push(format!("database {name} is gone, which had {before} rows")),
                Some(0) if *before > 0 && shrank(*before, 0, percent) => {
                    told.push(format!("database {name} has no rows, and had {before}"));
                }
                Some(now) if *before >= NOTICED_ROWS && shrank(*before, now, percent) => {
                    told.push(format!("database {name} has {now} rows, and had {before}"));
                }
                Some(_) => {}
            }
        }
        if told.is_empty() && measure.bytes >= NOTICED_BYTES && shrank(measure.bytes, self.bytes, percent) {
            told.push(format!("the dump has {} bytes of SQL, and had {}", self.bytes, measure.bytes));
        }
        told
    }

    /// What the next dump is to be held against. Nothing when this one does not know.
    pub fn next_measure(&self, percent: u8) -> Option<Measure> {
        match &self.measure {
            Some(measure) if measure.unknown => None,
            Some(measure) if !self.shrunk(percent).is_empty() => Some(measure.clone()),
            _ => {
                let rows = self.databases.iter().map(|(name, counted)| (name.clone(), counted.rows)).collect();
                Some(Measure { bytes: self.bytes, rows, unknown: false })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Counted;
    use super::*;

    fn dump(rows: u64, bytes: u64, measure: Option<Measure>) -> Summary {
        Summary {
            run: "r".into(),
            app: "shop".into(),
            server: "17".into(),
            client: "17".into(),
            databases: [("shop".into(), Counted { rows })].into(),
            files: Vec::new(),
            safety: false,
            database_bytes: [].into(),
            bytes,
            digest: "d".into(),
            measure,
        }
    }

    /// Nights, each with so many rows and held against the one before; tells which are too small.
    fn nights(rows: &[u64], percent: u8) -> Vec<bool> {
        let mut measure = None;
        let mut told = Vec::new();
        for rows in rows {
            let night = dump(*rows, 1_000_000, measure.take());
            told.push(!night.shrunk(percent).is_empty());
            measure = night.next_measure(percent);
        }
        told
    }

    #[test]
    fn what_shrank_stays_too_small_until_it_grows_back() {
        assert_eq!(nights(&[1000, 500, 499], 50), [false, false, false], "half is allowed, and is the next measure");
        assert_eq!(nights(&[1000, 499, 499, 499, 600, 300], 50), [false, true, true, true, false, false]);
        assert_eq!(nights(&[1000, 0, 0, 0], 50), [false, true, true, true]);
        assert_eq!(nights(&[1000, 1], 100), [false, false]);
    }

    #[test]
    fn little_that_becomes_less_is_nothing_and_little_that_becomes_none_is_told() {
        assert_eq!(nights(&[99, 3], 50), [false, false]);
        assert_eq!(nights(&[3, 0, 0], 50), [false, true, true]);
    }

    #[test]
    fn a_database_that_is_gone_is_told_unless_nobody_asked_for_it() {
        let measure =
            Measure { bytes: 1_000_000, rows: [("shop".into(), 5), ("blog".into(), 7)].into(), unknown: false };
        assert_eq!(dump(5, 10, Some(measure.clone())).shrunk(50), ["database blog is gone, which had 7 rows"]);
        assert!(dump(5, 10, Some(measure.of_only(&["shop".into()]))).shrunk(50).is_empty());
    }

    #[test]
    fn fewer_bytes_of_as_many_rows_are_told() {
        let measure = Measure { bytes: 1_000_000, rows: [("shop".into(), 500)].into(), unknown: false };
        assert_eq!(dump(500, 400_000, Some(measure)).shrunk(50).len(), 1);
    }

    #[test]
    fn whoever_was_held_against_nothing_because_it_could_not_be_read_is_no_measure() {
        assert_eq!(dump(5, 10, Some(Measure::unknown())).next_measure(50), None);
        assert!(dump(0, 10, Some(Measure::unknown())).shrunk(50).is_empty());
    }
}
