//! Real readers of metrics: Prometheus, its Pushgateway and the node exporter, as `tests/support/install-prometheus` fetched them.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::parts::cache;
use super::run::{Ran, run};
use super::wait::until;
use super::workdir::WorkDir;

/// One of the programs.
///
/// # Panics
/// When it is not installed, saying how to install it.
pub fn program(name: &str) -> PathBuf {
    let program = cache().join("prometheus").join(name);
    assert!(program.exists(), "no {}: run `make install-parts`", program.display());
    program
}

/// promtool, with something on its standard input.
pub fn promtool<const N: usize>(arguments: [&str; N], input: &[u8]) -> Ran {
    run(Command::new(program("promtool")).args(arguments), input)
}

/// A running server. Dropped, or when its test dies, it is killed.
pub struct Server {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Server {
    /// Starts a program that listens on a port of its own.
    fn start(name: &str, work: &WorkDir, arguments: &[String]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let log = work.join(&format!("{name}.log"));
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program(name)).args(arguments);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(File::create(&log).expect("a log")).spawn().expect("setpriv");
        let mut server = Self { child, port, log };
        until(name, || {
            assert!(server.child.try_wait().expect("wait").is_none(), "{name} ended: {}", server.log());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        server
    }

    /// A Pushgateway; its options besides the address.
    pub fn pushgateway(work: &WorkDir, arguments: &[String]) -> Self {
        Self::start("prometheus-pushgateway", work, arguments)
    }

    /// A node exporter that reads the `.prom` files of a directory and nothing else.
    pub fn node_exporter(work: &WorkDir, directory: &Path) -> Self {
        let directory = format!("--collector.textfile.directory={}", directory.display());
        let only = ["--collector.disable-defaults", "--collector.textfile"].map(str::to_owned);
        Self::start("prometheus-node-exporter", work, &[&only[..], &[directory]].concat())
    }

    /// A Prometheus that reads these every second, with the project's own rules for alerts.
    pub fn prometheus(work: &WorkDir, readable: &[(&str, &Server)]) -> Self {
        let jobs: String = readable
            .iter()
            .map(|(job, server)| {
                let target = format!("127.0.0.1:{}", server.port);
                format!(
                    "  - job_name: {job}\n    honor_labels: true\n    static_configs: [{{targets: ['{target}']}}]\n"
                )
            })
            .collect();
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/monitoring/alerts.yaml");
        let global = "global: {scrape_interval: 1s, evaluation_interval: 1s}";
        let config = format!("{global}\nrule_files: ['{rules}']\nscrape_configs:\n{jobs}");
        let config = work.file("prometheus.yaml", config);
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", work.join("tsdb").display()),
        ];
        Self::start("prometheus", work, &arguments)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What it answers to a GET.
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connected");
        write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }

    /// The values of an expression, by what Prometheus' own interface answers.
    pub fn query(&self, expression: &str) -> Vec<(Value, String)> {
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer: Value = serde_json::from_str(&self.get(&format!("/api/v1/query?query={escaped}"))).expect("JSON");
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let found = answer["data"]["result"].as_array().expect("a vector").clone();
        found
            .into_iter()
            .map(|one| (one["metric"].clone(), one["value"][1].as_str().unwrap_or_default().to_owned()))
            .collect()
    }

    /// Waits until an expression has exactly one value, which is this one.
    pub fn until_is(&self, expression: &str, value: &str) {
        until(
            &format!("{expression} to be {value}"),
            || matches!(self.query(expression).as_slice(), [(_, is)] if is == value),
        );
    }

    /// The names of the alerts that fire now.
    pub fn firing(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .query("ALERTS{alertstate=\"firing\"}")
            .iter()
            .map(|(labels, _)| labels["alertname"].as_str().unwrap_or_default().to_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
