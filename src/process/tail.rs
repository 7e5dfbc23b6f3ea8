//! The last words of a child: its standard error is drained while it runs, and the end is kept for the message.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt};

/// More than any error of pg_dump or psql needs, little enough to hold always.
const KEPT_BYTES: usize = 8 * 1024;

/// Reads to the end and keeps the first and the last few kilobytes: the first error is the cause, the last words the result.
pub async fn drain(mut from: impl AsyncRead + Unpin) -> String {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 4096];
    while let Ok(n) = from.read(&mut buffer).await {
        if n == 0 {
            break;
        }
        let into_head = n.min(KEPT_BYTES - head.len());
        head.extend_from_slice(&buffer[..into_head]);
        tail.extend_from_slice(&buffer[into_head..n]);
        if tail.len() > 2 * KEPT_BYTES {
            tail.drain(..tail.len() - KEPT_BYTES);
        }
    }
    head.extend_from_slice(&tail);
    String::from_utf8_lossy(&head).into_owned()
}

/// The longest part of a line that is handed on.
const LINE_BYTES: usize = 8 * 1024;

/// Hands on each line as it comes, without its end and cut where it is very long; nothing at the end.
pub async fn listen(mut from: impl AsyncBufRead + Unpin, mut hear: impl FnMut(Option<&[u8]>)) {
    let mut line = Vec::new();
    while let Ok(some) = from.fill_buf().await {
        if some.is_empty() {
            break;
        }
        let end = some.iter().position(|byte| *byte == b'\n');
        let (part, used) = (&some[..end.unwrap_or(some.len())], end.map_or(some.len(), |end| end + 1));
        line.extend_from_slice(&part[..part.len().min(LINE_BYTES - line.len())]);
        if end.is_some() {
            hear(Some(&line));
            line.clear();
        }
        from.consume(used);
    }
    if !line.is_empty() {
        hear(Some(&line));
    }
    hear(None);
}
