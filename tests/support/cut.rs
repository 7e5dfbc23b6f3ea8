//! A line to a server that is cut at the COMMIT of a swap, or of another transaction: before the server has it, or after the server has done it and before
//! its answer arrives. Everything else passes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::accept::Accepting;
use super::cluster::Cluster;

/// Where the line is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The server never sees the COMMIT.
    Before,
    /// The server has committed, and nobody is told.
    After,
}

/// The line; it ends when this is dropped.
pub struct Line {
    open: Accepting,
    cuts: Arc<AtomicUsize>,
}

impl Line {
    /// A line to the server that is cut at the COMMIT of a swap.
    pub fn to(cluster: &Cluster, at: At) -> Self {
        Self::cutting(cluster, at, [b"RENAME TO", b"COMMIT\0"])
    }

    /// The same for another transaction: what is said in it, and how it ends.
    pub fn cutting(cluster: &Cluster, at: At, words: [&'static [u8]; 2]) -> Self {
        let (to, cuts) = (cluster.port(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&cuts);
        let open = Accepting::with(move |client| {
            if let Ok(server) = TcpStream::connect(("127.0.0.1", to)) {
                join(client, server, at, words, &counted);
            }
        });
        Self { open, cuts }
    }

    /// For `POSTGRES_PORT`.
    pub fn port(&self) -> String {
        self.open.port().to_string()
    }

    /// How often it was cut.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Two threads, one for each direction; each ends with its stream.
fn join(client: TcpStream, server: TcpStream, at: At, [said, end]: [&'static [u8]; 2], cuts: &Arc<AtomicUsize>) {
    let both = || Some([client.try_clone().ok()?, server.try_clone().ok()?]);
    let (Some([mut from, mut to]), Some([mut back, mut answers])) = (both(), both()) else { return };
    let is_cut = Arc::new(AtomicBool::new(false));
    let (cutting, cuts) = (Arc::clone(&is_cut), Arc::clone(cuts));
    thread::spawn(move || {
        let (mut buffer, mut meant) = (vec![0; 1 << 16], false);
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let sent = &buffer[..count];
            meant |= sent.windows(said.len()).any(|part| part == said);
            if meant && sent.ends_with(end) {
                cuts.fetch_add(1, Ordering::SeqCst);
                cutting.store(true, Ordering::SeqCst);
                if at == At::Before {
                    break;
                }
            }
            if to.write_all(sent).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both).and(from.shutdown(Shutdown::Both));
    });
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = answers.read(&mut buffer) {
            // The answer to the COMMIT is the first one after it.
            if is_cut.load(Ordering::SeqCst) || back.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = back.shutdown(Shutdown::Both).and(answers.shutdown(Shutdown::Both));
    });
}
