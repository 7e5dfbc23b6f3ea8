//! A receiver of heartbeats: a real HTTP server of one thread a connection, which answers, refuses, or accepts and never answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// How it treats who calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Answers this status.
    Answers(u16),
    /// Reads, and holds the connection for as long as the test lives.
    Holds,
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    /// `/token/start`
    pub path: String,
    /// What stands behind the question mark.
    pub query: String,
    /// What was sent.
    pub body: String,
}

/// A running receiver.
pub struct Receiver {
    port: u16,
    calls: Arc<Mutex<Vec<Call>>>,
    held: Arc<Mutex<Vec<TcpStream>>>,
}

impl Receiver {
    /// Starts one.
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let receiver = Self { port, calls: Arc::default(), held: Arc::default() };
        let (calls, held) = (receiver.calls.clone(), receiver.held.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (calls, held) = (calls.clone(), held.clone());
                thread::spawn(move || serve(stream, manner, &calls, &held));
            }
        });
        receiver
    }

    /// Its address, with a token as its path.
    pub fn url(&self, token: &str) -> String {
        format!("http://127.0.0.1:{}/{token}", self.port)
    }

    /// The calls so far, in their order.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("the calls").clone()
    }

    /// The paths of the calls so far.
    pub fn paths(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.path).collect()
    }

    /// How many callers wait for an answer that does not come.
    pub fn held(&self) -> usize {
        self.held.lock().expect("the callers").len()
    }
}

fn serve(mut stream: TcpStream, manner: Manner, calls: &Mutex<Vec<Call>>, held: &Mutex<Vec<TcpStream>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    // A client keeps its connection for the next call.
    while let Some(call) = read(&mut reader) {
        calls.lock().expect("the calls").push(call);
        match manner {
            Manner::Holds => held.lock().expect("the callers").push(stream.try_clone().expect("a stream")),
            Manner::Answers(status) => {
                let _ = stream.write_all(format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").as_bytes());
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Call> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let target = line.split(' ').nth(1)?.to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Call { path: path.to_owned(), query: query.to_owned(), body: String::from_utf8_lossy(&body).into_owned() })
}
