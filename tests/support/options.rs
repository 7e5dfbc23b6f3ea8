//! How a test's server differs from the usual one.

use std::path::{Path, PathBuf};

use super::cluster::Cluster;

/// What to start: `Cluster::options(17).conf("wal_level = logical").start()`.
#[derive(Debug, Clone)]
pub struct Options {
    /// Major version of the server.
    pub major: u32,
    /// Lines for `postgresql.conf`, after the usual ones, so that they win.
    pub conf: Vec<String>,
    /// Arguments of initdb instead of UTF8 and C.UTF-8.
    pub initdb: Vec<String>,
    /// Lines for `pg_hba.conf`, before the usual ones, so that they win.
    pub hba: Vec<String>,
    /// Where its files lie, if not with the socket and the log.
    pub data: Option<PathBuf>,
}

impl Options {
    /// A server of this major as every test gets it.
    pub fn new(major: u32) -> Self {
        Self { major, conf: Vec::new(), initdb: Vec::new(), hba: Vec::new(), data: None }
    }

    /// One more line of `postgresql.conf`.
    #[must_use]
    pub fn conf(mut self, line: impl Into<String>) -> Self {
        self.conf.push(line.into());
        self
    }

    /// Arguments of initdb, such as `--encoding=LATIN1`; each set of them costs one initdb, ever.
    #[must_use]
    pub fn initdb<const N: usize>(mut self, arguments: [&str; N]) -> Self {
        self.initdb.extend(arguments.map(String::from));
        self
    }

    /// One more line of `pg_hba.conf`; the first that fits a connection decides.
    #[must_use]
    pub fn hba(mut self, line: impl Into<String>) -> Self {
        self.hba.push(line.into());
        self
    }

    /// Its files lie in this directory, which outlives it.
    #[must_use]
    pub fn data_on(mut self, directory: &Path) -> Self {
        self.data = Some(directory.to_owned());
        self
    }

    /// Starts it.
    pub fn start(self) -> Cluster {
        Cluster::with(self)
    }

    /// The whole of what is appended to initdb's `postgresql.conf`.
    pub(super) fn postgresql_conf(&self, port: u16, socket_dir: &str) -> String {
        let mut text = format!(
            "\nport = {port}\nunix_socket_directories = '{socket_dir}'\nlisten_addresses = '127.0.0.1'\n{}",
            include_str!("postgresql.conf")
        );
        if self.major >= 18 {
            // Three worker processes less at each start.
            text.push_str("io_method = sync\n");
        }
        for line in &self.conf {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// The whole `pg_hba.conf`: anybody by the socket, passwords by TCP.
    pub(super) fn pg_hba_conf(&self) -> String {
        let mut text = String::new();
        for line in &self.hba {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str("local all all trust\nlocal replication all trust\n");
        text.push_str("host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n");
        text
    }
}
