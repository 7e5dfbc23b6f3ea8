//! A small faithful server of Google's storage protocol, on loopback, with faults on demand.
//!
//! Written from the public description of the JSON API: listing in pages, resumable uploads with status queries,
//! preconditions on generations, CRC-32C and MD5, refusal of a wrong `x-goog-hash`, ranges. No emulator that can be
//! installed does all of these. A fault that was queued and never reached fails the test.

mod faults;
mod media;
mod objects;
mod proxy;
mod reply;
pub mod server;
mod tokens;
mod uploads;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use faults::Queue;
pub use faults::{Fault, Op};
use objects::Buckets;
pub use proxy::Proxy;
use tokens::Tokens;
use uploads::Sessions;

use super::watch::Watched;

/// The bucket that every server has.
pub const BUCKET: &str = "test-bucket";

/// A running server; it ends when this is dropped.
pub struct Gcs {
    address: std::net::SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _watched: Watched,
}

pub(crate) struct State {
    pub address: std::net::SocketAddr,
    pub buckets: Buckets,
    pub sessions: Sessions,
    pub tokens: Tokens,
    pub faults: Queue,
    pub log: Vec<String>,
    pub page_size: usize,
    /// Path and query of the last request that started an upload.
    pub last_start: String,
}

impl Gcs {
    /// Starts a server with one empty bucket, on a port of its own.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State {
            address,
            buckets: Buckets::with(BUCKET),
            sessions: Sessions::default(),
            tokens: Tokens::default(),
            faults: Queue::default(),
            log: Vec::new(),
            page_size: 1000,
            last_start: String::new(),
        }));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let served = state.clone();
        let thread = std::thread::spawn(move || server::run(listener, served, stopped));
        Self { address, state, stop: Some(stop), thread: Some(thread), _watched: Watched::begin() }
    }

    /// The endpoint, for `StoreOptions::gcs_endpoint`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `host:port`, for `StoreOptions::gce_metadata_host`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Puts an object into the bucket behind the protocol's back, as a new generation.
    pub fn put(&self, name: &str, content: impl Into<Vec<u8>>) {
        self.lock().buckets.put(BUCKET, name, content.into(), None);
    }

    /// The content of an object.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().buckets.find(BUCKET, name).map(|object| object.content.to_vec())
    }

    /// The content type that an object was uploaded with.
    pub fn content_type(&self, name: &str) -> Option<String> {
        self.lock().buckets.find(BUCKET, name).map(|object| object.content_type.clone())
    }

    /// The names of all objects, in order.
    pub fn objects(&self) -> Vec<String> {
        self.lock().buckets.names(BUCKET)
    }

    /// How many uploads are begun and neither finished nor cancelled.
    pub fn open_uploads(&self) -> usize {
        self.lock().sessions.len()
    }

    /// The next operation of this kind fails so. Faults of one kind are met in the order they were queued.
    pub fn fail_next(&self, op: Op, fault: Fault) {
        self.lock().faults.push(op, fault);
    }

    /// From now on the account may not do these, and may do all else.
    pub fn forbid<const N: usize>(&self, ops: [Op; N]) {
        self.lock().faults.forbidden = ops.to_vec();
    }

    /// Faults that were queued and not met yet.
    pub fn faults_left(&self) -> usize {
        self.lock().faults.len()
    }

    /// From now on every request needs the token that the metadata server and the exchange give out.
    pub fn require_token(&self) {
        self.lock().tokens.required = true;
    }

    /// The token given out so far is worth nothing any more.
    pub fn revoke_tokens(&self) {
        self.lock().tokens.revoke();
    }

    /// The subject token that the exchange accepts.
    pub fn accept_subject(&self, token: &str) {
        self.lock().tokens.subject = Some(token.to_owned());
    }

    /// A list answer holds at most so many objects.
    pub fn page_size(&self, objects: usize) {
        self.lock().page_size = objects;
    }

    /// Removes the bucket.
    pub fn remove_bucket(&self) {
        self.lock().buckets.remove(BUCKET);
    }

    /// The claims of the last assertion that a key file signed.
    pub fn last_assertion(&self) -> Option<serde_json::Value> {
        self.lock().tokens.last_assertion.clone()
    }

    /// All operations so far, one word each; downloads of a part with their range.
    pub fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    /// Path and query of the last request that started an upload.
    pub fn last_start(&self) -> String {
        self.lock().last_start.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Gcs {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let left = self.lock().faults.describe();
        if !left.is_empty() && !std::thread::panicking() {
            panic!("queued faults were never reached: {left}");
        }
    }
}
