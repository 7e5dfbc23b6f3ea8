//! Gzip as bkp writes it: a row of members, each compressed on a core of its own, which every gunzip reads as one file.
//!
//! The seal is a member by itself, followed by an empty member whose extra field (RFC 1952, 2.3.1.1; subfield `Bk`) holds the
//! length of the seal's member. So the seal of a dump of any size is read with one short ranged request from the object's end.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use flate2::bufread::GzDecoder;
use libdeflater::{CompressionLvl, Compressor};
use std::io::Read;

/// Length of the footer, the empty member that tells where the seal is.
pub const FOOTER_BYTES: usize = 34;

const FOOTER_HEAD: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 12, 0, b'B', b'k', 8, 0];
const FOOTER_TAIL: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The end of a sealed dump: the seal's line and the footer that finds it.
///
/// # Errors
/// Only when the compressor breaks its own bound.
pub fn sealed_end(line: &str) -> Result<Bytes> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut end = vec![0; compressor.gzip_compress_bound(line.len())];
    let length = compressor.gzip_compress(line.as_bytes(), &mut end).context("compressing the seal")?;
    end.truncate(length);
    end.extend_from_slice(&FOOTER_HEAD);
    end.extend_from_slice(&(length as u64).to_le_bytes());
    end.extend_from_slice(&FOOTER_TAIL);
    Ok(end.into())
}

/// What the end of an object says about its seal.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// No footer: a dump that somebody else wrote, or one cut short.
    Unsealed,
    /// The seal's member does not fit into what was read; this many bytes of the end are needed.
    Need(u64),
    /// The seal's line.
    Line(Vec<u8>),
}

/// Looks for the seal in the last bytes of an object.
///
/// # Errors
/// When there is a footer, but what it points at is damaged.
pub fn read_end(tail: &[u8]) -> Result<End> {
    let Some(start) = tail.len().checked_sub(FOOTER_BYTES) else { return Ok(End::Unsealed) };
    let footer = &tail[start..];
    if footer[..16] != FOOTER_HEAD || footer[24..] != FOOTER_TAIL {
        return Ok(End::Unsealed);
    }
    let length = u64::from_le_bytes(footer[16..24].try_into()?);
    if length > MAX_SEAL_BYTES {
        bail!("the dump's footer is damaged");
    }
    let Some(start) = usize::try_from(length).ok().and_then(|length| start.checked_sub(length)) else {
        return Ok(End::Need(length + FOOTER_BYTES as u64));
    };
    let mut line = Vec::new();
    // Some kilobytes can unpack to gigabytes, and a list reads the seals of all dumps.
    GzDecoder::new(&tail[start..tail.len() - FOOTER_BYTES])
        .take(MAX_SEAL_BYTES + 1)
        .read_to_end(&mut line)
        .context("the dump's seal is damaged")?;
    if line.len() as u64 > MAX_SEAL_BYTES {
        bail!("the dump's seal is longer than any");
    }
    Ok(End::Line(line))
}

/// The longest seal, packed or not: no longer line of a dump is read. One of a hundred thousand tables stays below.
const MAX_SEAL_BYTES: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::bucket::member;
    use flate2::read::MultiGzDecoder;

    fn gunzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        MultiGzDecoder::new(bytes).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn members_and_the_sealed_end_read_as_one_file() {
        let mut object = member::packed(b"SELECT 1;\n", 6).unwrap();
        object.extend_from_slice(&member::packed(b"SELECT 2;\n", 6).unwrap());
        object.extend_from_slice(&sealed_end("-- bkp seal {}\n").unwrap());
        assert_eq!(gunzip(&object), b"SELECT 1;\nSELECT 2;\n-- bkp seal {}\n");
    }

    #[test]
    fn the_seal_is_found_from_the_end() {
        let mut object = member::packed(b"SELECT 1;\n", 6).unwrap();
        object.extend_from_slice(&sealed_end("-- bkp seal {}\n").unwrap());
        assert_eq!(read_end(&object).unwrap(), End::Line(b"-- bkp seal {}\n".to_vec()));
        let End::Need(length) = read_end(&object[object.len() - FOOTER_BYTES - 3..]).unwrap() else {
            panic!("found without its bytes")
        };
        assert!(matches!(read_end(&object[object.len() - usize::try_from(length).unwrap()..]).unwrap(), End::Line(_)));
    }

    #[test]
    fn a_seal_that_unpacks_to_more_than_any_seal_has_is_refused() {
        let line = |bytes: u64| " ".repeat(usize::try_from(bytes).unwrap());
        let object = sealed_end(&line(MAX_SEAL_BYTES + 1)).unwrap();
        assert!(object.len() < 100_000);
        assert!(read_end(&object).unwrap_err().to_string().contains("longer than any"));
        assert!(matches!(read_end(&sealed_end(&line(MAX_SEAL_BYTES)).unwrap()).unwrap(), End::Line(_)));
    }

    #[test]
    fn what_others_wrote_or_was_cut_has_no_seal() {
        assert_eq!(read_end(b"").unwrap(), End::Unsealed);
        assert_eq!(read_end(&member::packed(b"SELECT 1;\n", 6).unwrap()).unwrap(), End::Unsealed);
        let whole = sealed_end("-- bkp seal {}\n").unwrap();
        assert_eq!(read_end(&whole[..whole.len() - 1]).unwrap(), End::Unsealed);
    }
}
