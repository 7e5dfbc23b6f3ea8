//! What was seen to break other tools, one test each.

use super::*;
use crate::sources::postgres::rewrite::Piece;
use crate::sources::postgres::rewrite::Rewriter;
use crate::sources::postgres::survey::{Layout, Survey, Surveyor};

fn survey(input: &[u8]) -> Result<Survey, DumpError> {
    let mut surveyor = Surveyor::new();
    surveyor.push(input)?;
    surveyor.finish()
}

fn replayed(input: &str) -> String {
    let policy = Policy { layout: Layout::Cluster, ..super::golden::strict() };
    let (out, _) = filter(policy, Keep::Nothing, input.as_bytes(), 5).expect("a dump");
    String::from_utf8_lossy(&out).into_owned()
}

fn statements(input: &[u8]) -> Vec<String> {
    let (events, end) = events(input, 3);
    assert_eq!(end, Ok(()));
    events
        .into_iter()
        .filter_map(|event| match event {
            Owned::Statement(_, sql) => Some(String::from_utf8_lossy(&sql).into_owned()),
            _ => None,
        })
        .collect()
}

#[test]
fn global_drops_never_run() {
    let out = replayed("DROP DATABASE shop;\nDROP ROLE IF EXISTS postgres;\nDROP TABLESPACE fast;\nDROP USER a, b;\n");
    assert!(out.lines().all(|line| line.starts_with("-- bkp: ")), "{out}");
}

#[test]
fn a_dump_cut_inside_copy_is_refused() {
    let dump = b"COPY t (a) FROM stdin;\n1\n2\n";
    assert_eq!(survey(dump), Err(DumpError::CutShort { line: 2, inside: "COPY data" }));
    for cut in
        ["SELECT 1", "SELECT 'a;", "SELECT $$;", "/* ;", "COPY t FROM stdin;", "COPY t FROM stdin;\n\\.", "SELECT \"a;"]
    {
        assert!(matches!(survey(cut.as_bytes()), Err(DumpError::CutShort { .. })), "{cut}");
    }
}

#[test]
fn a_dump_without_its_last_words_has_no_trailer() {
    let whole = b"SET a = 1;\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict K\n\n";
    assert!(survey(whole).expect("whole").trailer);
    assert!(!survey(b"SET a = 1;\n").expect("readable").trailer);
    for (dump, expected) in super::golden::dumps() {
        let read = survey(&expected).expect("a real dump");
        assert!(read.trailer || dump.starts_with("nasty"), "{dump}");
    }
}

#[test]
fn an_empty_dump_is_no_whole_one() {
    let empty = survey(b"").expect("nothing to read wrongly");
    assert!(!empty.trailer && empty.seal.is_none() && empty.sections[0].empty);
}

#[test]
fn create_role_is_one_only_where_it_is_a_statement() {
    let input = "COPY t FROM stdin;\nCREATE ROLE reader;\n\\.\nCREATE VIEW v AS SELECT 'CREATE ROLE reader;';\n\
        CREATE FUNCTION f() AS $$CREATE ROLE reader;$$;\n/*\nCREATE ROLE reader;\n*/\n";
    assert_eq!(replayed(input), input);
}

#[test]
fn role_names_may_span_lines_and_hold_semicolons() {
    let out = replayed("DROP ROLE \"two\nlines; x\";\nSELECT 1;\n");
    assert_eq!(out, "-- bkp: DROP ROLE \"two\n-- bkp: lines; x\";\nSELECT 1;\n");
}

#[test]
fn strings_and_encodings_change_from_section_to_section() {
    let input = b"SET standard_conforming_strings = off;\nSELECT 'a\\';b';\n\\connect x\nSELECT 'a\\';\n\xff\xfe;\n";
    assert_eq!(statements(input)[1..3], ["SELECT 'a\\';b';", "SELECT 'a\\';"]);
    for set in ["\\encoding SJIS\n", "SET client_encoding = 'GB18030';\n", "SET NAMES 'BIG5';\n"] {
        assert!(matches!(survey(set.as_bytes()), Err(DumpError::Encoding { .. })), "{set}");
    }
}

#[test]
fn copy_headers_and_rows_may_be_anything() {
    let input = b"COPY public.\"CREATE ROLE dbuser;\" (\"weird\ncol\") FROM stdin;\n\\\\connect x\n-- PostgreSQL database dump complete\n\
        \\connect y\n\\.\n\nCOPY public.nocols  FROM stdin;\n\n\n\\.\n";
    let read = survey(input).expect("a dump");
    let rows: Vec<_> = read.sections[0].tables.iter().map(|t| (t.table.as_str(), t.rows)).collect();
    assert_eq!(rows, [("public.\"CREATE ROLE dbuser;\"", 3), ("public.nocols", 2)]);
    assert!(!read.trailer);
    assert_eq!(read.layout, Layout::Single);
}

#[test]
fn rows_with_crlf_are_counted_too() {
    let read = survey(b"COPY a.b (c) FROM stdin;\r\n1\r\n2\r\n\\.\r\n").expect("a dump");
    assert_eq!(read.sections[0].tables[0].rows, 2);
}

#[test]
fn odd_database_names_are_read_exactly() {
    let input = "\\encoding SQL_ASCII\n\\connect -reuse-previous=on \"dbname='odd \"\"db\"\" name'\"\nSELECT 1;\n";
    let read = survey(input.as_bytes()).expect("a dump");
    assert_eq!(read.sections[0].database, Some("odd \"db\" name".into()));
    let expected = "SET client_encoding = 'SQL_ASCII';\n\\connect -reuse-previous=on \"dbname='odd \"\"db\"\" name'\"\nSELECT 1;\n";
    assert_eq!(replayed(input), expected);
}

#[test]
fn no_command_of_a_dump_reaches_psql() {
    for line in [
        "\\! id",
        "\\i x",
        "\\copy t from program 'id'",
        "SELECT 1 \\gexec",
        "SELECT 1; \\! id",
        "\\connect a b c d",
        "\\;",
        "SELECT 1 \\;",
    ] {
        let input = format!("{line}\nSELECT 1;\n");
        assert!(matches!(survey(input.as_bytes()), Err(DumpError::Meta { .. })), "{line}");
    }
    for sql in
        ["COPY t FROM PROGRAM 'id';", "COPY t TO '/x';", "COPY t FROM '/x';", "COPY t FROM stdin; SELECT 1;\n\\.\n"]
    {
        assert!(matches!(survey(sql.as_bytes()), Err(DumpError::Refused { .. })), "{sql}");
    }
}

#[test]
fn a_carriage_return_does_not_bring_a_commented_statement_back_to_life() {
    let out = replayed("DROP ROLE \"a\rDROP TABLE x;\r\nb\";SELECT 1;\n");
    assert_eq!(out, "-- bkp: DROP ROLE \"a\r-- bkp: DROP TABLE x;\r\n-- bkp: b\";\nSELECT 1;\n");
    assert_eq!(statements(b"-- a comment\rSELECT 1;\n"), ["SELECT 1;"]);
}

#[test]
fn no_change_tells_a_secret() {
    let input = "ALTER ROLE reader WITH LOGIN PASSWORD 'hush';\nALTER ROLE shop SET nowhere TO hush;\n\
        ALTER DATABASE shop SET nowhere TO 'hush';\nCOMMENT ON ROLE reader IS 'hush';\nSET nowhere = 'hush';\nSET nowhere TO hush;\n";
    let (_, report) = filter(super::golden::strict(), Keep::Nothing, input.as_bytes(), 9).expect("a dump");
    assert_eq!(report.changes.len(), 6);
    assert!(!format!("{report:?}").contains("hush"));
    let error = survey(b"\\foo hush\n").expect_err("refused");
    assert!(!format!("{error} {error:?}").contains("hush"));
}

#[test]
fn archives_are_told_from_sql() {
    for bytes in [&b"PGDMP\x01\x0e"[..], &[0x1f, 0x8b, 8, 0, 0, 0], &[0xff, 0xfe, b'S', 0, b'E', 0]] {
        assert!(matches!(survey(bytes), Err(DumpError::NotPlain { .. })));
    }
    let mut tar = b"./shop.sql".to_vec();
    tar.resize(257, 0);
    tar.extend_from_slice(b"ustar  ");
    for (name, bytes) in [
        ("xz", &b"\xfd7zXZ\0\0\x04"[..]),
        ("bzip2", b"BZh91AY&SY"),
        ("zip", b"PK\x03\x04\x14\0\0"),
        ("lz4", b"\x04\x22\x4d\x18\x64@"),
        ("zstd", b"\x28\xb5\x2f\xfd\x04\0"),
        ("zlib", b"\x78\x9c\xed\xbd\x7b\x73"),
        ("tar", &tar),
    ] {
        // What shows itself late does so only in what comes at once, as it does from a store.
        for size in if name == "tar" { [262, 300] } else { [5, 300] } {
            let end = events(bytes, size).1;
            let Err(error @ DumpError::NotPlain { .. }) = end else { panic!("{name}: {end:?}") };
            assert!(error.to_string().contains(&format!("this looks like {name}")), "{error}");
        }
    }
    assert_eq!(survey(b"SELECT\n\0;"), Err(DumpError::Nul { line: 2 }));
    // Padding of a tape or a device.
    assert_eq!(survey(b"SELECT 1;\n\n\0\0\0\0"), Err(DumpError::Nul { line: 3 }));
    assert_eq!(survey(b"BZh is a table;\n").map(|survey| survey.sections.len()), Ok(1));
}

#[test]
fn a_routine_that_psql_cannot_load_is_named() {
    let sql =
        "SELECT 1;\nCREATE FUNCTION public.\"G g\"() RETURNS begin.x LANGUAGE sql AS 'SELECT ''hush''';\nSELECT 2;\n";
    let told = survey(sql.as_bytes()).expect_err("psql reads on to the end").to_string();
    assert!(told.starts_with("line 2: CREATE FUNCTION public.\"G g\": psql takes each word begin"), "{told}");
}

#[test]
fn no_name_becomes_one_of_psqls_variables_and_that_is_said() {
    let (policy, check) = (super::golden::strict(), "CHECK (cardinality(arr[1:\"USER\"]) > 0)");
    let long = format!("CREATE VIEW v AS SELECT '{}', {check};\n", "x".repeat(2 << 20));
    let sql = format!("CREATE TABLE t (\"USER\" integer, {check});\nCREATE TABLE u (a text);\n{long}");
    for size in [1000, usize::MAX] {
        let (out, report) = filter(policy.clone(), Keep::Nothing, sql.as_bytes(), size).expect("a dump");
        assert!(out == sql.replace(":\"", ": \"").into_bytes(), "at {size}");
        let told: Vec<_> = report.changes.iter().map(|change| (change.line, change.what.as_str())).collect();
        assert_eq!(told, [(1, "CREATE TABLE t"), (3, "a statement of more than 1 MiB")], "at {size}");
        // What is stored is what came.
        let (out, report) = filter(Policy::default(), Keep::Meta, sql.as_bytes(), size).expect("a dump");
        assert!(out == sql.as_bytes() && report == Report::default(), "at {size}");
    }
}

#[test]
fn a_statement_of_any_size_is_streamed() {
    let mut input = b"INSERT INTO t VALUES ('".to_vec();
    input.resize(5 << 20, b'x');
    input.extend(b"');\nSELECT 1;\n");
    let whole = events(&input, usize::MAX);
    assert!(matches!(&whole.0[0], Owned::Long(bytes, true) if bytes.len() == (5 << 20) + 3));
    assert_eq!(whole, events(&input, 70_000));
    let mut most = 0;
    let mut lexer = Lexer::new();
    for chunk in input.chunks(70_000) {
        let pushed: Result<(), DumpError> = lexer.push(chunk, &mut |_, event| {
            most = most.max(event.bytes().len());
            Ok(())
        });
        assert_eq!(pushed, Ok(()));
    }
    assert!(most < 1_200_000, "{most}");
}

#[test]
fn a_statement_that_rules_must_see_may_not_be_huge() {
    let mut input = b"COMMENT ON ROLE a IS '".to_vec();
    input.resize(17 << 20, b'x');
    input.extend(b"';\n");
    for size in [usize::MAX, 1 << 20] {
        assert!(matches!(events(&input, size).1, Err(DumpError::TooLong { line: 1, .. })));
    }
}

#[test]
fn nested_grantors_pass_in_a_database() {
    let input = "\\connect shop\nSET SESSION AUTHORIZATION reader;\nGRANT SELECT ON TABLE t TO x;\nRESET SESSION AUTHORIZATION;\n";
    assert_eq!(replayed(input), input.replace("shop", "\"shop__bkp_run\""));
}

#[test]
fn pieces_go_where_they_belong() {
    let input = b"SET a.b = 1;\nCREATE ROLE new;\nCREATE DATABASE shop;\nALTER DATABASE shop OWNER TO new;\n\\connect shop\n\
        CREATE TABLE t (a int);\nCOMMENT ON DATABASE shop IS 'x';\n\\connect shop\nGRANT CONNECT ON DATABASE shop TO new;\n\
        \\connect other\nSELECT 2;\n";
    let policy = Policy { layout: Layout::Cluster, sections_wanted: Some(names(&["shop"])), ..super::golden::strict() };
    let mut seen = Vec::new();
    let mut rewriter = Rewriter::new(policy);
    let mut sink = |piece: Piece<'_>| {
        if !piece.bytes().iter().all(u8::is_ascii_whitespace) || matches!(piece, Piece::Section(_)) {
            let text = String::from_utf8_lossy(piece.bytes()).into_owned();
            let kind = format!("{piece:?}");
            seen.push(format!("{} {text}", kind.split(['(', ' ']).next().unwrap_or_default()));
        }
        Ok(())
    };
    rewriter.push(input, &mut sink).expect("a dump");
    rewriter.finish(&mut sink).expect("a dump");
    assert_eq!(
        seen,
        [
            "Global SET a.b = 1;",
            "Global CREATE ROLE new;",
            "CreateDatabase CREATE DATABASE \"shop__bkp_run\";",
            "Property ALTER DATABASE \"shop__bkp_run\" OWNER TO new;",
            "Section ",
            "Sql CREATE TABLE t (a int);",
            "Comment COMMENT ON DATABASE \"shop__bkp_run\" IS 'x';",
            "Property GRANT CONNECT ON DATABASE \"shop__bkp_run\" TO new;",
            "Section ",
        ]
    );
}

#[test]
fn the_role_that_restores_is_not_changed_under_another_name_for_it() {
    for who in ["CURRENT_USER", "current_role", "SESSION_USER"] {
        let out = replayed(&format!("ALTER ROLE {who} PASSWORD 'x';\nGRANT admin TO {who};\n"));
        assert!(out.lines().all(|line| line.starts_with("-- bkp: ")), "{out}");
    }
    // A new one beside them does not take those along that are there.
    let out = replayed("CREATE ROLE new;\nGRANT admin TO new, reader;\nGRANT admin TO reader, CURRENT_USER;\n");
    assert_eq!(out.matches("-- bkp: ").count(), 2, "{out}");
}

#[test]
fn strings_turn_only_at_a_lines_end() {
    let sql = "SET standard_conforming_strings = off; SELECT '\\'; --';\n";
    assert!(survey(sql.as_bytes()).is_ok());
    let (read, end) =
        (Surveyor::for_replay().push(sql.as_bytes()), "SET standard_conforming_strings = off; \nSELECT 1;\n");
    assert!(matches!(read, Err(DumpError::Refused { line: 1, .. })), "{read:?}");
    assert_eq!(replayed(end), end);
}

#[test]
fn what_precedes_the_first_database_of_several_is_noticed() {
    let stray = |input: &str| survey(input.as_bytes()).expect("a dump").stray;
    let cluster = "SET a.b = 1;\nCREATE ROLE r;\nGRANT r TO s;\nDROP DATABASE x;\nCREATE DATABASE x;\n";
    assert_eq!(stray(&format!("{cluster}\\connect x\nCREATE TABLE t (i int);\n")), None);
    assert_eq!(stray(&format!("{cluster}DO $$BEGIN END$$;\n\\connect x\nCREATE TABLE t (i int);\n")), Some(6));
    assert_eq!(stray("CREATE TABLE t (i int);\n"), None);
}
