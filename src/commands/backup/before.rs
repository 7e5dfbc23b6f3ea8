//! How much each database was the last time: what whoever watches expects of this one. It is learned from what the run reads anyway: the seal
//! that it is held against, and the list by which its repository was opened. Nothing is asked for it.

use std::collections::BTreeMap;

use crate::commands::catalog::Snapshot;
use crate::sources::Item;
use crate::sources::postgres::expected::Before;
use crate::sources::postgres::seal::Summary;

/// How much each database was, by name; those of which nothing is known are not in it.
#[derive(Debug, Clone, Default)]
pub struct Sizes(pub BTreeMap<String, Before>);

impl Sizes {
    /// What the newest dump in the bucket says.
    pub fn learn_of_dump(&mut self, seal: &Summary) {
        for (name, counted) in &seal.databases {
            // One alone is all of its dump; of several, dumps of before do not tell which is how much.
            let alone = (seal.databases.len() == 1).then_some(seal.bytes);
            if let Some(bytes) = seal.database_bytes.get(name).copied().or(alone) {
                self.0.insert(name.clone(), Before { bytes, rows: Some(counted.rows) });
            }
        }
    }

    /// What the snapshots of a repository say of an application, oldest first. A dump says more.
    pub fn learn_of_snapshots(&mut self, snapshots: &[Snapshot], app: &str) {
        for one in snapshots.iter().rev().filter(|one| one.app.as_deref() == Some(app)) {
            // restic before 0.17 tells no sizes.
            if let (Item::Database(name), Some(bytes)) = (&one.item, one.bytes) {
                self.0.entry(name.clone()).or_insert(Before { bytes, rows: None });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::commands::repositories::Place;
    use crate::sources::postgres::seal::Counted;

    fn snapshot(day: i64, database: &str, app: &str, bytes: u64) -> Snapshot {
        Snapshot {
            id: day.to_string(),
            time: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * day),
            host: "shop".into(),
            place: Place::All,
            item: Item::Database(database.into()),
            file: None,
            tags: None,
            app: Some(app.into()),
            bytes: Some(bytes),
            files: None,
        }
    }

    fn seal(databases: &[(&str, u64)], database_bytes: &[(&str, u64)]) -> Summary {
        Summary {
            run: "r".into(),
            app: "shop".into(),
            server: "17".into(),
            client: "17".into(),
            databases: databases.iter().map(|(name, rows)| ((*name).to_owned(), Counted { rows: *rows })).collect(),
            files: Vec::new(),
            safety: false,
            database_bytes: database_bytes.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect(),
            measure: None,
            bytes: 900,
            digest: "d".into(),
        }
    }

    #[test]
    fn the_newest_snapshot_of_the_same_database_and_application_is_the_last_time() {
        let all = [snapshot(1, "a", "shop", 5), snapshot(2, "a", "shop", 7), snapshot(3, "a", "other", 900)];
        let mut sizes = Sizes::default();
        sizes.learn_of_snapshots(&all, "shop");
        assert_eq!(sizes.0.into_iter().collect::<Vec<_>>(), [("a".to_owned(), Before { bytes: 7, rows: None })]);
    }

    #[test]
    fn a_seal_says_how_much_each_database_was_and_what_one_alone_was() {
        let mut sizes = Sizes::default();
        sizes.learn_of_dump(&seal(&[("a", 1), ("b", 2)], &[("a", 300), ("b", 590)]));
        assert_eq!(sizes.0["b"], Before { bytes: 590, rows: Some(2) });
        sizes.learn_of_snapshots(&[snapshot(1, "b", "shop", 40)], "shop");
        assert_eq!(sizes.0["b"].bytes, 590, "the seal is the better one");

        let of_before = |databases| {
            let mut sizes = Sizes::default();
            sizes.learn_of_dump(&seal(databases, &[]));
            sizes.0.values().map(|before| before.bytes).collect::<Vec<u64>>()
        };
        assert_eq!(of_before(&[("a", 1)]), [900]);
        assert!(of_before(&[("a", 1), ("b", 2)]).is_empty());
    }
}
