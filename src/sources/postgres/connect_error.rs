//! Why there is no session, in words of our own, and what to do about it.

use std::error::Error;
use std::fmt;
use std::io;

use tokio_postgres::error::{DbError, SqlState};

type Cause = Box<dyn Error + Send + Sync>;

/// Why there is no session. Holds names and places, never a password.
#[derive(Debug)]
pub enum ConnectError {
    /// The server does not take the password, or wants one and none is set.
    WrongPassword {
        /// The account.
        user: String,
        /// Whether there was none to send.
        missing: bool,
        /// What the server or the client library said.
        source: Cause,
    },
    /// The server is there, the database is not.
    NoDatabase {
        /// Its name.
        database: String,
        /// What the server said.
        source: Cause,
    },
    /// Nobody answers there.
    Unreachable {
        /// The server.
        place: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// No protected line, or one that we must not trust.
    Tls {
        /// The server.
        place: String,
        /// What went wrong.
        source: Cause,
    },
    /// `pg_hba.conf`, or a database's or role's right to connect, keeps us out.
    NotAdmitted {
        /// The account.
        user: String,
        /// The database.
        database: String,
        /// What the server said.
        source: Cause,
    },
    /// The server has no session to give.
    TooManyConnections {
        /// The server.
        place: String,
        /// What the server said.
        source: Cause,
    },
    /// The server starts, stops or recovers.
    StartingUp {
        /// The server.
        place: String,
        /// What the server said.
        source: Cause,
    },
    /// Anything else.
    Other {
        /// What the server or the client library said.
        source: Cause,
    },
}

impl ConnectError {
    pub(super) fn other(text: &str) -> Self {
        Self::Other { source: text.into() }
    }

    /// Whether a line of the other kind, with or without TLS, could do better.
    pub(super) fn depends_on_tls(&self) -> bool {
        matches!(self, Self::Tls { .. } | Self::NotAdmitted { .. })
    }

    /// Whether a password was asked for and none is set.
    pub(super) fn lacks_password(&self) -> bool {
        matches!(self, Self::WrongPassword { missing: true, .. })
    }

    /// What to do, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::WrongPassword { missing: true, .. } => {
                "set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, or add a line to the password file"
            }
            Self::WrongPassword { .. } => {
                "compare POSTGRES_PASSWORD with the server's secret; a restored role may have brought its old one"
            }
            Self::NoDatabase { .. } => "look at POSTGRES_DB or BKP_DATABASES",
            Self::Unreachable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "there is no such socket; set POSTGRES_HOST to the server's name"
            }
            Self::Unreachable { .. } => {
                "look at POSTGRES_HOST and POSTGRES_PORT, whether the server runs, and at network policies"
            }
            Self::Tls { .. } => {
                "look at PGSSLMODE and PGSSLROOTCERT; the name that the certificate bears must be the one in POSTGRES_HOST"
            }
            Self::NotAdmitted { .. } => {
                "the server's pg_hba.conf must admit this account, and the account needs the right to connect"
            }
            Self::TooManyConnections { .. } => {
                "raise max_connections or the connection limit, or run when fewer sessions are open"
            }
            Self::StartingUp { .. } => "try again when the server has started",
            Self::Other { .. } => return None,
        })
    }

    pub(super) fn from_postgres(error: tokio_postgres::Error, place: String, user: &str, database: &str) -> Self {
        let (user, database) = (user.to_owned(), database.to_owned());
        if let Some(db) = error.as_db_error() {
            let code = db.code().clone();
            let source: Cause = Box::new(Said::by(db));
            return match code {
                SqlState::INVALID_PASSWORD => Self::WrongPassword { user, missing: false, source },
                SqlState::INVALID_CATALOG_NAME => Self::NoDatabase { database, source },
                SqlState::TOO_MANY_CONNECTIONS => Self::TooManyConnections { place, source },
                SqlState::CANNOT_CONNECT_NOW => Self::StartingUp { place, source },
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION | SqlState::INSUFFICIENT_PRIVILEGE => {
                    Self::NotAdmitted { user, database, source }
                }
                _ => Self::Other { source },
            };
        }
        // The library tells its kinds by their words only.
        let said = error.to_string();
        let cause = error.into_source();
        match said.as_str() {
            "error performing TLS handshake" => Self::Tls { place, source: cause.unwrap_or_else(|| said.into()) },
            "invalid configuration" if cause.as_ref().is_some_and(|cause| cause.to_string().contains("password")) => {
                Self::WrongPassword {
                    user,
                    missing: true,
                    source: "the server asks for a password and none is set".into(),
                }
            }
            "error connecting to server" | "error communicating with the server" | "timeout waiting for server" => {
                match cause.map(|cause| cause.downcast::<io::Error>()) {
                    Some(Ok(io)) => Self::Unreachable { place, source: *io },
                    Some(Err(cause)) => Self::Other { source: cause },
                    None => Self::Unreachable { place, source: io::ErrorKind::TimedOut.into() },
                }
            }
            // A server that is shot or full closes the line without a word.
            "connection closed" => Self::Unreachable { place, source: io::ErrorKind::ConnectionReset.into() },
            "authentication error" => {
                let source = cause.unwrap_or_else(|| said.into());
                // SCRAM proves both ends to each other; channel binding fails here too.
                Self::WrongPassword { user, missing: false, source }
            }
            _ => Self::Other { source: cause.unwrap_or_else(|| said.into()) },
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongPassword { user, missing: true, .. } => {
                write!(f, "there is no password for the account \"{user}\"")
            }
            Self::WrongPassword { user, .. } => write!(f, "the password of the account \"{user}\" was not accepted"),
            Self::NoDatabase { database, .. } => write!(f, "the server has no database \"{database}\""),
            Self::Unreachable { place, .. } => write!(f, "PostgreSQL cannot be reached at {place}"),
            Self::Tls { place, .. } => write!(f, "no protected line to PostgreSQL at {place}"),
            Self::NotAdmitted { user, database, .. } => {
                write!(f, "the server does not admit the account \"{user}\" to the database \"{database}\"")
            }
            Self::TooManyConnections { place, .. } => write!(f, "PostgreSQL at {place} has no connection left"),
            Self::StartingUp { place, .. } => write!(f, "PostgreSQL at {place} takes no sessions yet"),
            Self::Other { .. } => f.write_str("no session with PostgreSQL"),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreachable { source, .. } => Some(source),
            Self::WrongPassword { source, .. }
            | Self::NoDatabase { source, .. }
            | Self::Tls { source, .. }
            | Self::NotAdmitted { source, .. }
            | Self::TooManyConnections { source, .. }
            | Self::StartingUp { source, .. }
            | Self::Other { source } => Some(source.as_ref()),
        }
    }
}

/// What a server said: its message and state, without the statement or the rows that its details may hold.
#[derive(Debug)]
struct Said(String);

impl Said {
    fn by(error: &DbError) -> Self {
        Self(format!("{} ({})", error.message(), error.code().code()))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Said {}
