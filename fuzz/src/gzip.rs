//! What is read of gzip is what any gunzip reads of it, or an error; what is no gzip passes as it is.

use std::cell::RefCell;
use std::io::{Read, Write};

use bkp::repository::bucket::{member, pack, unpack::Unpacker};
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use tokio::runtime::{Builder, Runtime};

/// The first byte is the size of the chunks; by the second the rest is stored bytes as they are, or parts of a dump to be packed first.
pub fn holds(input: &[u8]) {
    let [size, way, rest @ ..] = input else { return };
    let size = usize::from(*size).max(1);
    if way & 1 == 0 {
        return like_any_gunzip(rest, size, None);
    }
    let (stored, sql) = packed(rest, way >> 1);
    like_any_gunzip(&stored, size, Some(&sql));
    assert!(stored.is_empty() || unpacked(&stored, size).as_ref() == Some(&sql), "what was packed does not come back");
    // One byte of it, wherever, changed to whatever.
    let (at, by) = rest
        .split_first_chunk()
        .map_or((0, 0), |([high, low, by], _)| (usize::from(u16::from_be_bytes([*high, *low])), *by));
    if !stored.is_empty() && by != 0 {
        let mut damaged = stored;
        let at = at % damaged.len();
        damaged[at] ^= by;
        like_any_gunzip(&damaged, size, None);
    }
}

/// Holds what we read against what everybody else reads.
fn like_any_gunzip(stored: &[u8], size: usize, sql: Option<&Vec<u8>>) {
    let ours = unpacked(stored, size);
    assert!(ours == unpacked(stored, usize::MAX), "chunks decide what is read");
    if !stored.starts_with(&[0x1f, 0x8b]) {
        assert!(ours.is_none_or(|ours| ours == stored), "no gzip, and changed");
        return;
    }
    let theirs = gunzip(stored);
    assert!(ours.is_none() || ours == theirs, "another gunzip reads something else");
    assert!(sql.is_none() || stored.is_empty() || theirs.as_ref() == sql, "another gunzip does not read it");
    // A member that lies of its length is refused here alone; nobody else's is.
    assert!(
        ours.is_some() || theirs.is_none() || stored.windows(4).any(|field| field == b"Bm\x04\0"),
        "refused, and whole"
    );
}

/// Member after member, and zeros behind the last one are nothing, as gzip has it.
fn gunzip(mut stored: &[u8]) -> Option<Vec<u8>> {
    let mut sql = Vec::new();
    while stored.iter().any(|byte| *byte != 0) {
        GzDecoder::new(&mut stored).read_to_end(&mut sql).ok()?;
        // Zeros end it: what stands behind them is rubbish, even if it is gzip.
        if stored.first() == Some(&0) && stored.iter().any(|byte| *byte != 0) {
            return None;
        }
    }
    Some(sql)
}

/// Each part is a length and so many bytes, packed as bkp does it or as others do; a seal at the end, where `seal` says so.
fn packed(mut rest: &[u8], seal: u8) -> (Vec<u8>, Vec<u8>) {
    let (mut stored, mut sql) = (Vec::new(), Vec::new());
    while let [kind, length, more @ ..] = rest {
        let (part, more) = more.split_at(usize::from(*length).min(more.len()));
        rest = more;
        match kind % 4 {
            0 => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(u32::from(kind >> 4) % 10));
                encoder
                    .write_all(part)
                    .and_then(|()| encoder.finish())
                    .map(|member| stored.extend(member))
                    .expect("packing");
            }
            level => stored.extend(member::packed(part, level * 3).expect("packing")),
        }
        sql.extend_from_slice(part);
    }
    if seal & 1 == 1 {
        let line = format!("-- bkp seal {}\n", "x".repeat(usize::from(seal)));
        stored.extend(pack::sealed_end(&line).expect("packing"));
        sql.extend_from_slice(line.as_bytes());
    }
    (stored, sql)
}

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(Builder::new_current_thread().build().expect("a runtime"));
}

/// All of it, or nothing when it is refused.
fn unpacked(stored: &[u8], size: usize) -> Option<Vec<u8>> {
    let all = async {
        let (mut unpacker, mut sql) = (Unpacker::default(), Vec::new());
        for chunk in stored.chunks(size) {
            unpacker.push(chunk);
            while let Some(more) = unpacker.next().await? {
                sql.extend_from_slice(&more);
            }
        }
        while let Some(more) = unpacker.rest().await? {
            sql.extend_from_slice(&more);
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(sql)
    };
    RUNTIME.with_borrow(|runtime| runtime.block_on(all)).ok()
}
