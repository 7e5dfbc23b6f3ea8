//! The bytes of an object: whole or a range, with Google's headers, and the faults of a download.

use super::faults::Fault;
use super::objects::Object;
use super::reply::{Reply, broken, error, full, header};

pub fn media(object: &Object, range: Option<&str>, fault: Option<&Fault>) -> Reply {
    let size = object.content.len();
    let (status, start, end) = match range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) {
        None => (200, 0, size),
        Some((start, end)) => {
            let start = start.parse().unwrap_or(0);
            if start >= size {
                return error(416, "The requested range cannot be satisfied.");
            }
            (206, start, end.parse().map_or(size, |end: usize| (end + 1).min(size)))
        }
    };
    let mut content = object.content[start..end].to_vec();
    let length = content.len();
    let mut reply = match fault {
        Some(Fault::Cut(after)) => {
            content.truncate(*after);
            broken(status, content, length)
        }
        Some(Fault::Short(bytes)) => {
            content.truncate(*bytes);
            full(status, content)
        }
        Some(Fault::FlipBit(at)) => {
            content[*at] ^= 1;
            full(status, content)
        }
        _ => full(status, content),
    };
    header(&mut reply, "x-goog-generation", &object.generation.to_string());
    header(&mut reply, "x-goog-hash", &format!("crc32c={}", object.crc32c()));
    header(&mut reply, "x-goog-hash", &format!("md5={}", object.md5()));
    header(&mut reply, "content-type", &object.content_type);
    if status == 206 {
        header(&mut reply, "content-range", &format!("bytes {start}-{}/{size}", end - 1));
    }
    reply
}
