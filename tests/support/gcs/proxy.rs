//! A proxy that stands in for Google's hosts: whatever host a client asks it to connect to, the server answers, with a
//! certificate for that host. For what has a fixed address: the token host, and the store itself.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::{Gcs, server};
use crate::support::authority::certificate;

/// Google's hosts.
const NAMES: &str = "DNS:oauth2.googleapis.com,DNS:storage.googleapis.com";

/// A running proxy; it ends when this is dropped.
pub struct Proxy {
    address: std::net::SocketAddr,
    directory: tempfile::TempDir,
    hosts: Arc<Mutex<Vec<String>>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy before a server.
    pub fn before(gcs: &Gcs) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let acceptor = TlsAcceptor::from(Arc::new(certificate(directory.path(), NAMES)));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let hosts = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (state, seen) = (gcs.state.clone(), hosts.clone());
        let thread = std::thread::spawn(move || {
            server::accept(listener, stopped, move |mut stream| {
                let (acceptor, state, seen) = (acceptor.clone(), state.clone(), seen.clone());
                async move {
                    let Some(host) = connect_request(&mut stream).await else {
                        return;
                    };
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(host);
                    if let Ok(stream) = acceptor.accept(stream).await {
                        server::serve_stream(stream, state).await;
                    }
                }
            });
        });
        Self { address, directory, hosts, stop: Some(stop), thread: Some(thread) }
    }

    /// For `StoreOptions::proxy`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The certificate of the authority behind it, for `StoreOptions::ca_file`.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The hosts that were asked for, in order.
    pub fn hosts(&self) -> Vec<String> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads `CONNECT host:443 HTTP/1.1` and agrees.
async fn connect_request(stream: &mut tokio::net::TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    let head = String::from_utf8_lossy(&head).into_owned();
    head.strip_prefix("CONNECT ")?.split(' ').next().map(str::to_owned)
}
