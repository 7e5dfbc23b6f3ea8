//! No secret in what anybody else can read while bkp works and after: arguments and environments of all that it starts, files, bodies.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::items::App;
use crate::support::bkp::{Bkp, Output, Running};
use crate::support::receiver::{Manner, Receiver};

const LOGIN: &str = "c4n4ry-login";
const RESTIC: &str = "c4n4ry-restic";
const RESTIC_NEXT: &str = "c4n4ry-restic-next";
const STORE: &str = "c4n4ry-store";
const TOKEN: &str = "c4n4ry-token";
const PUSH: &str = "c4n4ry-push";

/// What was seen of a process: its name, its arguments, its environment, and its limit of core files.
type Seen = BTreeMap<u32, (String, String, String, String)>;

/// Looks at all that a run starts, as often as it can.
struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Sampler {
    fn on(root: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let over = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::new();
            while !over.load(Ordering::SeqCst) {
                look(root, &mut seen);
                std::thread::sleep(Duration::from_micros(500));
            }
            seen
        });
        Self { stop, thread }
    }

    fn seen(self) -> Seen {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the sampler")
    }
}

fn look(process: u32, seen: &mut Seen) {
    let read = |what: &str| {
        let bytes = fs::read(format!("/proc/{process}/{what}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', "\n")
    };
    let (name, arguments, environment) = (read("comm"), read("cmdline"), read("environ"));
    let limits = read("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default().to_owned();
    // The last look is the one that counts.
    if !arguments.is_empty() && !environment.is_empty() {
        seen.insert(process, (name.trim().to_owned(), arguments, environment, core));
    }
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return };
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            look(child, seen);
        }
    }
}

/// bkp with a canary in every setting that holds a secret, as talkative as it can be.
fn with_canaries(app: &App, receiver: &Receiver, log: &str) -> Bkp {
    let url = |token: &str| receiver.url(token);
    app.bkp([])
        .env("POSTGRES_USER", "canary")
        .env("POSTGRES_PASSWORD", LOGIN)
        .env("RESTIC_PASSWORD_FILE", app.work.join("canary"))
        .env("RESTIC_NEW_PASSWORD_FILE", app.work.join("next"))
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", STORE)
        .env("AWS_SESSION_TOKEN", STORE)
        .env("AZURE_STORAGE_ACCOUNT", "account")
        .env("AZURE_STORAGE_KEY", "YzRuNHJ5LXN0b3Jl")
        .env("BKP_HEARTBEAT_URL", url(TOKEN))
        .env("BKP_DRILL_HEARTBEAT_URL", url(TOKEN))
        .env("BKP_PUSHGATEWAY_URL", url("metrics").replace("://", &format!("://user:{PUSH}@")))
        .env("BKP_METRICS_FILE", app.work.dir("told").join("bkp.prom"))
        .env("BKP_BUCKET", format!("file://{}", app.work.join("bucket").display()))
        .env("TMPDIR", app.work.dir("temporary"))
        .env("RUST_LOG", "trace")
        .env("BKP_LOG", log)
}

/// Which secrets may be in the environment of who was started so: the client programs here are scripts around the real ones.
fn allowed(arguments: &str) -> &'static [&'static str] {
    match ["psql", "pg_dump"].iter().any(|client| arguments.contains(client)) {
        true => &[LOGIN],
        false => &[],
    }
}

#[track_caller]
fn holds_none(what: &str, text: &str, except: &[&str]) {
    for secret in [LOGIN, RESTIC, RESTIC_NEXT, STORE, TOKEN, PUSH, "YzRuNHJ5LXN0b3Jl"] {
        if let Some(at) = text.find(secret).filter(|_| !except.contains(&secret)) {
            let from = text[..at].rfind('\n').map_or(0, |line| line + 1);
            panic!("{secret} in {what}: {}", text[from..].lines().next().unwrap_or_default());
        }
    }
}

fn watched(run: Running) -> (Output, Seen) {
    let (root, sampler) = (run.pid(), Sampler::on(run.pid()));
    let out = run.wait();
    let mut seen = sampler.seen();
    let ours = seen.remove(&root).map(|(_, arguments, ..)| arguments);
    // Between fork and exec a child is a copy of us.
    seen.retain(|_, (_, arguments, ..)| Some(&*arguments) != ours.as_ref());
    (out, seen)
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn no_secret_is_where_others_can_read_it() {
    let app = App::open();
    app.cluster.psql("postgres", &format!("CREATE ROLE canary SUPERUSER LOGIN PASSWORD '{LOGIN}'"));
    let receiver = Receiver::start(Manner::Answers(200));
    app.work.file("canary", format!("{RESTIC}\n"));
    let mut all = Seen::new();
    let mut run = |log: &str, arguments: &[&str], change: &dyn Fn(Bkp) -> Bkp| {
        let (out, seen) = watched(change(with_canaries(&app, &receiver, log)).args(arguments).spawn());
        holds_none(&format!("what {arguments:?} says"), &format!("{}\n{}", out.stdout, out.stderr), &[]);
        for (name, given, environment, core) in seen.values() {
            holds_none(&format!("the arguments of {name}"), given, &[]);
            holds_none(&format!("the environment of {name}, started by {arguments:?}"), environment, allowed(given));
            // It may be gone by then.
            assert!(
                core.is_empty() || core.split_whitespace().nth(4) == Some("1"),
                "{name} may leave a core file: {core}"
            );
        }
        all.extend(seen);
        out
    };
    let as_is = |bkp: Bkp| bkp;
    let evidence = app.work.join("told/evidence.json");
    let evidence = evidence.to_str().expect("UTF-8");
    for (log, arguments) in [
        ("text", &["init"][..]),
        ("json", &["backup"]),
        ("text", &["backup", "--json"]),
        ("text", &["list"]),
        ("json", &["check", "--read-data"]),
        ("text", &["restore", "--dry-run"]),
        ("text", &["restore", "--yes"]),
        ("text", &["restore", "--undo", "--yes"]),
        ("text", &["drill", "--evidence", evidence]),
        ("text", &["forget"]),
        ("text", &["resume"]),
        ("text", &["doctor"]),
    ] {
        let out = run(log, arguments, &as_is);
        assert!(out.code == 0 || arguments == ["doctor"], "{arguments:?}: {out:?}");
    }
    // And where it fails.
    run("text", &["backup"], &|bkp| bkp.env("POSTGRES_PASSWORD", "c4n4ry-login-wrong")).fails_with(12);
    let empty = run("text", &["backup"], &|bkp| bkp.env("RESTIC_PASSWORD_FILE", "/dev/null"));
    assert_ne!(empty.code, 0, "{empty:?}");
    run("json", &["backup"], &|bkp| {
        bkp.env("BKP_PUSHGATEWAY_URL", format!("http://user:{PUSH}@127.0.0.1:1/"))
            .env("BKP_HEARTBEAT_URL", format!("http://127.0.0.1:1/{TOKEN}"))
    });
    app.work.file("next", format!("{RESTIC_NEXT}\n"));
    run("text", &["change-password"], &as_is).ok();

    let programs: Vec<&str> = all.values().map(|(name, ..)| name.as_str()).collect();
    for program in ["pg_dump", "psql", "restic"] {
        assert!(programs.contains(&program), "{program} was not seen: {programs:?}");
    }
    for call in receiver.calls() {
        holds_none("a body", &format!("{} {}", call.query, call.body), &[]);
    }
    let places = ["told", "state", "bucket", "temporary", "cache", "repository"].map(|name| app.work.join(name));
    for path in places.iter().flat_map(|place| files_below(place)) {
        let bytes = fs::read(&path).expect("a file");
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if path.extension().is_some_and(|ending| ending == "gz") {
            text = String::from_utf8_lossy(&crate::job::gunzip(&bytes)).into_owned();
        }
        holds_none(&path.display().to_string(), &text, &[]);
    }
    assert_eq!(files_below(&app.work.join("temporary")), Vec::<PathBuf>::new());
}
