//! restic's own protocol, served with everything allowed, and to add alone.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::authority;
use super::parts::cache;
use super::wait::until;
use super::workdir::WorkDir;

/// Whoever is let in.
pub const USER: &str = "joe";
/// With a letter that an address writes in hexadecimal digits.
pub const PASSWORD: &str = "hunter@2";
/// The same for a file of passwords.
const KNOWN: &str = "joe:{SHA}drozmWRjdy+Gei/j+zMrFt4ADJ4=\n";

/// Who serves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// rclone, without TLS.
    Rclone,
    /// restic's own server, with TLS by the authority in [`Rest::authority`].
    RestServer,
}

/// What a server lets be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum May {
    Everything,
    Add,
}

/// A server of repositories below a directory. Dropped, or when its test dies, it is killed.
pub struct Rest {
    child: Child,
    scheme: &'static str,
    port: u16,
    work: WorkDir,
}

impl Rest {
    /// Serves what is below the directory, with files of its own in another.
    ///
    /// # Panics
    /// When it is not installed, saying how to install it.
    pub fn serve(by: By, directory: &Path, may: May) -> Self {
        let work = WorkDir::new();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let (name, scheme) = match by {
            By::Rclone => ("rclone", "http"),
            By::RestServer => ("restic-rest-server", "https"),
        };
        let program = cache().join("rest-servers").join(name);
        assert!(program.exists(), "no {}: run `make install-parts`", program.display());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program).current_dir(work.path());
        match by {
            By::Rclone => {
                command.args([
                    "serve",
                    "restic",
                    "--config",
                    "/dev/null",
                    "--addr",
                    &format!("127.0.0.1:{port}"),
                    "-vv",
                ]);
                command.arg(directory).env("RCLONE_USER", USER).env("RCLONE_PASS", PASSWORD);
            }
            By::RestServer => {
                authority::certificate(work.path(), "IP:127.0.0.1");
                work.file("passwords", KNOWN);
                command.args(["--htpasswd-file", "passwords", "--listen", &format!("127.0.0.1:{port}"), "--log", "-"]);
                command.args(["--tls", "--tls-cert", "leaf.pem", "--tls-key", "leaf.key", "--path"]).arg(directory);
            }
        }
        if may == May::Add {
            command.arg("--append-only");
        }
        let log = File::create(work.join("log")).expect("a log");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let mut server = Self { child: command.spawn().expect("setpriv"), scheme, port, work };
        until(name, || {
            assert!(server.child.try_wait().expect("wait").is_none(), "{name} ended: {}", server.log());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        server
    }

    /// The address of a repository there, with user and password in it.
    pub fn address(&self, name: &str) -> String {
        format!("rest:{}://{USER}:{}@127.0.0.1:{}/{name}", self.scheme, PASSWORD.replace('@', "%40"), self.port)
    }

    /// The same without them.
    pub fn open_address(&self, name: &str) -> String {
        format!("rest:{}://127.0.0.1:{}/{name}", self.scheme, self.port)
    }

    /// Who signed the server's certificate, where it has one.
    pub fn authority(&self) -> Option<PathBuf> {
        Some(self.work.join("ca.pem")).filter(|file| file.exists())
    }

    /// What it has said: each request is in it.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.work.join("log")).unwrap_or_default()
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
