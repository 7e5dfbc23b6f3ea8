//! Resumable uploads: a session takes chunks in order, answers how far it came, and makes the object at its end.

use std::collections::HashMap;

use super::State;
use super::objects::crc32c_base64;
use super::reply::{Reply, error, full, header, json};

/// Google keeps whole pieces of this size of what a broken connection brought.
const GRAIN: usize = 256 * 1024;

pub struct Session {
    bucket: String,
    name: String,
    content_type: Option<String>,
    if_generation_match: Option<u64>,
    received: Vec<u8>,
    /// The answer of a finished upload, for whoever asks again.
    finished: Option<serde_json::Value>,
}

#[derive(Default)]
pub struct Sessions {
    sessions: HashMap<String, Session>,
    next: u64,
}

impl Sessions {
    pub fn len(&self) -> usize {
        self.sessions.values().filter(|session| session.finished.is_none()).count()
    }

    pub fn cancel(&mut self, id: &str) -> Reply {
        // 499 is what Google answers to a cancelled upload.
        if self.sessions.remove(id).is_some() { full(499, "") } else { error(404, "No such upload.") }
    }
}

/// What `Content-Range` of a chunk says.
#[derive(Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// First byte; none in `bytes */N`.
    pub start: Option<usize>,
    pub total: Option<usize>,
}

/// Reads `bytes 0-99/200`, `bytes 0-99/*` and `bytes */200`.
pub fn content_range(value: &str) -> Option<ContentRange> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    let start = if range == "*" { None } else { Some(range.split_once('-')?.0.parse().ok()?) };
    Some(ContentRange { start, total })
}

pub fn start(state: &mut State, bucket: &str, query: &HashMap<String, String>, content_type: Option<String>) -> Reply {
    let (Some("resumable"), Some(name)) = (query.get("uploadType").map(String::as_str), query.get("name")) else {
        return error(400, "Only resumable uploads with a name are understood.");
    };
    let if_generation_match = query.get("ifGenerationMatch").and_then(|text| text.parse().ok());
    if let Some(refusal) = precondition(state, bucket, name, if_generation_match) {
        return refusal;
    }
    state.sessions.next += 1;
    let id = format!("session-{}", state.sessions.next);
    let session = Session {
        bucket: bucket.to_owned(),
        name: name.clone(),
        content_type,
        if_generation_match,
        received: Vec::new(),
        finished: None,
    };
    state.sessions.sessions.insert(id.clone(), session);
    let mut reply = full(200, "");
    let location =
        format!("http://{}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={id}", state.address);
    header(&mut reply, "location", &location);
    reply
}

/// The refusal when `ifGenerationMatch` does not hold; 0 means that no object may be there.
pub fn precondition(state: &State, bucket: &str, name: &str, wanted: Option<u64>) -> Option<Reply> {
    let there = state.buckets.find(bucket, name).map_or(0, |object| object.generation);
    let words = "At least one of the pre-conditions you specified did not hold.";
    wanted.is_some_and(|wanted| wanted != there).then(|| error(412, words))
}

/// Keeps what a broken connection brought, in whole grains.
pub fn keep_part(state: &mut State, id: &str, range: &ContentRange, body: &[u8]) {
    if let Some(session) = state.sessions.sessions.get_mut(id) {
        append(session, range, &body[..body.len() / GRAIN * GRAIN]);
    }
}

/// Takes over the bytes that are new; a chunk may repeat what is kept already.
fn append(session: &mut Session, range: &ContentRange, body: &[u8]) -> bool {
    let start = range.start.unwrap_or(session.received.len());
    if start > session.received.len() {
        return false;
    }
    let known = session.received.len() - start;
    if known < body.len() {
        session.received.extend_from_slice(&body[known..]);
    }
    true
}

/// A chunk, the last chunk, or a status query. `keep` limits how many bytes of the body are kept.
pub fn put(
    state: &mut State,
    id: &str,
    range: &ContentRange,
    body: &[u8],
    hash: Option<&str>,
    keep: Option<usize>,
) -> Reply {
    let Some(session) = state.sessions.sessions.get_mut(id) else {
        return error(404, "No such upload.");
    };
    if let Some(resource) = &session.finished {
        return json(200, resource);
    }
    let kept = &body[..keep.unwrap_or(body.len()).min(body.len())];
    if !append(session, range, kept) {
        return error(400, "The chunk begins after what was received.");
    }
    if range.total != Some(session.received.len()) {
        if range.total.is_none() && session.received.len() % GRAIN != 0 {
            return error(400, "A chunk that is not the last must be a multiple of 256 KiB.");
        }
        return incomplete(session.received.len());
    }
    finish(state, id, hash)
}

fn incomplete(received: usize) -> Reply {
    let mut reply = full(308, "");
    if received > 0 {
        header(&mut reply, "range", &format!("bytes=0-{}", received - 1));
    }
    reply
}

fn finish(state: &mut State, id: &str, hash: Option<&str>) -> Reply {
    let Some(mut session) = state.sessions.sessions.remove(id) else {
        return error(404, "No such upload.");
    };
    let ours = crc32c_base64(&session.received);
    if let Some(theirs) = hash.and_then(|hash| hash.strip_prefix("crc32c=")).filter(|theirs| *theirs != ours) {
        let words = format!("Provided CRC32C \"{theirs}\" doesn't match calculated CRC32C \"{ours}\".");
        return error(400, &words);
    }
    // Looked at again: another upload may have been faster.
    if let Some(refusal) = precondition(state, &session.bucket, &session.name, session.if_generation_match) {
        return refusal;
    }
    let content = std::mem::take(&mut session.received);
    let object = state.buckets.put(&session.bucket, &session.name, content, session.content_type.clone());
    let resource = object.resource(&session.bucket, &session.name);
    session.finished = Some(resource.clone());
    state.sessions.sessions.insert(id.to_owned(), session);
    json(200, &resource)
}
