//! Where a statement ends, and what is refused where psql reads it.

use super::*;

fn end(sql: &str) -> Result<Step, Fault> {
    Scan::new(true, true).advance(sql.as_bytes())
}

#[test]
fn a_semicolon_ends_only_outside_everything() {
    for sql in [
        "SELECT 'a;''b;', E'\\';', \"c;\", $$d;$$, $_X$;$$;$_X$, (1;2), U&'\\';",
        "SELECT /* ; /* ; */ ; */ 1 -- ; it's\n;",
        "SELECT a$b$;",
        "SELECT 1 --\r;",
        "CREATE OR REPLACE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 1; END;",
        "CREATE PROCEDURE p() BEGIN ATOMIC SELECT 1; END;",
        "CREATE RULE r AS ON UPDATE TO t DO ALSO (DELETE FROM a; SELECT 1);",
    ] {
        let scan = Scan::new(true, true).advance(format!("{sql} SELECT 2;").as_bytes());
        assert_eq!(scan, Ok(Step::End(sql.len())), "{sql}");
    }
}

#[test]
fn begin_counts_only_in_functions() {
    assert_eq!(end("BEGIN; x"), Ok(Step::End(6)));
    assert_eq!(end("CREATE VIEW begin; x"), Ok(Step::End(18)));
    assert_eq!(end("CREATE FUNCTION \"begin\"(); x"), Ok(Step::End(26)));
}

#[test]
fn a_backslash_is_an_escape_only_where_the_session_says_so() {
    assert_eq!(end("SELECT '\\'; "), Ok(Step::End(11)));
    assert_eq!(Scan::new(false, true).advance(b"SELECT '\\'; "), Ok(Step::More));
    assert_eq!(end("SELECT 1 \\connect x"), Err(Fault::Backslash));
    assert_eq!(end("SELECT E'a'\n'\\'; "), Err(Fault::Continued));
}

#[test]
fn where_psql_would_put_a_variable_is_a_blank_however_the_statement_comes() {
    for (sql, blanks) in [
        ("SELECT :DBNAME;", "SELECT : DBNAME;"),
        ("SELECT a[1:\"USER\"], b[1:\"U\"];", "SELECT a[1: \"USER\"], b[1: \"U\"];"),
        ("SELECT :'HOST';", "SELECT : 'HOST';"),
        ("SELECT :::PORT;", "SELECT ::: PORT;"),
        ("SELECT :{?x};", "SELECT : {?x};"),
        ("SELECT a[1:b], 1:2, x::TEXT, f(a := B), a[: \"B\"];", "SELECT a[1:b], 1:2, x::TEXT, f(a := B), a[: \"B\"];"),
        (
            "SELECT ':DBNAME', \":DBNAME\", $$:DBNAME$$ /*:DBNAME*/ --:DBNAME\n;",
            "SELECT ':DBNAME', \":DBNAME\", $$:DBNAME$$ /*:DBNAME*/ --:DBNAME\n;",
        ),
    ] {
        for step in [1, 2, 7, sql.len()] {
            let (mut scan, mut given, mut out) = (Scan::new(true, true), 0, Vec::new());
            for to in (step..sql.len()).step_by(step).chain([sql.len()]) {
                let done = match scan.advance(&sql.as_bytes()[given..to]) {
                    Ok(Step::End(len)) => len,
                    _ => scan.done(),
                };
                out.extend_from_slice(&scan.without_variables(&sql.as_bytes()[given..given + done]));
                // As a long statement is given away in parts.
                if given + done < sql.len() {
                    scan.forget(done);
                }
                given += done;
            }
            assert_eq!(String::from_utf8_lossy(&out), blanks, "{step}");
        }
    }
}

#[test]
fn a_dollar_quote_that_not_every_psql_sees_is_refused() {
    for sql in ["SELECT 1a$x$;$x$;", "SELECT $1a$x$;$x$;", "SELECT 0x1F$x$;$x$;", "SELECT 1_000$x$;$x$;"] {
        assert_eq!(end(sql), Err(Fault::Number), "{sql}");
    }
    assert_eq!(end("SELECT 1$x$;$x$, $1$x$;$x$;"), Ok(Step::End(27)));
}
