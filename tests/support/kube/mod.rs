//! A stand-in for the Kubernetes API that commits faults: TLS with an authority of its own, bearer tokens, versions that conflict, pods
//! that take a while to go. What it says has the form of the real one's answers. The real one is where nothing has to go wrong on purpose.

mod objects;

use std::collections::VecDeque;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use self::objects::Objects;
use super::authority::certificate;
use super::gcs::server::accept;
use super::wait::until;
use super::workdir::WorkDir;

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing is done; the answer is this status, with these words.
    Status(u16, &'static str),
    /// Nothing is done, and the connection is closed without an answer.
    Cut,
    /// All is done, but the answer is lost.
    LostReply,
    /// The object changes just before the request arrives.
    Changed,
    /// It arrives so much later.
    Late(Duration),
    /// The token is replaced just before it arrives.
    Rotated,
    /// Nothing is done, and no answer comes, ever; the connection stays.
    Unanswered,
}

/// Says of a request to this object, or to pods, what goes wrong with it.
type Meet = dyn Fn(Op, &str) -> Option<Fault> + Send + Sync;

/// How the faults' requests are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Of an object.
    Get,
    /// Of an object.
    Patch,
    /// Of an object, without doing it; whatever forbids the one forbids the other.
    Rehearse,
    /// Of pods.
    List,
}

/// A running stand-in. Dropped, it ends; a fault that nobody met fails the test.
pub struct Kube {
    work: WorkDir,
    port: u16,
    state: Arc<Mutex<State>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct State {
    objects: Objects,
    token: String,
    token_file: std::path::PathBuf,
    faults: VecDeque<(Op, Fault)>,
    refused: Option<Op>,
    seen: Vec<String>,
    late: usize,
    meet: Option<Arc<Meet>>,
}

impl Kube {
    /// One whose namespace `shop` has deployment/web with 3 replicas and statefulset/queue with 2.
    pub fn start() -> Self {
        let work = WorkDir::new();
        let account = work.dir("account");
        let acceptor = TlsAcceptor::from(Arc::new(certificate(&account, "IP:127.0.0.1,IP:::1")));
        std::fs::rename(account.join("ca.pem"), account.join("ca.crt")).expect("renamed");
        work.file("account/namespace", "shop");
        let token_file = work.file("account/token", "token-1\n");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State {
            objects: Objects::new(),
            token: "token-1".to_owned(),
            token_file,
            faults: VecDeque::new(),
            refused: None,
            seen: Vec::new(),
            late: 0,
            meet: None,
        }));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let shared = state.clone();
        let thread = std::thread::spawn(move || {
            accept(listener, stopped, move |stream| {
                let (acceptor, state) = (acceptor.clone(), shared.clone());
                async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| serve(state.clone(), request));
                    let http = hyper::server::conn::http1::Builder::new();
                    // An error here is a fault that was asked for, or a client that went away.
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                }
            });
        });
        Self { work, port, state, stop: Some(stop), thread: Some(thread) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the service account.
    pub fn account(&self) -> std::path::PathBuf {
        self.work.join("account")
    }

    /// The next request of this kind that has no fault yet meets it; those of one kind in the order of the calls.
    pub fn fault(&self, op: Op, fault: Fault) {
        self.state().faults.push_back((op, fault));
    }

    /// Each request is asked what goes wrong with it, unless a fault of its kind waits.
    pub fn meet(&self, meet: impl Fn(Op, &str) -> Option<Fault> + Send + Sync + 'static) {
        self.state().meet = Some(Arc::new(meet));
    }

    /// Everything of this kind is forbidden from now on.
    pub fn forbid(&self, op: Op) {
        self.state().refused = Some(op);
    }

    /// Nothing is forbidden any more.
    pub fn allow(&self) {
        self.state().refused = None;
    }

    /// How many replicas an object has, and what its annotation says.
    pub fn object(&self, name: &str) -> (u64, Option<Value>) {
        self.state().objects.seen(name)
    }

    /// What an operator or another tool does.
    pub fn scale(&self, name: &str, replicas: u64, manager: &str) {
        self.state().objects.scale(name, replicas, manager);
    }

    /// What a tool does that wants no annotations but its own.
    pub fn take_note(&self, name: &str) {
        self.state().objects.take_note(name);
    }

    /// What a person does who edits the note by hand.
    pub fn spoil_note(&self, name: &str) {
        self.state().objects.spoil_note(name);
    }

    /// Whoever scales this to zero finds it scaled to so many again by another tool, so many times.
    pub fn scaled_again(&self, name: &str, replicas: u64, times: u32) {
        self.state().objects.again = Some((name.to_owned(), replicas, times));
    }

    /// Pods go after so many times that somebody has looked; two, if nothing is said.
    pub fn pods_stay(&self, looks: u32) {
        self.state().objects.looks = looks;
    }

    /// Every request that came: `PATCH web`.
    pub fn seen(&self) -> Vec<String> {
        self.state().seen.clone()
    }

    /// Waits until what was to arrive late has arrived.
    pub fn until_idle(&self) {
        until("a late request arrives", || self.state().late == 0);
    }

    /// How many pods there are.
    pub fn pods(&self) -> usize {
        self.state().objects.pods()
    }

    /// Another certificate authority than its own is what clients find.
    pub fn account_of_another_cluster(&self) {
        let other = self.work.dir("other");
        certificate(&other, "IP:127.0.0.1");
        std::fs::rename(other.join("ca.pem"), self.account().join("ca.crt")).expect("renamed");
    }
}

impl Drop for Kube {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if !std::thread::panicking() {
            let left = &self.state().faults;
            assert!(left.is_empty(), "faults that nobody met: {left:?}");
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A refusal as the API words it.
fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code}),
    )
}

async fn serve(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let token = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = token.trim_start_matches("Bearer ").to_owned();
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let op = match request.method().as_str() {
        "PATCH" if query.contains("dryRun=All") => Op::Rehearse,
        "PATCH" => Op::Patch,
        _ if name == "pods" => Op::List,
        _ => Op::Get,
    };
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let (fault, meet) = {
        let mut state = lock(&state);
        state.seen.push(format!("{op:?} {name}"));
        let found = state.faults.iter().position(|(of, _)| *of == op);
        (found.and_then(|at| state.faults.remove(at)).map(|(_, fault)| fault), state.meet.clone())
    };
    let fault = fault.or_else(|| meet.and_then(|meet| meet(op, &name)));
    match &fault {
        Some(Fault::Cut) => return Err(Cut),
        Some(Fault::Unanswered) => std::future::pending().await,
        Some(Fault::Late(late)) => {
            lock(&state).late += 1;
            let (state, late) = (state.clone(), *late);
            // As with the real one, a request that came is done, even if nobody waits for the answer any more.
            let done = tokio::spawn(async move {
                tokio::time::sleep(late).await;
                let mut state = lock(&state);
                state.late -= 1;
                state.answer(op, &path, &query, &token, &body, None)
            });
            return done.await.map(|(code, said)| response(code, &said)).map_err(|_| Cut);
        }
        _ => {}
    }
    let (code, said) = lock(&state).answer(op, &path, &query, &token, &body, fault.as_ref());
    if matches!(fault, Some(Fault::LostReply)) {
        return Err(Cut);
    }
    Ok(response(code, &said))
}

fn response(code: u16, said: &Value) -> Response<Full<Bytes>> {
    let body = Full::new(Bytes::from(said.to_string()));
    Response::builder().status(code).header("content-type", "application/json").body(body).expect("a response")
}

impl State {
    fn answer(
        &mut self,
        op: Op,
        path: &str,
        query: &str,
        token: &str,
        body: &[u8],
        fault: Option<&Fault>,
    ) -> (u16, Value) {
        if let Some(Fault::Rotated) = fault {
            self.token = format!("{}+", self.token);
            std::fs::write(&self.token_file, &self.token).expect("written");
        }
        if token != self.token {
            return status(401, "Unauthorized", "Unauthorized");
        }
        let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_refused = |op| self.refused == Some(op);
        if is_refused(op) || (op == Op::Rehearse && is_refused(Op::Patch)) {
            let (group, resource) = match op {
                Op::List => ("", "pods"),
                _ => ("apps", "deployments"),
            };
            let verb = format!("{op:?}").to_lowercase().replace("rehearse", "patch");
            return status(
                403,
                "Forbidden",
                &format!(
                    "{resource}.{group} \"{name}\" is forbidden: User \"system:serviceaccount:shop:bkp\" cannot {verb} resource \"{resource}\" in API group \"{group}\" in the namespace \"shop\""
                ),
            );
        }
        match fault {
            Some(Fault::Status(code, words)) => return status(*code, "Fault", words),
            Some(Fault::Changed) => self.objects.touch(name),
            _ => {}
        }
        match op {
            Op::List if path == "/api/v1/namespaces/shop/pods" => self.objects.list(query),
            Op::Get | Op::Patch | Op::Rehearse if path.starts_with("/apis/apps/v1/namespaces/shop/") => {
                let patch = (op != Op::Get).then(|| serde_json::from_slice(body).expect("a patch"));
                match op {
                    // Judged as any other change, and not done.
                    Op::Rehearse => self.objects.clone().object(path, patch),
                    _ => self.objects.object(path, patch),
                }
            }
            _ => status(404, "NotFound", "the server could not find the requested resource"),
        }
    }
}

/// A connection that ends without an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}
