//! What `--only` leaves of a backup: `files`, `roles`, a database by its name, or `database:NAME` where that is called like a kind.

use anyhow::{Result, bail};

use super::Request;
use crate::error::Failure;
use crate::exit::Exit;
use crate::settings::Settings;

/// One kind of item, or one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Only {
    /// The files, all of them.
    Files,
    /// The roles, and no database.
    Roles,
    /// One database, with the roles that it needs.
    Database(String),
}

impl Only {
    /// What the operator said, if anything.
    ///
    /// # Errors
    /// Exit code 2 when the name is empty, or what else was said is about databases.
    pub fn of(request: &Request) -> Result<Option<Only>> {
        let Some(text) = &request.only else { return Ok(None) };
        let only = match text.as_str() {
            "files" => Only::Files,
            "roles" => Only::Roles,
            name => Only::Database(name.strip_prefix("database:").unwrap_or(name).to_owned()),
        };
        let about_a_database = request.under.is_some() || !request.tables.is_empty();
        match &only {
            Only::Database(name) if name.is_empty() => {
                bail!(Failure::new("--only names no database").hint("see: bkp list").exit(Exit::Usage))
            }
            Only::Files | Only::Roles if about_a_database => bail!(
                Failure::new(format!("--only {text} leaves no database, and --as and --table are about one"))
                    .hint(format!("a database that is called {text} is --only database:{text}"))
                    .exit(Exit::Usage)
            ),
            _ => Ok(Some(only)),
        }
    }
}

/// Whether the settings say where that is what is asked for.
///
/// # Errors
/// Exit code 2 when they do not.
pub fn check(settings: &Settings, request: &Request) -> Result<()> {
    let only = Only::of(request)?;
    let files = (only == Some(Only::Files) || request.path.is_some()) && request.to.is_none();
    if files && settings.files.is_none() {
        bail!(
            Failure::new("BKP_FILES is not set, so it is not known where files belong")
                .hint("set it, or restore into a directory with --to DIR")
                .exit(Exit::Usage)
        );
    }
    let databases = matches!(only, Some(Only::Roles | Only::Database(_)));
    if (databases || request.under.is_some() || !request.tables.is_empty()) && settings.postgres.is_none() {
        bail!(
            Failure::new("the settings leave databases out, and --only NAME, --table and --as are about them")
                .hint("set POSTGRES_DB, or BKP_DATABASES, which is `none` where only BKP_FILES is set")
                .exit(Exit::Usage)
        );
    }
    Ok(())
}

/// The database that is asked for, if it is one.
///
/// # Errors
/// As [`Only::of`].
pub fn database(request: &Request) -> Result<Option<String>> {
    Ok(match Only::of(request)? {
        Some(Only::Database(name)) => Some(name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Option<Only>> {
        Only::of(&Request { only: Some(text.to_owned()), ..Request::default() })
    }

    #[test]
    fn a_database_that_is_called_like_a_kind_can_be_named() {
        assert_eq!(of("files").unwrap(), Some(Only::Files));
        assert_eq!(of("roles").unwrap(), Some(Only::Roles));
        for (text, name) in [("shop", "shop"), ("database:roles", "roles"), ("database:database:x", "database:x")] {
            assert_eq!(of(text).unwrap(), Some(Only::Database(name.to_owned())), "{text}");
        }
        assert!(of("").is_err() && of("database:").is_err());
        let request = Request { only: Some("roles".into()), tables: vec!["t".into()], ..Request::default() };
        assert!(Only::of(&request).is_err());
    }
}
