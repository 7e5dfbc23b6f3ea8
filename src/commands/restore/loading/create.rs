//! Side databases as they are made, and what it means when they cannot be.

use super::Load;
use crate::error::Failure;
use crate::sources::postgres::server::{ident, literal};
use crate::sources::postgres::survey::Section;

/// For a dump of one database that is not on the server yet: what the dump says of its encoding, else the server's default.
pub fn from_nothing(name: &str, section: &Section) -> String {
    let name = ident(name);
    match section.encoding.as_deref() {
        Some(encoding) if !encoding.eq_ignore_ascii_case("UTF8") => {
            format!(
                "CREATE DATABASE {name} TEMPLATE template0 ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'",
                literal(encoding)
            )
        }
        _ => format!("CREATE DATABASE {name} TEMPLATE template0"),
    }
}

/// Why it did not get its owner.
pub(super) fn owner_refused(side: &str, error: &tokio_postgres::Error) -> Failure {
    let said = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    Failure::new(format!("{side} could not be given its owner: {said}"))
        .hint("GRANT the owner's role to the account that restores, or restore with a superuser; the live database was not touched")
}

/// Why it could not be made.
pub(super) fn creation_failed(load: &Load, error: &tokio_postgres::Error) -> Failure {
    let said = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    Failure::new(format!("the side database for {} could not be made: {said}", load.target)).hint(
        match error.code().map(|code| code.code()) {
            Some("42501") => "the account needs CREATEDB and to be a member of the database's owner, or be a superuser",
            Some("53100") => "the server's disk is full; the live database was not touched",
            Some("42P21" | "42809" | "22023" | "0A000") => {
                "the server lacks the locale or encoding of the dump; install it on the server"
            }
            _ => "the live database was not touched",
        },
    )
}
