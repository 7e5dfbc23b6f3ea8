//! Answers, and the queries of requests.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

pub type Reply = Response<BoxBody<Bytes, io::Error>>;

pub fn full(status: u16, body: impl Into<Bytes>) -> Reply {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed();
    let mut reply = Response::new(body);
    *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
    reply
}

pub fn json(status: u16, body: &Value) -> Reply {
    let mut reply = full(status, body.to_string());
    header(&mut reply, "content-type", "application/json; charset=UTF-8");
    reply
}

/// An error as Google's JSON API tells it.
pub fn error(status: u16, message: &str) -> Reply {
    let reason = match status {
        401 => "authError",
        403 => "forbidden",
        404 => "notFound",
        412 => "conditionNotMet",
        429 => "rateLimitExceeded",
        500..=599 => "backendError",
        _ => "invalid",
    };
    json(
        status,
        &json!({"error": {"code": status, "message": message,
        "errors": [{"message": message, "domain": "global", "reason": reason}]}}),
    )
}

/// A body that promises `length` bytes and breaks after the ones given.
pub fn broken(status: u16, content: Vec<u8>, length: usize) -> Reply {
    let frames = futures::stream::unfold(Some(content), |content| async move {
        match content {
            Some(content) => Some((Ok(Frame::data(Bytes::from(content))), None)),
            None => {
                // Later: what was sent must have arrived.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                Some((Err(io::Error::other("the connection breaks here")), None))
            }
        }
    });
    let mut reply = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
    header(&mut reply, "content-length", &length.to_string());
    reply
}

pub fn header(reply: &mut Reply, name: &'static str, value: &str) {
    reply.headers_mut().append(name, value.parse().expect("a header"));
}

/// The pairs of a query, decoded.
pub fn query(uri: &hyper::Uri) -> HashMap<String, String> {
    form(uri.query().unwrap_or_default())
}

pub fn form(text: &str) -> HashMap<String, String> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(&value.replace('+', " "))))
        .collect()
}

pub fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = (*first == b'%' && tail.len() >= 2).then(|| std::str::from_utf8(&tail[..2]).ok()).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
