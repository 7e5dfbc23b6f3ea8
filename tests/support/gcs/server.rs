//! The server itself: connections, routes, and where faults strike.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::sync::oneshot::Receiver;

use super::State;
use super::faults::{Fault, Op};
use super::media::media;
use super::reply::{self, Reply, error, full};
use super::uploads::{self, content_range};

pub type Shared = Arc<Mutex<State>>;

/// Serves until `stopped` resolves, in a runtime of its own.
pub fn run(listener: TcpListener, state: Shared, stopped: Receiver<()>) {
    accept(listener, stopped, move |stream| serve_stream(stream, state.clone()));
}

/// Hands every connection over until `stopped` resolves.
pub fn accept<F>(listener: TcpListener, stopped: Receiver<()>, handle: impl Fn(tokio::net::TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        listener.set_nonblocking(true).expect("non-blocking");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                _ = &mut stopped => return,
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        tokio::spawn(handle(stream));
                    }
                }
            }
        }
    });
}

/// Answers the requests of one connection.
pub async fn serve_stream<S>(stream: S, state: Shared)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| serve(state.clone(), request));
    // An error here is a fault that was asked for, or a client that went away.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a request wants, read from its line and headers.
enum Wanted {
    List { bucket: String },
    Object { op: Op, bucket: String, name: String },
    Start { bucket: String },
    Chunk { op: Op, id: String },
    Metadata,
    Exchange,
    Impersonate,
    Nothing,
}

fn wanted(request: &Request<Incoming>) -> Wanted {
    let path = request.uri().path();
    let query = reply::query(request.uri());
    if path.starts_with("/computeMetadata/") {
        return Wanted::Metadata;
    }
    if path.ends_with(":generateAccessToken") {
        return Wanted::Impersonate;
    }
    if path.ends_with("/token") && request.method() == Method::POST {
        return Wanted::Exchange;
    }
    if let Some(id) = query.get("upload_id") {
        let range =
            request.headers().get("content-range").and_then(|value| value.to_str().ok()).and_then(content_range);
        let empty = request.headers().get("content-length").is_some_and(|length| length == "0");
        let op = match (request.method(), range) {
            (&Method::DELETE, _) => Op::Cancel,
            // A query and the end of an empty object look alike: `bytes */0`.
            (_, Some(range)) if range.start.is_none() && empty && range.total != Some(0) => Op::Query,
            (_, Some(range)) if range.total.is_some() => Op::Finish,
            _ => Op::Chunk,
        };
        return Wanted::Chunk { op, id: id.clone() };
    }
    if let Some(rest) = path.strip_prefix("/upload/storage/v1/b/") {
        return Wanted::Start { bucket: rest.trim_end_matches("/o").to_owned() };
    }
    let Some((bucket, object)) = path.strip_prefix("/storage/v1/b/").and_then(|rest| rest.split_once("/o")) else {
        return Wanted::Nothing;
    };
    let bucket = bucket.to_owned();
    let Some(name) = object.strip_prefix('/') else {
        return Wanted::List { bucket };
    };
    let op = match request.method() {
        &Method::DELETE => Op::Delete,
        _ if query.get("alt").is_some_and(|alt| alt == "media") => Op::Get,
        _ => Op::Stat,
    };
    Wanted::Object { op, bucket, name: reply::decode(name) }
}

impl Wanted {
    fn op(&self) -> Option<Op> {
        match self {
            Self::List { .. } => Some(Op::List),
            Self::Start { .. } => Some(Op::Start),
            Self::Object { op, .. } | Self::Chunk { op, .. } => Some(*op),
            Self::Metadata | Self::Exchange | Self::Impersonate => Some(Op::Token),
            Self::Nothing => None,
        }
    }
}

async fn serve(state: Shared, mut request: Request<Incoming>) -> io::Result<Reply> {
    let wanted = wanted(&request);
    let Some(op) = wanted.op() else {
        return Ok(error(404, "Not Found"));
    };
    let fault = {
        let mut state = lock(&state);
        let range = header_text(&request, "range").filter(|_| op == Op::Get);
        state.log.push(range.map_or_else(|| format!("{op:?}"), |range| format!("{op:?} {range}")));
        state.faults.take(op)
    };
    let reset = || io::Error::other("reset on demand");
    match &fault {
        Some(Fault::Reset) => return Err(reset()),
        Some(Fault::Stall(time)) => {
            tokio::time::sleep(*time).await;
            return Err(reset());
        }
        Some(Fault::ResetInBody(most)) => {
            let body = read_at_most(&mut request, *most).await;
            if let Wanted::Chunk { id, .. } = &wanted
                && let Some(range) = header_text(&request, "content-range").as_deref().and_then(content_range)
            {
                uploads::keep_part(&mut lock(&state), id, &range, &body);
            }
            return Err(reset());
        }
        _ => {}
    }
    let (parts, body) = request.into_parts();
    let mut body = body.collect().await.map_err(io::Error::other)?.to_bytes().to_vec();
    let request = Request::from_parts(parts, ());
    match fault {
        Some(Fault::Status(status)) => return Ok(error(status, "A fault on demand.")),
        Some(Fault::Refuse(status, words)) => return Ok(error(status, words)),
        Some(Fault::FlipBit(at)) if matches!(op, Op::Chunk | Op::Finish) => body[at] ^= 1,
        Some(Fault::FlipUnchecked(at)) => body[at] ^= 1,
        _ => {}
    }
    let reply = answer(&mut lock(&state), &wanted, &request, &body, fault.as_ref());
    if matches!(fault, Some(Fault::LostReply)) { Err(reset()) } else { Ok(reply) }
}

async fn read_at_most(request: &mut Request<Incoming>, most: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < most
        && let Some(Ok(frame)) = request.body_mut().frame().await
    {
        body.extend_from_slice(frame.data_ref().map_or(&[][..], |data: &Bytes| data));
    }
    body.truncate(most);
    body
}

fn header_text<B>(request: &Request<B>, name: &str) -> Option<String> {
    request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn answer(state: &mut State, wanted: &Wanted, request: &Request<()>, body: &[u8], fault: Option<&Fault>) -> Reply {
    let query = reply::query(request.uri());
    match wanted {
        Wanted::Metadata => {
            return state.tokens.metadata(header_text(request, "metadata-flavor").as_deref());
        }
        Wanted::Exchange => return state.tokens.exchange(body),
        Wanted::Impersonate => return state.tokens.impersonate(),
        // A session's address is its own permission.
        Wanted::Chunk { op: Op::Cancel, id } => return state.sessions.cancel(id),
        Wanted::Chunk { id, .. } => {
            let Some(range) = header_text(request, "content-range").as_deref().and_then(content_range) else {
                return error(400, "No Content-Range.");
            };
            let keep = if let Some(Fault::KeepOnly(bytes)) = fault { Some(*bytes) } else { None };
            let hash = header_text(request, "x-goog-hash").filter(|_| !matches!(fault, Some(Fault::FlipUnchecked(_))));
            return uploads::put(state, id, &range, body, hash.as_deref(), keep);
        }
        _ => {}
    }
    if let Some(refusal) = state.tokens.refusal(header_text(request, "authorization").as_deref()) {
        return refusal;
    }
    match wanted {
        Wanted::List { bucket } | Wanted::Start { bucket } | Wanted::Object { bucket, .. }
            if !state.buckets.has(bucket) =>
        {
            error(404, "The specified bucket does not exist.")
        }
        Wanted::Start { bucket } => {
            state.last_start = request.uri().to_string();
            uploads::start(state, bucket, &query, header_text(request, "x-upload-content-type"))
        }
        Wanted::List { bucket } => {
            let text = |name: &str| query.get(name).cloned().unwrap_or_default();
            let most = text("maxResults").parse().unwrap_or(usize::MAX).min(state.page_size);
            let (items, next) = state.buckets.page(bucket, &text("prefix"), &text("pageToken"), most);
            let mut page = json!({"kind": "storage#objects", "items": items});
            if let Some(next) = next {
                page["nextPageToken"] = next.into();
            }
            reply::json(200, &page)
        }
        Wanted::Object { op, bucket, name } => {
            let Some(object) = state.buckets.find(bucket, name).cloned() else {
                return error(404, &format!("No such object: {bucket}/{name}"));
            };
            let generation = query.get("ifGenerationMatch").and_then(|text| text.parse().ok());
            if let Some(refusal) = uploads::precondition(state, bucket, name, generation) {
                return refusal;
            }
            if matches!(fault, Some(Fault::ReplaceAfter)) {
                let other = object.content.iter().map(|byte| !byte).collect();
                state.buckets.put(bucket, name, other, None);
            }
            match op {
                Op::Delete => {
                    state.buckets.delete(bucket, name);
                    full(204, "")
                }
                Op::Get => media(&object, header_text(request, "range").as_deref(), fault),
                _ => reply::json(200, &object.resource(bucket, name)),
            }
        }
        _ => error(404, "Not Found"),
    }
}
