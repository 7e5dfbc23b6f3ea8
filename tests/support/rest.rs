//! restic's own protocol, served by rclone: with everything allowed, and to add alone.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::parts::cache;
use super::wait::until;
use super::workdir::WorkDir;

/// Whoever is let in.
pub const USER: &str = "joe";
/// With a letter that an address writes in hexadecimal digits.
pub const PASSWORD: &str = "hunter@2";

/// A server of repositories below a directory. Dropped, or when its test dies, it is killed.
pub struct Rest {
    child: Child,
    port: u16,
    log: PathBuf,
}

/// What a server lets be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum May {
    Everything,
    Add,
}

impl Rest {
    /// Serves what is below a directory, with its log in `work`.
    pub fn serve(directory: &Path, work: &WorkDir, may: May) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let log = work.join(&format!("rest-{port}.log"));
        let program = cache().join("rclone/rclone");
        assert!(program.exists(), "no {}: run `make install-parts`", program.display());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program).args(["serve", "restic"]).arg(directory);
        command.args(["--config", "/dev/null", "--addr", &format!("127.0.0.1:{port}"), "-vv"]);
        if may == May::Add {
            command.arg("--append-only");
        }
        command.env("RCLONE_USER", USER).env("RCLONE_PASS", PASSWORD).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(File::create(&log).expect("a log")).spawn().expect("setpriv");
        let mut server = Self { child, port, log };
        until("rclone", || {
            assert!(server.child.try_wait().expect("wait").is_none(), "rclone ended: {}", server.log());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        server
    }

    /// The address of a repository there, with user and password in it.
    pub fn address(&self, name: &str) -> String {
        format!("rest:http://{USER}:{}@127.0.0.1:{}/{name}", PASSWORD.replace('@', "%40"), self.port)
    }

    /// The same without them.
    pub fn open_address(&self, name: &str) -> String {
        format!("rest:http://127.0.0.1:{}/{name}", self.port)
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
