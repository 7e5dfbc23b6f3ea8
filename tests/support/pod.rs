//! bkp as a manifest of the field starts it: an image's settings, the manifest's environment, volumes and secrets at their real
//! absolute paths, an old name as the command, and another host name at each start.

use std::cell::Cell;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::bkp::Bkp;
use super::cluster::Cluster;
use super::workdir::WorkDir;
use super::{parts, quick};

/// Where manifests mount the secret.
const SECRETS: &str = "/var/run/secrets/backup-secrets";

/// A pod's template: each call is a new pod. Its restic makes keys that are quickly tried.
pub struct Pod {
    work: WorkDir,
    environment: Vec<(String, String)>,
    volumes: Vec<(PathBuf, String, &'static str)>,
    hosts: String,
    machine: Option<String>,
    starts: Cell<u32>,
}

impl Pod {
    /// A pod of an image in `images/`, with the ENV lines that are there.
    pub fn of(image: &str) -> Self {
        let mut pod = Self::bare();
        pod.environment = image_env(image);
        pod
    }

    /// A machine without an image: the environment is what the test says.
    pub fn bare() -> Self {
        let (work, hosts) = (WorkDir::new(), "127.0.0.1 localhost\n".to_owned());
        work.dir("secrets");
        let secrets = (work.join("secrets"), SECRETS.to_owned(), "ro");
        Self { work, environment: Vec::new(), volumes: vec![secrets], hosts, machine: None, starts: Cell::new(0) }
    }

    /// No pod but a machine, which has the same name at each start.
    #[must_use]
    pub fn on(mut self, machine: &str) -> Self {
        self.machine = Some(machine.to_owned());
        self
    }

    /// A variable of the manifest; it wins over the image's.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl Into<String>) -> Self {
        self.environment.retain(|(name, _)| name != key);
        self.environment.push((key.to_owned(), value.into()));
        self
    }

    /// A key of the secret; gives the variable the path of its file.
    #[must_use]
    pub fn secret_file(self, variable: &str, key: &str, value: &str) -> Self {
        self.add_secret(key, value);
        self.env(variable, format!("{SECRETS}/{key}"))
    }

    /// Another key of the secret, by its name alone.
    pub fn add_secret(&self, key: &str, value: &str) {
        self.work.file(&format!("secrets/{key}"), format!("{value}\n"));
    }

    /// A directory or file of the test at an absolute path of the pod.
    #[must_use]
    pub fn volume(mut self, source: &Path, target: &str) -> Self {
        self.volumes.push((source.to_owned(), target.to_owned(), "rw"));
        self
    }

    /// The same, read-only.
    #[must_use]
    pub fn read_only(mut self, source: &Path, target: &str) -> Self {
        self.volumes.push((source.to_owned(), target.to_owned(), "ro"));
        self
    }

    /// The server's client programs, and a service name that leads to it.
    #[must_use]
    pub fn service(self, name: &str) -> Self {
        self.service_at(name, Ipv4Addr::LOCALHOST)
    }

    /// The same at another address of this machine.
    #[must_use]
    pub fn service_at(mut self, name: &str, address: Ipv4Addr) -> Self {
        self.hosts.push_str(&format!("{address} {name}\n"));
        self.env("BKP_PG_BIN", parts::client_path())
    }

    /// Starts a pod with this command.
    pub fn call<const N: usize>(&self, command: &str, arguments: [&str; N]) -> Bkp {
        self.start("0.18", command, arguments)
    }

    /// What a script of before did: commands of a shell that finds restic (0.14 or 0.18) and a server's client programs.
    pub fn script(&self, restic: &str, cluster: Option<&Cluster>, script: &str) -> Bkp {
        let bin = cluster
            .map(|cluster| Cluster::client_bin(cluster.major()).display().to_string())
            .unwrap_or_else(|| "/usr/bin".to_owned());
        let bkp = self.start(restic, "sh", ["-euc", script]);
        bkp.env("PATH", format!("/usr/local/bin:{bin}:/usr/bin:/bin:/usr/sbin:/sbin"))
    }

    fn start<const N: usize>(&self, restic: &str, command: &str, arguments: [&str; N]) -> Bkp {
        let restic = quick::restic_of(&self.work, restic);
        let start = self.starts.get() + 1;
        self.starts.set(start);
        let hosts = self.work.file("hosts", &self.hosts);
        let mut volumes = format!("{} /etc/hosts ro\n", hosts.display());
        for (source, target, how) in &self.volumes {
            volumes.push_str(&format!("{} {target} {how}\n", source.display()));
        }
        let volumes = self.work.file(&format!("volumes-{start}"), volumes);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/pod.sh");
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--uts"]).args((!parts::root()).then_some("--map-root-user"));
        unshare.arg("sh").arg(script).arg(self.work.dir(&format!("root-{start}")));
        let pod = || format!("backup-restore-{start:x}{:05x}", std::process::id());
        unshare.arg(self.machine.clone().unwrap_or_else(pod));
        unshare.args([Path::new(env!("CARGO_BIN_EXE_bkp")), &restic, &volumes]);
        let mut bkp = Bkp::by(unshare).env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        for (key, value) in &self.environment {
            bkp = bkp.env(key, value);
        }
        bkp.args([command]).args(arguments)
    }
}

/// The ENV lines of an image, as the container gets them.
///
/// # Panics
/// When a line would mean something else to a builder than to this.
pub fn image_env(image: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("images").join(image).join("Dockerfile");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter_map(|line| line.strip_prefix("ENV "));
    lines
        .map(|line| {
            let (name, quoted) = line.split_once('=').unwrap_or_else(|| panic!("{image}: {line}"));
            let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            (name.to_owned(), unescaped(inside.unwrap_or_else(|| panic!("{image}: not in quotes: {line}"))))
        })
        .collect()
}

fn unescaped(quoted: &str) -> String {
    let (mut value, mut characters) = (String::new(), quoted.chars());
    while let Some(character) = characters.next() {
        match character {
            '\\' => value.extend(characters.next()),
            '$' | '"' => panic!("a builder reads {character} in {quoted}"),
            other => value.push(other),
        }
    }
    value
}
