//! What must hold for every input.

use proptest::prelude::*;

use super::golden::{dumps, strict};
use super::*;
use crate::sources::postgres::survey::Surveyor;

/// Scraps of dumps in any order: far likelier to hurt than random bytes.
fn scraps() -> impl Strategy<Value = Vec<u8>> {
    let scrap = prop::sample::select(vec![
        "SELECT 1;",
        "\n",
        "\r\n",
        "\r",
        " ",
        ";",
        "'",
        "''",
        "\"",
        "E'",
        "\\",
        "\\'",
        "$$",
        "$a$",
        "$_X$",
        "--",
        "-- x\n",
        "/*",
        "*/",
        "(",
        ")",
        "COPY t (a) FROM stdin;\n",
        "1\t2\n",
        "\\.\n",
        "\\.\r\n",
        "\\.",
        "\\connect x\n",
        "\\encoding UTF8\n",
        "\\restrict K\n",
        "CREATE FUNCTION f() BEGIN ATOMIC ",
        "END;",
        "CASE ",
        "BEGIN ",
        "CREATE ROLE a;",
        "ALTER ROLE a WITH SUPERUSER PASSWORD 'x';",
        "GRANT a TO b WITH ADMIN OPTION, INHERIT TRUE GRANTED BY c;",
        "SET standard_conforming_strings = off;",
        "SET client_encoding = 'UTF8';",
        "DROP TABLE x;",
        "DROP ROLE a;\n",
        "CREATE DATABASE d WITH TEMPLATE = t TABLESPACE = s;",
        "ALTER DATABASE d SET a.b TO 'c';",
        "U&\"",
        "u&",
        "e",
        "x'",
        "-- bkp seal {}\n",
        "-- PostgreSQL database dump complete\n",
        "\u{e9}",
        "a$b",
        "1e",
        "12",
        "-",
        "/",
        "ALTER TABLE t DROP CONSTRAINT c;",
        "COMMENT ON DATABASE d IS 'x';",
        "GRANT SELECT ON t TO a;",
        "SET ROLE a;",
        "DROP",
        "CREATE",
        "ALTER ROLE",
        "GRANT",
        "SET",
        "\0",
    ]);
    prop::collection::vec(scrap, 0..40).prop_map(|scraps| scraps.concat().into_bytes())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => scraps(), 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunks_never_change_the_events(input in bytes(), size in 1usize..40) {
        let (whole, chunked) = (events(&input, usize::MAX), events(&input, size));
        prop_assert_eq!(&whole.1, &chunked.1);
        if whole.1.is_ok() {
            prop_assert_eq!(whole.0, chunked.0);
        }
    }

    #[test]
    fn the_events_together_are_the_input(input in bytes()) {
        let (events, end) = events(&input, 7);
        let joined: Vec<u8> = events.into_iter().flat_map(|event| match event {
            Owned::Space(b) | Owned::Comment(b) | Owned::Statement(_, b) | Owned::Long(b, _) => b,
            Owned::Meta(b) | Owned::Rows(b, _) | Owned::End(b) => b,
        }).collect();
        match end {
            Ok(()) => prop_assert_eq!(joined, input),
            Err(_) => prop_assert!(input.starts_with(&joined)),
        }
    }

    #[test]
    fn the_default_policy_changes_nothing(input in bytes(), size in 1usize..40) {
        if let Ok((output, report)) = filter(Policy::default(), Keep::Meta, &input, size) {
            prop_assert_eq!(output, input);
            prop_assert_eq!(report, Report::default());
        }
    }

    #[test]
    fn what_is_rewritten_is_rewritten_once(input in bytes(), size in 1usize..40) {
        if let Ok((once, _)) = filter(strict(), Keep::Nothing, &input, size) {
            let again = filter(strict(), Keep::Nothing, &once, 1000);
            let (twice, _) = again.map_err(|e| TestCaseError::fail(format!("{e}: {:?}", String::from_utf8_lossy(&once))))?;
            prop_assert_eq!(String::from_utf8_lossy(&once), String::from_utf8_lossy(&twice));
            // And no command but \connect is left.
            for event in events(&once, 1000).0 {
                if let Owned::Meta(line) = event {
                    prop_assert!(line.starts_with(b"\\connect "));
                }
            }
        }
    }

    #[test]
    fn a_survey_never_panics_and_knows_every_byte(input in bytes(), size in 1usize..40) {
        let read = |size: usize| {
            let mut surveyor = Surveyor::new();
            for chunk in input.chunks(size) {
                surveyor.push(chunk)?;
            }
            surveyor.finish()
        };
        let survey = read(size);
        prop_assert_eq!(&survey, &read(1000));
        if let Ok(survey) = survey && survey.seal.is_none() {
            prop_assert_eq!(survey.bytes, input.len() as u64);
            prop_assert_eq!(survey.digest, blake3::hash(&input).to_hex().to_string());
        }
    }
}

#[test]
fn real_dumps_come_out_the_same_in_any_chunks() {
    for (name, input) in dumps() {
        let whole = events(&input, usize::MAX);
        assert_eq!(whole.1, Ok(()), "{name}");
        for size in [1, 2, 3, 7, 64, 4093] {
            assert_eq!(whole, events(&input, size), "{name} {size}");
        }
        let (output, report) = filter(Policy::default(), Keep::Meta, &input, 61).expect("a real dump");
        assert!(output == input && report == Report::default(), "{name}");
    }
}

/// Each COPY block with its header, and each literal.
fn data(input: &[u8]) -> (Vec<Owned>, Vec<Vec<u8>>) {
    let (events, _) = events(input, usize::MAX);
    let rows = events.iter().filter(|e| matches!(e, Owned::Rows(..))).cloned().collect();
    let bodies = events.into_iter().filter_map(|event| match event {
        Owned::Statement(_, sql) if sql.starts_with(b"CREATE") && !sql.starts_with(b"CREATE ROLE") => Some(sql),
        Owned::Statement(_, sql) if sql.starts_with(b"COMMENT ON TABLE") || sql.starts_with(b"INSERT") => Some(sql),
        _ => None,
    });
    (
        rows,
        bodies.filter(|sql| !sql.starts_with(b"CREATE DATABASE") && !sql.starts_with(b"CREATE TABLESPACE")).collect(),
    )
}

#[test]
fn rows_bodies_and_literals_are_never_touched() {
    for (name, input) in dumps() {
        let (output, _) = filter(strict(), Keep::Nothing, &input, 1000).expect("a real dump");
        assert!(data(&input) == data(&output), "{name}");
    }
}
