//! The PostgreSQL server: where it is, who we are there, how the line is protected, and what our client programs get told.

mod address;
mod resolve;
mod tls;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub(super) use resolve::resolve;
pub use tls::{RootCert, Tls, TlsMode};

use super::passfile::PassFile;
use super::secret::Secret;

/// Where libpq, as distributions build it, looks for a socket; `localhost` in a password file stands for these.
pub const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or an address, an IPv6 one without brackets.
    Tcp(String),
    /// The directory that holds its socket.
    Socket(PathBuf),
}

/// Which databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Databases {
    /// All that the server has and that can be saved.
    All,
    /// These; at least one, each once.
    Named(Vec<String>),
}

/// Everything that a session or a client program needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// The server.
    pub host: Host,
    /// The address to go to instead of asking what `host` resolves to.
    pub address: Option<IpAddr>,
    /// Its port; part of a socket's name too.
    pub port: u16,
    /// The account.
    pub user: String,
    /// The account's password, where a variable says it; see [`Postgres::password_for`].
    pub password: Option<Secret>,
    /// Passwords of a password file.
    pub passfile: PassFile,
    /// What is saved.
    pub databases: Databases,
    /// The database that control sessions use.
    pub maintenance: Option<String>,
    /// How the line is protected; without effect on sockets.
    pub tls: Tls,
    /// How long an attempt to connect may take; none: for ever.
    pub connect_timeout: Option<Duration>,
    /// libpq's other variables, by name, which client programs are given as they are.
    pub other: Vec<(String, String)>,
}

impl Postgres {
    /// The password for one database: a variable's, else the password file's.
    #[must_use]
    pub fn password_for(&self, database: &str) -> Option<&Secret> {
        let host = match &self.host {
            Host::Tcp(host) => host.clone(),
            Host::Socket(directory) if SOCKET_DIRECTORIES.iter().any(|known| directory.as_os_str() == *known) => {
                "localhost".into()
            }
            Host::Socket(directory) => directory.to_string_lossy().into_owned(),
        };
        self.password.as_ref().or_else(|| self.passfile.find(&host, self.port, database, &self.user))
    }

    /// One of libpq's other variables.
    #[must_use]
    pub fn other(&self, name: &str) -> Option<&str> {
        self.other.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The complete environment of `psql`, `pg_dump` and `pg_dumpall`, besides what every program needs (`PATH`, `LC_ALL`).
    ///
    /// The password goes this way because arguments can be seen by everyone. `PGCLIENTENCODING` is never passed on: a dump is
    /// taken in its database's own encoding.
    #[must_use]
    pub fn child_env(&self, database: &str, application_name: &str) -> Vec<(String, OsString)> {
        let mut env: Vec<(String, OsString)> = Vec::new();
        let mut set = |name: &str, value: OsString| env.push((name.into(), value));
        match &self.host {
            Host::Tcp(host) => set("PGHOST", host.into()),
            Host::Socket(directory) => set("PGHOST", directory.into()),
        }
        if let Some(address) = self.address {
            set("PGHOSTADDR", address.to_string().into());
        }
        set("PGPORT", self.port.to_string().into());
        set("PGUSER", OsString::from(&self.user));
        set("PGDATABASE", database.into());
        set("PGAPPNAME", application_name.into());
        match self.password_for(database) {
            Some(password) => set("PGPASSWORD", password.expose().into()),
            // Nothing was found in the password file; a client must not find one that we did not look at.
            None => set("PGPASSFILE", "/nonexistent".into()),
        }
        // libpq's zero waits for ever. One second would be taken as two by older clients, which is as good.
        let timeout = self.connect_timeout.map_or(0, |timeout| timeout.as_secs().max(1));
        set("PGCONNECT_TIMEOUT", timeout.to_string().into());
        self.tls.child_env(&mut set);
        for (name, value) in &self.other {
            set(name, value.into());
        }
        env
    }
}
