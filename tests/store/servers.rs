//! Starts the stores that can be installed; each ends with its handle.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bkp::repository::bucket::options::{AzureOptions, S3Options, StoreOptions};
use bkp::settings::secret::Secret;

use serde_json::{Value, json};

use super::quick;
use crate::support::run::run_within;
use crate::support::workdir::WorkDir;

/// A server in a directory of its own.
pub struct Server {
    child: Child,
    pub options: StoreOptions,
    /// Where SeaweedFS shows its directories, and with them the uploads that nobody finished.
    filer: Option<u16>,
    _directory: WorkDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// The port of the store's own protocol.
    pub fn port(&self) -> u16 {
        let endpoint = self.options.s3.endpoint.as_deref().and_then(|url| url.rsplit(':').next());
        endpoint.and_then(|port| port.parse().ok()).expect("a port")
    }

    /// The account on Amazon's protocol, as variables of the environment.
    pub fn keys(&self) -> [(&'static str, &str); 2] {
        let s3 = &self.options.s3;
        [("AWS_ACCESS_KEY_ID", &s3.access_key), ("AWS_SECRET_ACCESS_KEY", &s3.secret_key)]
            .map(|(name, key)| (name, key.as_ref().map(|key| key.expose()).expect("a key")))
    }

    /// What SeaweedFS's uploads below a prefix are of that were begun and neither finished nor aborted.
    pub fn open_uploads(&self, below: &str) -> Vec<String> {
        let mut filer = TcpStream::connect(("127.0.0.1", self.filer.expect("a filer"))).expect("the filer answers");
        let asked = "GET /buckets/test-bucket/.uploads/?limit=1000 HTTP/1.0\r\nAccept: application/json\r\n\r\n";
        filer.write_all(asked.as_bytes()).expect("asked");
        let mut answer = String::new();
        filer.read_to_string(&mut answer).expect("an answer");
        if answer.starts_with("HTTP/1.0 404") {
            return Vec::new();
        }
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).expect("a body");
        let listed: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let key = |entry: &serde_json::Value| {
            let key = STANDARD.decode(entry["Extended"]["key"].as_str().expect("a key")).expect("base64");
            String::from_utf8_lossy(&key).into_owned()
        };
        let keys = listed["Entries"].as_array().into_iter().flatten().map(key);
        keys.filter(|key| key.trim_start_matches('/').starts_with(below)).collect()
    }
}

/// Paths of what `tests/support/install-stores` installed.
fn program(name: &str) -> PathBuf {
    static PROGRAMS: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/install-stores");
        let output = Command::new(script).stderr(Stdio::inherit()).output().expect("the script runs");
        assert!(output.status.success(), "the stores for the tests could not be installed");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, path)| (name.to_owned(), path.into()))
            .collect()
    });
    programs.get(name).unwrap_or_else(|| panic!("{name} is not installed")).clone()
}

/// A port that nobody listens on, whose neighbour for gRPC (10000 higher) is a port as well.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the server starts")
}

fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(90);
    while !ready() {
        assert!(Instant::now() < until, "{what} did not come up");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// fake-gcs-server, with the bucket `test-bucket`.
pub fn fake_gcs() -> Server {
    let directory = WorkDir::new();
    std::fs::create_dir(directory.path().join("test-bucket")).expect("a bucket");
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let child = spawn(
        Command::new(program("fake-gcs-server"))
            .args(["-scheme", "http", "-backend", "filesystem", "-host", "127.0.0.1", "-port", &port.to_string()])
            .args(["-external-url", &url, "-public-host", &url["http://".len()..], "-filesystem-root"])
            .arg(directory.path()),
    );
    let options = StoreOptions { gcs_endpoint: Some(url), ..quick() };
    let server = Server { child, options, filer: None, _directory: directory };
    wait_for("fake-gcs-server", || answers(port));
    server
}

/// SeaweedFS with its S3 gateway, with the bucket `test-bucket`.
pub fn seaweedfs() -> Server {
    seaweedfs_for(&[])
}

/// The same with accounts besides the one that may do everything: each has its name for both keys, and a policy in Amazon's words.
pub fn seaweedfs_for(accounts: &[(&str, String)]) -> Server {
    let directory = WorkDir::new();
    let [master, volume, filer, s3] = [free_port(), free_port(), free_port(), free_port()];
    let identities = directory.path().join("s3.json");
    let keys = |access: &str, secret: &str| json!([{"accessKey": access, "secretKey": secret}]);
    let all = ["Admin", "Read", "Write", "List", "Tagging"];
    let owner = json!({"name": "t", "credentials": keys("KEY", "SECRET"), "actions": all});
    let others =
        accounts.iter().map(|(name, _)| json!({"name": name, "credentials": keys(name, name), "policyNames": [name]}));
    let known: Vec<Value> = [owner].into_iter().chain(others).collect();
    let policies: Vec<Value> = accounts.iter().map(|(name, policy)| json!({"name": name, "content": policy})).collect();
    let configuration = json!({"identities": known, "policies": policies});
    std::fs::write(&identities, configuration.to_string()).expect("written");
    let weed = program("weed");
    let child = spawn(
        Command::new(&weed)
            .arg("server")
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-filer", "-volume.max=80"])
            .args([format!("-master.port={master}"), format!("-volume.port={volume}"), format!("-filer.port={filer}")])
            .args([format!("-s3.port={s3}"), format!("-s3.config={}", identities.display())])
            // Their ports are the same in every server, and one that is taken ends it.
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args(["-master.volumeSizeLimitMB=64", "-volume.fileSizeLimitMB=64"])
            .arg(format!("-dir={}", directory.path().display())),
    );
    let options = StoreOptions {
        s3: S3Options {
            access_key: Some(Secret::new("KEY".to_owned())),
            secret_key: Some(Secret::new("SECRET".to_owned())),
            endpoint: Some(format!("http://127.0.0.1:{s3}")),
            ..S3Options::default()
        },
        ..quick()
    };
    let server = Server { child, options, filer: Some(filer), _directory: directory };
    wait_for("SeaweedFS", || answers(s3) && answers(filer));
    wait_for("SeaweedFS's shell", || {
        // It waits without end for a server that it once found missing: asked again, it finds it.
        let mut shell = Command::new(&weed);
        shell.args(["shell", "-master", &format!("127.0.0.1:{master}"), "-filer", &format!("127.0.0.1:{filer}")]);
        let asked = b"s3.bucket.create -name test-bucket\ns3.bucket.list\n";
        let Some(output) = run_within(&mut shell, asked, Duration::from_secs(15)) else { return false };
        String::from_utf8_lossy(&output.stdout).contains("test-bucket\t")
    });
    server
}

/// The account that every Azurite has; its key is public.
const AZURITE_ACCOUNT: &str = "devstoreaccount1";
const AZURITE_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Makes a container; bkp never does, so it takes a signed request by hand.
const MAKE_CONTAINER: &str = r#"
import base64, hashlib, hmac, sys, time, urllib.request
from email.utils import formatdate
base, account, key, container = sys.argv[1:]
date = formatdate(usegmt=True)
sign = f"PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:2021-08-06\n/{account}/{account}/{container}\nrestype:container"
mac = base64.b64encode(hmac.new(base64.b64decode(key), sign.encode(), hashlib.sha256).digest()).decode()
request = urllib.request.Request(f"{base}/{account}/{container}?restype=container", method="PUT", headers={
    "x-ms-date": date, "x-ms-version": "2021-08-06", "Authorization": f"SharedKey {account}:{mac}"})
print(urllib.request.urlopen(request).status)
"#;

/// Azurite, with the container `test-bucket`.
pub fn azurite() -> Server {
    let directory = WorkDir::new();
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let child = spawn(
        Command::new(program("azurite-blob"))
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .args(["--skipApiVersionCheck", "--disableTelemetry", "--silent", "--location"])
            .arg(directory.path()),
    );
    let options = StoreOptions {
        azure: AzureOptions {
            account: Some(AZURITE_ACCOUNT.to_owned()),
            key: Some(Secret::new(AZURITE_KEY.to_owned())),
            endpoint: Some(format!("{url}/{AZURITE_ACCOUNT}")),
            sas: None,
        },
        ..quick()
    };
    let server = Server { child, options, filer: None, _directory: directory };
    wait_for("Azurite", || answers(port));
    let made = Command::new(program("python"))
        .args(["-c", MAKE_CONTAINER, &url, AZURITE_ACCOUNT, AZURITE_KEY, "test-bucket"])
        .output()
        .expect("python runs");
    assert!(made.status.success(), "no container: {}", String::from_utf8_lossy(&made.stderr));
    server
}
