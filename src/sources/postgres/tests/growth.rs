//! What reading costs grows as the dump does and no faster: counted, not timed.

use super::*;
use crate::sources::postgres::lexer::scan::LOOKED;
use crate::sources::postgres::rewrite::{Purpose, Rewriter};
use crate::sources::postgres::survey::{Survey, Surveyor};

/// How many bytes the scans looked at while `input` came in chunks of `size`, and the largest event.
fn looked_at(input: &[u8], size: usize) -> (u64, usize) {
    LOOKED.set(0);
    let (mut lexer, mut most) = (Lexer::new(), 0);
    let mut sink = |_: super::super::lexer::Place, event: Event<'_>| {
        most = most.max(event.bytes().len());
        Ok::<(), DumpError>(())
    };
    for chunk in input.chunks(size) {
        lexer.push(chunk, &mut sink).unwrap();
    }
    lexer.finish(&mut sink).unwrap();
    (LOOKED.get(), most)
}

/// `COUNT` tables with a comment, rows and a key.
fn tables(count: usize) -> String {
    let table = |at| {
        format!(
            "CREATE TABLE s.t{at} (\n    id integer NOT NULL\n);\n\n\nALTER TABLE s.t{at} OWNER TO shop;\n\nCOMMENT ON TABLE s.t{at} IS \
             'it''s';\n\nCOPY s.t{at} (id) FROM stdin;\n{at}\n\\.\n\n\nALTER TABLE ONLY s.t{at}\n    ADD CONSTRAINT k{at} PRIMARY KEY (id);\n\n\n"
        )
    };
    (0..count).map(table).collect()
}

fn survey(input: &str) -> Survey {
    let mut surveyor = Surveyor::new();
    for chunk in input.as_bytes().chunks(4096) {
        surveyor.push(chunk).unwrap();
    }
    surveyor.finish().unwrap()
}

#[test]
fn no_byte_of_a_statement_is_looked_at_twice() {
    let whole = |verb: &str, bytes: usize| format!("{verb} '{}';\n", "x".repeat(bytes)).into_bytes();
    for input in [
        // One that is passed on in parts, and one that is held whole.
        whole("INSERT INTO t SELECT 1, '', $$;$$, E'\\'', ", 64 << 20),
        whole("COMMENT ON TABLE t IS", 15 << 20),
        tables(2_000).into_bytes(),
    ] {
        let (looked, most) = looked_at(&input, 5_000);
        // A word at a chunk's end is looked at again with the next one.
        let most_allowed = input.len() as u64 + input.len() as u64 / 20;
        assert!(looked <= most_allowed, "{looked} of {}", input.len());
        assert!(most <= 16 << 20, "{most}");
    }
}

#[test]
fn a_row_of_any_size_passes_in_the_chunks_that_it_comes_in() {
    let mut input = b"COPY t (a) FROM stdin;\n".to_vec();
    input.resize(100 << 20, b'x');
    input.extend_from_slice(b"\n\\.\n");
    let (looked, most) = looked_at(&input, 64 << 10);
    assert!(looked < 1_000 && most <= 64 << 10, "{looked} {most}");
}

#[test]
fn ten_times_the_tables_are_ten_times_the_work() {
    let work = |count| {
        let input = tables(count);
        let (looked, _) = looked_at(input.as_bytes(), 64 << 10);
        let policy = Policy { purpose: Purpose::Replay, ..Policy::default() };
        let (mut rewriter, mut pieces) = (Rewriter::new(policy), 0_u64);
        let mut sink = |_: crate::sources::postgres::rewrite::Piece<'_>| {
            pieces += 1;
            Ok(())
        };
        for chunk in input.as_bytes().chunks(64 << 10) {
            rewriter.push(chunk, &mut sink).unwrap();
        }
        rewriter.finish(&mut sink).unwrap();
        let survey = survey(&input);
        let section = &survey.sections[0];
        assert_eq!((section.tables.len(), section.statements), (count, 5 * count as u64));
        assert!(section.tables.iter().all(|table| table.rows == 1));
        // What is kept besides the tables does not grow.
        assert_eq!((section.owners.len(), section.roles.len(), section.placed.len()), (1, 1, 1));
        (looked, pieces)
    };
    let (few, many) = (work(1_000), work(10_000));
    assert!(many.0 < few.0 * 11 && many.1 < few.1 * 11, "{few:?} {many:?}");
}

#[test]
fn a_digest_is_of_the_bytes_however_they_come() {
    // Pieces of every size around those that are gathered before they are hashed.
    let long = format!("COMMENT ON TABLE t IS '{}';\n", "x".repeat(40_000));
    let rows = format!("COPY t (a) FROM stdin;\n{}\\.\n", "0123456789\n".repeat(9_000));
    let input =
        [tables(300).as_str(), long.as_str(), rows.as_str(), "-- PostgreSQL database dump complete\n\n"].concat();
    let expected = blake3::hash(input.as_bytes()).to_hex().to_string();
    for size in [1_000, 4_096, 33_000, 70_000, usize::MAX] {
        let mut surveyor = Surveyor::new();
        for chunk in input.as_bytes().chunks(size) {
            surveyor.push(chunk).unwrap();
        }
        let survey = surveyor.finish().unwrap();
        assert_eq!((survey.digest.as_str(), survey.bytes), (expected.as_str(), input.len() as u64), "{size}");
        assert!(survey.trailer);
    }
}
