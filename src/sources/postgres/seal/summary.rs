//! What a list says of a sealed dump: its seal without the rows of each table, which are most of it. A list of thousands of dumps with
//! thousands of tables each has to fit the memory of a small pod.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{Measure, Seal, check_format, total, unreadable};

/// A seal, as [`Seal`] has it, with sums instead of tables.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Summary {
    /// The run that made the dump.
    pub run: String,
    /// The application that the dump belongs to.
    pub app: String,
    /// Version of the server that was dumped.
    pub server: String,
    /// Version of the client programs that dumped.
    pub client: String,
    /// Rows per database.
    pub databases: BTreeMap<String, Counted>,
    /// Directories that the run set out to save besides.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Whether a restore took it of what it was about to replace.
    #[serde(default)]
    pub safety: bool,
    /// How much of the SQL each database is, in bytes.
    #[serde(default)]
    pub database_bytes: BTreeMap<String, u64>,
    /// What it was held against.
    #[serde(default)]
    pub measure: Option<Measure>,
    /// Length of the SQL before the seal, in bytes.
    pub bytes: u64,
    /// Its digest: what lacks one is no seal.
    pub digest: String,
}

/// One database of a sealed dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Counted {
    /// Rows of all its tables.
    #[serde(rename = "tables", deserialize_with = "sum")]
    pub rows: u64,
}

impl Summary {
    /// Reads the JSON of a seal, table by table, without keeping any.
    ///
    /// # Errors
    /// When it is no seal, or one of a later format.
    pub fn parse(json: &[u8]) -> Result<Summary> {
        check_format(json)?;
        Ok(serde_json::from_slice(json).map_err(unreadable)?)
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        total(self.databases.values().map(|database| database.rows))
    }
}

impl From<&Seal> for Summary {
    fn from(seal: &Seal) -> Summary {
        let rows = |tables: &BTreeMap<String, u64>| Counted { rows: total(tables.values().copied()) };
        Summary {
            run: seal.run.clone(),
            app: seal.app.clone(),
            server: seal.server.clone(),
            client: seal.client.clone(),
            databases: seal.databases.iter().map(|(name, sealed)| (name.clone(), rows(&sealed.tables))).collect(),
            files: seal.files.clone(),
            safety: seal.safety,
            database_bytes: seal.database_bytes.clone(),
            measure: seal.measure.clone(),
            bytes: seal.bytes,
            digest: seal.digest.clone(),
        }
    }
}

fn sum<'de, D: Deserializer<'de>>(tables: D) -> Result<u64, D::Error> {
    struct Sum;
    impl<'de> Visitor<'de> for Sum {
        type Value = u64;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("tables and their rows")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut tables: A) -> Result<u64, A::Error> {
            let mut sum = 0_u64;
            while let Some((IgnoredAny, rows)) = tables.next_entry::<IgnoredAny, u64>()? {
                sum = sum.saturating_add(rows);
            }
            Ok(sum)
        }
    }
    tables.deserialize_map(Sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::postgres::seal::{FORMAT, Sealed};

    fn seal() -> Seal {
        let tables = |rows: &[u64]| Sealed { tables: rows.iter().map(|rows| (format!("s.t{rows}"), *rows)).collect() };
        Seal {
            format: FORMAT,
            run: "20261121T060000Z-aaaaaa".into(),
            app: "shop".into(),
            server: "17.6".into(),
            client: "17.6".into(),
            databases: [("a".into(), tables(&[1, 2, 40])), ("empty".into(), tables(&[]))].into(),
            skipped: vec!["x".into()],
            files: vec!["/media".into()],
            safety: true,
            database_bytes: [("a".into(), 5)].into(),
            measure: None,
            bytes: 7,
            digest: "blake3:0".into(),
            stored: None,
        }
    }

    #[test]
    fn a_summary_says_what_the_seal_says() {
        let seal = seal();
        let json = serde_json::to_vec(&seal).unwrap();
        let summary = Summary::parse(&json).unwrap();
        assert_eq!(summary, Summary::from(&Seal::parse(&json).unwrap()));
        assert_eq!((summary.rows(), summary.databases["empty"].rows), (43, 0));
        assert_eq!((summary.files.len(), summary.safety, summary.rows()), (1, true, seal.rows()));
    }

    #[test]
    fn rows_without_end_are_a_number_and_no_crash() {
        let tables = [("a".to_owned(), u64::MAX), ("b".to_owned(), 7)].into();
        let seal =
            Seal { databases: [("d".into(), Sealed { tables }), ("e".into(), Sealed::default())].into(), ..seal() };
        let summary = Summary::parse(&serde_json::to_vec(&seal).unwrap()).unwrap();
        assert_eq!((seal.rows(), summary.rows()), (u64::MAX, u64::MAX));
        assert_eq!(summary, Summary::from(&seal));
    }

    #[test]
    fn a_seal_that_no_restore_would_read_is_not_written() {
        let tables = (0..200_000).map(|at| (format!("s.{at:0>80}"), 1)).collect();
        let seal = Seal { databases: [("d".into(), Sealed { tables })].into(), ..seal() };
        assert!(seal.line().unwrap_err().to_string().contains("200000 tables"));
    }

    #[test]
    fn what_is_no_seal_is_no_summary() {
        let later = serde_json::to_string(&Seal { format: FORMAT + 1, ..seal() }).unwrap();
        for json in [later.as_str(), "{}", "[]", "{\"format\":1}", "{\"format\":1,\"run\":3}", "x"] {
            assert!(Summary::parse(json.as_bytes()).is_err(), "{json}");
            assert!(Seal::parse(json.as_bytes()).is_err(), "{json}");
        }
    }
}
