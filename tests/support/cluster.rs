//! Throwaway PostgreSQL servers, one per test, that die with it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::options::Options;
use super::run::{Ran, run};
use super::wait::poll;
use super::workdir::WorkDir;
use super::{parts, template};

pub use super::template::PASSWORD;

/// A running server of one major with nothing in it. Dropping it stops it and removes its files.
///
/// Connections by TCP need [`PASSWORD`], those by the socket nothing.
pub struct Cluster {
    options: Options,
    port: u16,
    // Before the directory: the server must be gone when that is removed.
    keeper: Option<Child>,
    dir: WorkDir,
}

impl Cluster {
    /// Starts a server of this major.
    pub fn start(major: u32) -> Self {
        Options::new(major).start()
    }

    /// A server that differs from the usual one.
    pub fn options(major: u32) -> Options {
        Options::new(major)
    }

    /// Starts a hot standby that streams from a running server and answers as soon as it can be read.
    pub fn standby_of(primary: &Cluster) -> Self {
        Self::standby_with(primary, Options::new(primary.major()))
    }

    /// The same with lines of its own in `postgresql.conf`.
    ///
    /// # Panics
    /// When the primary cannot be copied.
    pub fn standby_with(primary: &Cluster, options: Options) -> Self {
        let dir = WorkDir::in_memory();
        let data = data_in(&dir, &options);
        let mut copy = primary.client("pg_basebackup");
        // A slot of its own: what the standby has not yet taken is kept for it, however slow the machine.
        let slot = format!("standby_{}", free_port());
        copy.args(["--checkpoint=fast", "--create-slot", "--slot", &slot]).arg("-D").arg(&data);
        let ran = run(&mut copy, b"");
        assert!(ran.success, "pg_basebackup: {}", ran.stderr);
        // What pg_basebackup would write itself a 13 server does not understand, whose oldest client here is of 14.
        fs::write(data.join("standby.signal"), "").expect("standby.signal");
        let (host, port) = (primary.socket_dir(), primary.port());
        let options = options
            .conf(format!("primary_conninfo = 'host={host} port={port} user=postgres'"))
            .conf(format!("primary_slot_name = '{slot}'"));
        parts::give_all_to_server_user(dir.path());
        parts::give_all_to_server_user(&data);
        Self::within(dir, options)
    }

    pub(super) fn with(options: Options) -> Self {
        let dir = WorkDir::in_memory();
        parts::give_to_server_user(dir.path());
        template::copy_to(&data_in(&dir, &options), options.major, &options.initdb);
        Self::within(dir, options)
    }

    /// Starts a server on the data that is there.
    fn within(dir: WorkDir, options: Options) -> Self {
        let original = fs::read_to_string(dir.join("data/postgresql.conf")).expect("postgresql.conf");
        let mut cluster = Self { options, port: 0, keeper: None, dir };

        // The free port may be taken by somebody else before the server has it.
        for _ in 0..5 {
            cluster.port = free_port();
            cluster.configure(&original);
            match cluster.launch() {
                Ok(()) => return cluster,
                Err(log) if log.contains("could not bind") => {}
                Err(log) => panic!("PostgreSQL {} does not start:\n{log}", cluster.options.major),
            }
        }
        panic!("no free port in five tries");
    }

    fn configure(&self, original: &str) {
        let conf = original.to_owned() + &self.options.postgresql_conf(self.port, &self.socket_dir());
        fs::write(self.dir.join("data/postgresql.conf"), conf).expect("postgresql.conf");
        fs::write(self.dir.join("data/pg_hba.conf"), self.options.pg_hba_conf()).expect("pg_hba.conf");
    }

    /// Starts the server and waits until it takes connections; the error is its log.
    fn launch(&mut self) -> Result<(), String> {
        let bin = parts::bin(self.options.major);
        let pid_file = self.dir.join("data/postmaster.pid");
        let _ = fs::remove_file(&pid_file);
        let server = self.dir.join("server.pid");
        let _ = fs::remove_file(&server);
        let mut keeper = Command::new("sh");
        keeper.arg("-c").arg(include_str!("server.sh")).arg("server").arg(self.dir.path());
        keeper.args(parts::as_server_user()).arg(bin.join("postgres")).arg("-D").arg(self.dir.join("data"));
        // Extensions that use libpq must find the set's own, not an older one of the system.
        keeper.env("LC_ALL", "C").env("LD_LIBRARY_PATH", bin.with_file_name("lib")).current_dir("/");
        // A group of its own: Ctrl-C ends the tests, and their end ends the server.
        keeper.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        self.keeper = Some(keeper.spawn().expect("a shell"));

        let ready = poll(Duration::from_secs(60), || {
            // The eighth line says how far the server is; it may be seen half written.
            let status = fs::read_to_string(&pid_file).unwrap_or_default();
            if status.lines().nth(7).is_some_and(|line| matches!(line.trim(), "ready" | "standby")) {
                return Some(Ok(()));
            }
            let server = fs::read_to_string(&server).unwrap_or_default();
            has_ended(server.trim()).then(|| Err(self.log()))
        });
        match ready {
            Some(Ok(())) => Ok(()),
            failed => {
                self.end("immediate");
                Err(failed.and_then(Result::err).unwrap_or_else(|| self.log()))
            }
        }
    }

    /// Whether the server has not ended by itself.
    pub fn is_running(&self) -> bool {
        let server = fs::read_to_string(self.dir.join("server.pid")).unwrap_or_default();
        !has_ended(server.trim())
    }

    /// Stops the server as a crash would: no checkpoint, no goodbye to clients.
    pub fn stop_immediate(&mut self) {
        self.end("immediate");
    }

    /// Stops the server in order; open sessions are ended.
    pub fn stop(&mut self) {
        self.end("fast");
    }

    /// Starts a stopped server again, on the same port.
    ///
    /// # Panics
    /// With the server's log when it does not start.
    pub fn start_again(&mut self) {
        assert!(self.keeper.is_none(), "the server was not stopped");
        fs::write(self.dir.join("log"), "").expect("log");
        if let Err(log) = self.launch() {
            panic!("PostgreSQL {} does not start again:\n{log}", self.options.major);
        }
    }

    /// Lets go of the server as the death of the test's process would, without waiting for its end.
    pub fn lose_hold(&mut self) {
        if let Some(keeper) = self.keeper.as_mut() {
            drop(keeper.stdin.take());
        }
    }

    fn end(&mut self, how: &str) {
        if let Some(mut keeper) = self.keeper.take() {
            if let Some(mut stdin) = keeper.stdin.take() {
                let _ = stdin.write_all(format!("{how}\n").as_bytes());
            }
            let _ = keeper.wait();
        }
    }

    /// The server's log so far; it has each database's encoding.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.join("log")).unwrap_or_default()).into_owned()
    }

    /// Major version.
    pub fn major(&self) -> u32 {
        self.options.major
    }

    /// The address by TCP.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// TCP port, and the number in the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Directory of the unix socket; usable as a host by libpq.
    pub fn socket_dir(&self) -> String {
        self.dir.path().display().to_string()
    }

    /// The cluster's data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A directory that the server may write, for tablespaces and server-side files.
    pub fn server_dir(&self, name: &str) -> PathBuf {
        let dir = self.dir.dir(name);
        parts::give_to_server_user(&dir);
        dir
    }

    /// What bkp needs to find this server, by TCP and password, and its client programs.
    pub fn env(&self) -> Vec<(String, String)> {
        let pairs = [
            ("POSTGRES_HOST", self.host().to_owned()),
            ("POSTGRES_PORT", self.port.to_string()),
            ("POSTGRES_USER", "postgres".to_owned()),
            ("POSTGRES_PASSWORD", PASSWORD.to_owned()),
            ("BKP_PG_BIN", parts::client_path()),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value)).to_vec()
    }

    /// Directory of one major's client programs, whatever this server's major is.
    pub fn client_bin(major: u32) -> PathBuf {
        parts::client_bin(major)
    }

    /// A client program of this server's major that connects by the socket as superuser.
    pub fn client(&self, name: &str) -> Command {
        self.client_of(self.options.major, name)
    }

    /// The same of another major, newer than the server.
    pub fn client_of(&self, major: u32, name: &str) -> Command {
        let mut command = parts::program(&parts::client_bin(major), name);
        command.env("PGHOST", self.socket_dir()).env("PGPORT", self.port.to_string()).env("PGUSER", "postgres");
        command
    }

    /// Runs a psql script (statements and meta-commands) and gives what it prints: unaligned, without headers.
    ///
    /// # Panics
    /// At the first statement that fails, with its error.
    pub fn psql(&self, database: &str, script: &str) -> String {
        self.try_psql(database, script).unwrap_or_else(|error| panic!("psql in {database:?}: {error}"))
    }

    /// The same; the error is what psql wrote on standard error.
    pub fn try_psql(&self, database: &str, script: &str) -> Result<String, String> {
        let ran = self.psql_bytes(database, script.as_bytes());
        if ran.success { Ok(ran.text()) } else { Err(ran.stderr) }
    }

    /// The same for scripts in any encoding, with everything that came back.
    pub fn psql_bytes(&self, database: &str, script: &[u8]) -> Ran {
        let mut psql = self.client("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", "-d", &conninfo(database)]);
        run(&mut psql, script)
    }

    /// A database's dump as bytes, by this server's own pg_dump.
    ///
    /// # Panics
    /// When pg_dump fails.
    pub fn pg_dump<const N: usize>(&self, database: &str, arguments: [&str; N]) -> Vec<u8> {
        let mut dump = self.client("pg_dump");
        let ran = run(dump.args(arguments).arg("-d").arg(conninfo(database)), b"");
        assert!(ran.success, "pg_dump of {database:?}: {}", ran.stderr);
        ran.stdout
    }

    /// The whole cluster's dump as bytes, by this server's own pg_dumpall.
    ///
    /// # Panics
    /// When pg_dumpall fails.
    pub fn pg_dumpall<const N: usize>(&self, arguments: [&str; N]) -> Vec<u8> {
        let ran = run(self.client("pg_dumpall").args(arguments), b"");
        assert!(ran.success, "pg_dumpall: {}", ran.stderr);
        ran.stdout
    }

    /// Roles, memberships, their settings and tablespaces as pg_dumpall writes them.
    pub fn globals(&self) -> Vec<u8> {
        self.pg_dumpall(["--globals-only"])
    }

    /// Names of all databases in the server's order of names, with those that nobody may connect to.
    pub fn databases(&self) -> Vec<String> {
        let names = self
            .psql("postgres", "SELECT encode(convert_to(datname, 'UTF8'), 'hex') FROM pg_database ORDER BY datname");
        names.lines().map(unhex).collect()
    }

    /// Adds a line to `postgresql.conf`; some take effect only at the next start.
    pub fn reconfigure(&self, line: &str) {
        let path: &Path = &self.dir.join("data/postgresql.conf");
        let mut conf = OpenOptions::new().append(true).open(path).expect("postgresql.conf");
        writeln!(conf, "{line}").expect("postgresql.conf");
        self.psql("postgres", "SELECT pg_reload_conf()");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            // Closing the pipe is what the death of the whole process does too: one way for both.
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

/// Where the data directory comes to be; under the usual name it is found in any case.
fn data_in(dir: &WorkDir, options: &Options) -> PathBuf {
    let usual = dir.join("data");
    let Some(elsewhere) = &options.data else { return usual };
    let data = elsewhere.join("data");
    symlink(&data, &usual).expect("a link");
    data
}

/// Whether the process is gone, or waits for its parent to take notice; false while there is no process id.
fn has_ended(pid: &str) -> bool {
    if pid.is_empty() {
        return false;
    }
    // The name in parentheses may hold anything; the state follows the last of them.
    let status = fs::read_to_string(format!("/proc/{pid}/stat"));
    status.map_or(true, |status| status.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

/// A database's name as libpq's `-d` takes any name: bare, one with `=` would be read as a connection string.
pub fn conninfo(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', r"\\").replace('\'', r"\'"))
}

/// Names may hold newlines, so psql gives them in hexadecimal.
pub fn unhex(digits: &str) -> String {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two hexadecimal digits");
    String::from_utf8((0..digits.len()).step_by(2).map(byte).collect()).expect("UTF-8")
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).expect("a free port").port()
}
