//! A member of a dump's gzip that says how long it is, so that a reader knows where the next one begins without unpacking it,
//! and unpacks several at once.
//!
//! The length stands in an extra field of the header (RFC 1952, 2.3.1.1; subfield `Bm`, four bytes, as BGZF has it in `BC`), which
//! every gunzip skips.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use libdeflater::{Decompressor, crc32};

use super::cut::LONGEST;
use super::deflate;

/// How a dump of ours begins; no other gzip does.
pub const HEAD: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 8, 0, b'B', b'm', 4, 0];
const HEAD_BYTES: usize = HEAD.len() + 4;
/// Checksum and length of what was packed.
const TAIL_BYTES: usize = 8;

/// No member of a dump's rows is longer; a longer one is read as anybody's.
const PACKED_MAX: usize = LONGEST + LONGEST / 8;

/// Compresses a piece into one whole gzip member, at a level from 1 to 12. The same piece and level give the same bytes.
///
/// # Errors
/// For another level, a piece of more than 4 GiB, or when the compressor breaks its own bound.
pub fn packed(piece: &[u8], level: u8) -> Result<Bytes> {
    let mut out = vec![0; HEAD_BYTES];
    deflate::append(&mut out, piece, level)?;
    out.extend_from_slice(&crc32(piece).to_le_bytes());
    out.extend_from_slice(&u32::try_from(piece.len())?.to_le_bytes());
    let length = u32::try_from(out.len())?;
    out[..HEAD.len()].copy_from_slice(&HEAD);
    out[HEAD.len()..HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
    // It waits for its part of an upload, and is a third of what was made room for.
    out.shrink_to_fit();
    Ok(out.into())
}

/// What the next bytes of a dump are.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Too few to tell, or not yet a whole member.
    Unknown,
    /// A member of this length, in bytes, all of which are there.
    Member(usize),
    /// Something else: it is read as any gzip is.
    Foreign,
}

/// Looks at the next bytes of a dump, where a member must begin.
pub fn next(stored: &[u8]) -> Next {
    let shown = stored.len().min(HEAD.len());
    if stored[..shown] != HEAD[..shown] {
        return Next::Foreign;
    }
    let Some(length) = stored.get(HEAD.len()..HEAD_BYTES).and_then(|bytes| bytes.try_into().ok()) else {
        return Next::Unknown;
    };
    match u32::from_le_bytes(length) as usize {
        length if !(HEAD_BYTES + TAIL_BYTES..=PACKED_MAX).contains(&length) => Next::Foreign,
        length if length > stored.len() => Next::Unknown,
        length => Next::Member(length),
    }
}

/// Unpacks a whole member.
///
/// # Errors
/// When it is damaged: its data, its checksum, its length.
pub fn unpacked(member: &[u8]) -> Result<Vec<u8>> {
    let (rest, tail) = member.split_at(member.len() - TAIL_BYTES);
    let word = |at: usize| u32::from_le_bytes([tail[at], tail[at + 1], tail[at + 2], tail[at + 3]]);
    let length = word(4) as usize;
    ensure!(length <= LONGEST, "a member says that it holds {length} bytes");
    let mut piece = vec![0; length];
    let read = Decompressor::new().deflate_decompress(&rest[HEAD_BYTES..], &mut piece).context("gunzip")?;
    ensure!(read == length, "a member holds {read} bytes instead of {length}");
    ensure!(crc32(&piece) == word(0), "the checksum of a member differs");
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_here_and_by_others(piece in proptest::collection::vec(0..4u8, 0..3000), level in 1..=12u8) {
            let member = packed(&piece, level).unwrap();
            prop_assert_eq!(next(&member), Next::Member(member.len()));
            prop_assert_eq!(&unpacked(&member).unwrap(), &piece);
            let mut others = Vec::new();
            GzDecoder::new(&member[..]).read_to_end(&mut others).unwrap();
            prop_assert_eq!(&others, &piece);
        }

        #[test]
        fn a_changed_byte_never_gives_other_bytes(
            piece in proptest::collection::vec(any::<u8>(), 1..300),
            at in any::<prop::sample::Index>(),
            by in 1..=255u8,
        ) {
            let mut member = packed(&piece, 6).unwrap().to_vec();
            let at = at.index(member.len());
            member[at] ^= by;
            if next(&member) == Next::Member(member.len()) {
                prop_assert!(unpacked(&member).map_or(true, |unpacked| unpacked == piece));
            }
        }
    }

    #[test]
    fn the_longest_piece_that_cannot_be_packed_smaller_is_still_one_of_ours() {
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 56) as u8
        };
        let piece: Vec<u8> = (0..LONGEST).map(|_| noise()).collect();
        let member = packed(&piece, 1).unwrap();
        assert_eq!(next(&member), Next::Member(member.len()));
        assert_eq!(unpacked(&member).unwrap(), piece);
    }

    #[test]
    fn a_member_is_told_only_when_it_is_there_and_ours() {
        let member = packed(b"SELECT 1;\n", 6).unwrap();
        for length in 0..member.len() {
            assert_eq!(next(&member[..length]), Next::Unknown, "{length}");
        }
        assert_eq!(next(&[&member[..], b"more"].concat()), Next::Member(member.len()));
        let mut long = member.to_vec();
        long[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(next(&long), Next::Foreign);
        assert_eq!(next(b"\x1f\x8b\x08\x00"), Next::Foreign);
    }

    #[test]
    fn a_length_that_swallows_the_next_member_is_an_error() {
        let (first, second) = (packed(b"SELECT 1;\n", 6).unwrap(), packed(b"SELECT 22;\n", 6).unwrap());
        let mut both = [&first[..], &second[..]].concat();
        let length = u32::try_from(both.len()).unwrap();
        both[16..20].copy_from_slice(&length.to_le_bytes());
        assert_eq!(next(&both), Next::Member(both.len()));
        assert!(unpacked(&both).is_err());
    }
}
