//! Whether what psql sends as one statement is one for the server.
//!
//! psql lets a semicolon pass where it believes to be inside of `CREATE FUNCTION … BEGIN ATOMIC … END`, and believes it at every
//! word `begin`: of a function called so, too. The server reads by its grammar and runs all that it is sent:
//! `CREATE FUNCTION begin() … AS ''; COMMIT; SELECT 1 AS end;` are three statements, of which no rule would see the second.

use super::scan::Fault;

/// Where in a routine the scan stands, as the server's grammar has it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Routine {
    /// In no body.
    #[default]
    Outside,
    /// After `BEGIN`, which is a body's only with `ATOMIC` behind it.
    Begun,
    /// In a body where a statement may begin, and where only `END` ends the body.
    Between,
    /// In a statement of the body.
    Within,
    /// After the body: nothing may follow.
    Over,
}

impl Routine {
    /// Takes in a token that is no semicolon; empty for one that is no word.
    pub(super) fn token(&mut self, word: &[u8]) -> Result<(), Fault> {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
        *self = match self {
            Self::Outside | Self::Begun if is("begin") => Self::Begun,
            Self::Begun if is("atomic") => Self::Between,
            Self::Outside | Self::Begun => Self::Outside,
            Self::Between if is("end") => Self::Over,
            Self::Between | Self::Within => Self::Within,
            Self::Over => return Err(Fault::Several),
        };
        Ok(())
    }

    /// Takes in a semicolon that does not end the statement for psql.
    pub(super) fn semicolon(&mut self) -> Result<(), Fault> {
        match self {
            Self::Between | Self::Within => *self = Self::Between,
            _ => return Err(Fault::Several),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::{Fault, Scan, Step};

    #[test]
    fn a_body_is_one_statement_and_what_only_looks_so_to_psql_is_refused() {
        for sql in [
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 1; END;",
            "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC /* ; */ INSERT INTO t VALUES ('end;'); END -- over\n;",
            "CREATE FUNCTION begin() RETURNS int AS 'end' LANGUAGE sql",
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC END;",
        ] {
            let scanned = Scan::new(true, true).advance(sql.as_bytes());
            let ends = if sql.ends_with(';') { Step::End(sql.len()) } else { Step::More };
            assert_eq!(scanned, Ok(ends), "{sql}");
        }
        for sql in [
            "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS ''; COMMIT; SELECT 1 AS end;",
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS case; END; COMMIT; SELECT 1 AS end;",
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END COMMIT; x END;",
            "CREATE FUNCTION f() RETURNS begin, ATOMIC; COMMIT; END;",
            "CREATE FUNCTION g() RETURNS begin.x LANGUAGE sql AS '';",
            "CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT ev.begin FROM ev; END;",
        ] {
            // What psql cannot load is no backup either.
            for replays in [true, false] {
                assert_eq!(Scan::new(true, replays).advance(sql.as_bytes()), Err(Fault::Several), "{sql}");
            }
        }
    }
}
