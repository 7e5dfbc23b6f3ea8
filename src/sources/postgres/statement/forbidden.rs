//! Statements that no dump has a reason to hold, and that reach beyond the database that is loaded.

use super::head;
use crate::sources::postgres::token::{Token, tokens};

/// Why a statement of a dump is not replayed; nothing for all that dumps hold.
///
/// Not what keeps an evil dump in its bounds: that is the account's rights. What is told here fails early, with its line, where the
/// server would do it in full.
pub fn forbidden(sql: &[u8], standard_strings: bool) -> Option<&'static str> {
    let words: [_; 2] = head(sql, standard_strings);
    let is = |at: usize, word: &str| words[at].is_some_and(|token| token.is(word));
    let is_next = |at: usize, word: &str| head::<4>(sql, standard_strings)[at].is_some_and(|token| token.is(word));
    let is_of_roles = || is(1, "role") || is(1, "group") || (is(1, "user") && !is_next(2, "mapping"));
    match () {
        () if is(0, "alter") && is(1, "system") => Some("ALTER SYSTEM refused: it changes the whole server"),
        () if is(0, "prepare") && is(1, "transaction")
            || is(1, "prepared") && (is(0, "commit") || is(0, "rollback")) =>
        {
            Some("a prepared transaction refused: it outlives the restore")
        }
        () if is(0, "load") => Some("LOAD refused: a dump is data, not a program"),
        () if is(1, "owned") && (is(0, "drop") || is(0, "reassign")) => {
            Some("DROP OWNED and REASSIGN OWNED refused: they reach other databases")
        }
        () if is(0, "create") && is(1, "subscription") && !is_unconnected(&tokens(sql, standard_strings)) => {
            Some("a subscription that connects refused: pg_dump writes connect = false")
        }
        () if is(0, "alter") && is(1, "subscription") && !is_next(3, "owner") => {
            Some("a change of a subscription refused: it may call a server, and pg_dump changes owners only")
        }
        () if (is(0, "create") && is_of_roles() || is(0, "alter") && is(1, "group"))
            && has_members(&tokens(sql, standard_strings)) =>
        {
            Some("a role made with its members refused: pg_dumpall writes GRANT")
        }
        () => None,
    }
}

/// `CREATE ROLE … ROLE …`, `… IN ROLE …`, `ALTER GROUP … ADD USER …`.
fn has_members(tokens: &[Token<'_>]) -> bool {
    tokens.iter().skip(3).any(|token| ["role", "user", "admin", "in"].into_iter().any(|word| token.is(word)))
}

/// `connect = false`.
fn is_unconnected(tokens: &[Token<'_>]) -> bool {
    let found = |three: &[Token<'_>]| three[0].is("connect") && three[1].is_punct(b'=') && three[2].is("false");
    tokens.windows(3).any(found)
}

#[cfg(test)]
mod tests {
    use super::forbidden;

    #[test]
    fn what_reaches_beyond_the_database_is_refused_and_what_dumps_hold_is_not() {
        for sql in [
            "ALTER SYSTEM SET archive_command = 'id';",
            "/* x */ alter /* y */ system reset all;",
            "PREPARE TRANSACTION 'x';",
            "ROLLBACK PREPARED 'x';",
            "LOAD 'evil';",
            "REASSIGN OWNED BY a TO b;",
            "CREATE SUBSCRIPTION s CONNECTION 'host=evil' PUBLICATION p;",
            "CREATE SUBSCRIPTION s CONNECTION 'connect = false' PUBLICATION p WITH (connect = true);",
            "ALTER SUBSCRIPTION s ENABLE;",
            "ALTER SUBSCRIPTION s REFRESH PUBLICATION;",
            "CREATE ROLE r ROLE shop;",
            "CREATE USER r LOGIN IN GROUP shop;",
            "ALTER GROUP r ADD USER shop;",
        ] {
            assert!(forbidden(sql.as_bytes(), true).is_some(), "{sql}");
        }
        for sql in [
            "ALTER TABLE system OWNER TO a;",
            "PREPARE transaction_1 AS SELECT 1;",
            "ALTER SUBSCRIPTION s OWNER TO shop;",
            "CREATE ROLE \"in\";",
            "CREATE ROLE r WITH NOSUPERUSER LOGIN PASSWORD 'role' VALID UNTIL 'infinity';",
            "CREATE USER MAPPING FOR shop SERVER \"in\" OPTIONS (user 'x');",
            "ALTER GROUP g RENAME TO h;",
            "COMMIT;",
            "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p WITH (connect = false, slot_name = 's');",
        ] {
            assert_eq!(forbidden(sql.as_bytes(), true), None, "{sql}");
        }
    }
}
