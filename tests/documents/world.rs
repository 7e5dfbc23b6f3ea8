//! The world that the documents speak of: a server at `postgresql-service:5432`, the shop's database and files, a directory for
//! backups, secrets in files, and a shell with bkp, psql, pg_restore and restic.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;

use crate::support::bkp::{Bkp, Output};
use crate::support::cluster::{Cluster, PASSWORD};
use crate::support::fixtures;
use crate::support::pod::Pod;
use crate::support::workdir::WorkDir;

/// Where the documents' server is.
const SERVICE: &str = "postgresql-service";

/// What protects the restic repository until a page changes it.
const RESTIC_PASSWORD: &str = "words that open the repository";

/// The settings that a page begins with where it does not give them itself.
const SETTINGS: [(&str, &str); 8] = [
    ("POSTGRES_HOST", "postgresql-service:5432"),
    ("POSTGRES_USER", "postgres"),
    ("POSTGRES_PASSWORD_FILE", "/var/run/secrets/postgres/password"),
    ("BKP_APP", "shop"),
    ("BKP_BUCKET", "file:///var/backups/bkp"),
    ("RESTIC_REPOSITORY", "/var/backups/restic"),
    ("RESTIC_PASSWORD_FILE", "/var/run/secrets/restic-password"),
    ("BKP_FILES", "/var/www/shop"),
];

/// The world of one page.
pub struct World {
    pub cluster: Cluster,
    pub work: WorkDir,
    pod: Pod,
    service: Service,
}

impl World {
    /// The shop as it is before anything was ever saved; no settings.
    pub fn bare() -> Self {
        let (cluster, work) = (Cluster::start(17), WorkDir::new());
        fixtures::shop(&cluster);
        work.file("secrets/postgres/password", format!("{PASSWORD}\n"));
        work.file("secrets/restic-password", format!("{RESTIC_PASSWORD}\n"));
        for (name, content) in [("config/app.php", "a setting"), ("data/alice/photo.jpg", "a photo")] {
            work.file(&format!("www/shop/{name}"), content);
        }
        let service = Service::to(&cluster);
        let path = format!("/usr/local/bin:{}:/usr/bin:/bin:/usr/sbin:/sbin", Cluster::client_bin(17).display());
        let pod = Pod::bare()
            .volume(&work.join("secrets"), "/var/run/secrets")
            .volume(&work.dir("backups"), "/var/backups")
            .volume(&work.join("www"), "/var/www")
            .volume(&work.dir("bkp"), "/var/run/bkp")
            .volume(&work.dir("collector"), "/var/run/node_exporter")
            .service_at(SERVICE, service.address)
            .env("BKP_STATE_DIR", "/var/run/bkp")
            .env("RESTIC_CACHE_DIR", "/var/run/bkp/cache")
            .env("PATH", path);
        Self { cluster, work, pod, service }
    }

    /// The same with settings, stores and a first backup.
    pub fn saved() -> Self {
        let mut world = Self::bare();
        for (name, value) in SETTINGS {
            world.set(name, value);
        }
        world.shell("bkp init && bkp backup").ok();
        world
    }

    /// A variable of every shell from here on.
    pub fn set(&mut self, name: &str, value: &str) {
        let pod = std::mem::replace(&mut self.pod, Pod::bare());
        self.pod = pod.env(name, value);
    }

    /// A shell with these commands that stops at the first one that fails.
    pub fn begin(&self, commands: &str) -> Bkp {
        self.pod.call("bash", ["-euo", "pipefail", "-c", commands])
    }

    /// The same, run to its end.
    pub fn shell(&self, commands: &str) -> Output {
        self.begin(commands).run()
    }

    /// bkp alone, as the process that a signal is sent to.
    pub fn bkp<const N: usize>(&self, arguments: [&str; N]) -> Bkp {
        self.pod.call("bkp", arguments)
    }

    /// A password file as libpq takes it, which refuses one that others may read.
    pub fn pgpass(&self) {
        let escaped = PASSWORD.replace('\\', r"\\").replace(':', r"\:");
        let path = self.work.file("secrets/postgres/pgpass", format!("*:*:*:*:{escaped}\n"));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    }

    /// Statements for the shop's database.
    pub fn sql(&self, statements: &str) -> String {
        self.cluster.psql("shop", statements)
    }

    /// Orders of the shop.
    pub fn orders(&self) -> String {
        self.sql("SELECT count(*) FROM orders")
    }

    /// The content of a file of the shop; nothing when it is not there.
    pub fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.work.join("www/shop").join(name)).ok()
    }

    /// The server is lost with everything on it, and the files too; another one answers at its address.
    pub fn lose_everything(&mut self) {
        self.cluster = Cluster::start(17);
        self.service.port.store(self.cluster.port(), Ordering::SeqCst);
        let files = self.work.join("www/shop");
        std::fs::remove_dir_all(&files).and_then(|()| std::fs::create_dir(&files)).expect("an empty directory");
    }
}

/// An address with PostgreSQL's own port that leads to a server of the test. It ends when this is dropped.
struct Service {
    address: Ipv4Addr,
    port: Arc<AtomicU16>,
    stop: Arc<AtomicBool>,
}

impl Service {
    fn to(cluster: &Cluster) -> Self {
        // Each test has a loopback address of its own, since all want the same port.
        let taken = cluster.port();
        let addresses = (1..=250).map(|last| Ipv4Addr::new(127, (taken >> 8) as u8, (taken & 0xff) as u8, last));
        let bound = addresses.filter_map(|address| Some((TcpListener::bind((address, 5432)).ok()?, address))).next();
        let (listener, address) = bound.expect("a loopback address whose port 5432 is free");
        let (port, stop) = (Arc::new(AtomicU16::new(taken)), Arc::new(AtomicBool::new(false)));
        let (to, stopped) = (Arc::clone(&port), Arc::clone(&stop));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(server) = TcpStream::connect(("127.0.0.1", to.load(Ordering::SeqCst))) {
                    join(&client, &server);
                }
            }
        });
        Self { address, port, stop }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((self.address, 5432));
    }
}

/// Carries bytes in both directions until both ends are done.
fn join(client: &TcpStream, server: &TcpStream) {
    for (from, to) in [(client, server), (server, client)] {
        let (mut from, mut to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
        thread::spawn(move || {
            // A side that is gone is what the other side then sees.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}
