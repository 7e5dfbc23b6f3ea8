//! A line to a real server that announces what goes over it, and breaks where the trap says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::fault::{Fault, Kind};
use super::trap::Trap;
use crate::support::accept::Accepting;

/// A running line; it ends when this is dropped.
pub struct Line(Accepting);

impl Line {
    /// A line to a port of this machine whose steps are of this kind.
    pub fn to(target: u16, kind: Kind, trap: &Trap) -> Self {
        Self::of(target, kind, trap, false)
    }

    /// The same to a store whose unfinished uploads were all begun a century ago.
    pub fn to_old_store(target: u16, trap: &Trap) -> Self {
        Self::of(target, Kind::Request, trap, true)
    }

    fn of(target: u16, kind: Kind, trap: &Trap, ages: bool) -> Self {
        let trap = trap.clone();
        Self(Accepting::with(move |client| {
            if let Ok(server) = TcpStream::connect(("127.0.0.1", target)) {
                let way = Way { kind, trap: trap.clone(), faults: Arc::default(), ages };
                join(client, server, way);
            }
        }))
    }

    pub fn port(&self) -> u16 {
        self.0.port()
    }
}

/// Two threads, one for each direction; each ends with its stream.
fn join(client: TcpStream, server: TcpStream, there: Way) {
    let (Ok(from_server), Ok(to_client)) = (server.try_clone(), client.try_clone()) else { return };
    let _ = client.set_nodelay(true).and(server.set_nodelay(true));
    let back = there.clone();
    thread::spawn(move || there.there(client, server));
    thread::spawn(move || back.back(from_server, to_client));
}

/// One direction of a connection, with what the other has to know.
#[derive(Clone)]
struct Way {
    kind: Kind,
    trap: Trap,
    faults: Arc<Faults>,
    /// Uploads in a list are told as older.
    ages: bool,
}

/// What is wrong with a connection from now on.
#[derive(Default)]
struct Faults {
    /// A bit of what comes back is to be turned.
    flip: AtomicBool,
    /// Nothing comes back.
    stall: AtomicBool,
    /// The other direction ends it in its own way.
    ends: AtomicBool,
}

impl Way {
    fn there(self, mut client: TcpStream, mut server: TcpStream) {
        let (mut buffer, mut turn) = (vec![0; 1 << 16], false);
        // Looked at, not taken: what is unread when a socket is closed makes it a reset.
        while let Ok(count @ 1..) = client.peek(&mut buffer) {
            let name = name_of(self.kind, &buffer[..count]);
            match name.as_ref().and_then(|name| self.trap.reach(self.kind, name)) {
                Some(Fault::Reset) => {
                    // The other thread holds both sockets, too, and lets go of them at the server's end.
                    self.faults.ends.store(true, Ordering::SeqCst);
                    let _ = server.shutdown(Shutdown::Both);
                    return;
                }
                Some(Fault::Status(status)) => {
                    self.faults.ends.store(true, Ordering::SeqCst);
                    let _ = server.shutdown(Shutdown::Both);
                    refuse(&mut client, status);
                    return;
                }
                Some(Fault::Stalls) => {
                    self.faults.stall.store(true, Ordering::SeqCst);
                    // What comes is taken, as far as a kernel takes it. The server learns of nothing, not even of the client's end.
                    self.trap.hang();
                    let _ = server.shutdown(Shutdown::Both);
                    return;
                }
                Some(Fault::Silent | Fault::Frozen) => self.trap.hush(self.kind),
                Some(Fault::Flipped) => match name.is_some_and(|name| name.starts_with("PUT")) {
                    true => turn = true,
                    false => self.faults.flip.store(true, Ordering::SeqCst),
                },
                _ => {}
            }
            self.trap.pass(self.kind);
            if client.read_exact(&mut buffer[..count]).is_err() {
                break;
            }
            turn = turn && !turn_a_bit(&mut buffer[..count]);
            if server.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Write);
    }

    fn back(self, mut server: TcpStream, mut client: TcpStream) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = server.read(&mut buffer) {
            if self.faults.flip.load(Ordering::SeqCst) && turn_a_bit(&mut buffer[..count]) {
                self.faults.flip.store(false, Ordering::SeqCst);
            }
            if self.faults.stall.load(Ordering::SeqCst) {
                continue;
            }
            if self.ages {
                make_older(&mut buffer[..count]);
            }
            self.trap.pass(self.kind);
            if client.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
        if !self.faults.ends.load(Ordering::SeqCst) {
            // As the server ended it.
            let _ = client.shutdown(Shutdown::Write);
        }
    }
}

/// Puts the year back in which uploads of a list were begun.
fn make_older(bytes: &mut [u8]) {
    const BEGUN: &[u8] = b"<Initiated>20";
    let found: Vec<usize> =
        bytes.windows(BEGUN.len()).enumerate().filter(|(_, here)| *here == BEGUN).map(|(at, _)| at).collect();
    for at in found {
        bytes[at + BEGUN.len() - 2..at + BEGUN.len()].copy_from_slice(b"19");
    }
}

/// Turns a bit in the middle of a body; false when there is none yet.
fn turn_a_bit(bytes: &mut [u8]) -> bool {
    let has_head = bytes.starts_with(b"HTTP/") || method(bytes).is_some();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    let body = if has_head { &mut bytes[end.unwrap_or_default()..] } else { bytes };
    if has_head && end.is_none() || body.is_empty() {
        return false;
    }
    let middle = body.len() / 2;
    body[middle] ^= 1;
    true
}

/// Takes the whole request, so that the answer is read and no reset, and answers.
fn refuse(client: &mut TcpStream, status: u16) {
    let (mut taken, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let end = taken.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let Some(end) = end
            && taken.len() >= end + body_bytes(&taken[..end])
        {
            break;
        }
        let Ok(count @ 1..) = client.read(&mut buffer) else { return };
        taken.extend_from_slice(&buffer[..count]);
    }
    let code = match status {
        403 => "AccessDenied",
        429 => "TooManyRequests",
        500 => "InternalError",
        _ => "SlowDown",
    };
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>not now</Message></Error>");
    let body = if taken.starts_with(b"HEAD") { "" } else { &body };
    let head =
        format!("HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n", body.len());
    let _ = write!(client, "{head}Connection: close\r\n\r\n{body}");
    let _ = client.shutdown(Shutdown::Write);
}

fn body_bytes(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.and_then(|length| length.trim().parse().ok()).unwrap_or(0)
}

/// What a piece of a stream begins; none goes on with what began before.
fn name_of(kind: Kind, bytes: &[u8]) -> Option<String> {
    match kind {
        Kind::Request => {
            let method = method(bytes)?;
            let line = String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned();
            Some(format!("{method} {}", what_of(line.split(' ').nth(1).unwrap_or_default())))
        }
        Kind::Api => Some("the API is asked".to_owned()),
        _ => Some("PostgreSQL is asked".to_owned()),
    }
}

fn method(bytes: &[u8]) -> Option<&'static str> {
    ["GET", "PUT", "POST", "HEAD", "DELETE"].into_iter().find(|method| {
        let rest = bytes.strip_prefix(method.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b" /"))
    })
}

/// What a path of Amazon's protocol is about. In restic's repositories the directory tells.
fn what_of(target: &str) -> &'static str {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let asks = |word: &str| query.split('&').any(|part| part.split('=').next() == Some(word));
    if asks("partNumber") {
        return "part";
    }
    if asks("uploadId") {
        return "upload";
    }
    if asks("uploads") {
        return "uploads";
    }
    if asks("list-type") || asks("location") || path.trim_matches('/').split('/').count() < 2 {
        return "list";
    }
    let folders = ["keys", "locks", "snapshots", "index", "data", "config"];
    let is_in = |folder: &&&str| path.split('/').any(|part| part == **folder);
    folders.iter().find(is_in).copied().unwrap_or("object")
}
