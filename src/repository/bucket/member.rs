//! A member of a dump's gzip that says how long it is, so that a reader knows where the next one begins without unpacking it,
//! and unpacks several at once. One that can be nothing but rows, where rows are being read, says how many lines it holds: whoever only
//! counts them need not unpack it at all.
//!
//! Both stand in the header's extra field (RFC 1952, 2.3.1.1; subfields `Bm` and `Br`, four bytes each; BGZF has its length in `BC`),
//! which every gunzip skips.

use anyhow::{Result, ensure};
use libdeflater::crc32;
use memchr::{memchr, memchr_iter, memmem};

use super::cut::LONGEST;
use super::deflate;

/// How a member begins that says its length alone.
const HEAD: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 8, 0, b'B', b'm', 4, 0];
/// How one begins that says its lines as well.
const HEAD_OF_LINES: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 16, 0, b'B', b'm', 4, 0];
/// What stands between the length and the lines.
const LINES: [u8; 4] = [b'B', b'r', 4, 0];
/// The beginning, and the length in four bytes.
const HEAD_BYTES: usize = HEAD.len() + 4;
const HEAD_OF_LINES_BYTES: usize = HEAD_BYTES + LINES.len() + 4;
/// Checksum and length of what was packed.
const TAIL_BYTES: usize = 8;

/// No member of a dump's rows is longer; a longer one is read as anybody's.
const PACKED_MAX: usize = LONGEST + LONGEST / 8;

/// How much of an object's start [`begins_ours`] wants to see, in bytes.
pub const SHOWN_BYTES: usize = HEAD.len();

/// Whether an object that begins so is a dump of ours: no other gzip does.
pub fn begins_ours(start: &[u8]) -> bool {
    start == HEAD || start == HEAD_OF_LINES
}

/// The lines of a piece; where a member says them, none of them begins, or may begin, as the end of a COPY's rows does: `\.`. Among rows it
/// is nothing but rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    /// How long the piece is, unpacked.
    pub bytes: u64,
    /// How many lines end in it.
    pub count: u64,
    /// Whether its last byte ends one.
    pub is_ended: bool,
}

impl Lines {
    fn of(piece: &[u8]) -> Option<Lines> {
        let may_end_rows =
            piece.starts_with(b"\\") || piece.ends_with(b"\n\\") || memmem::find(piece, b"\n\\.").is_some();
        // A NUL is refused wherever it stands, and one who does not look would not see it.
        if piece.is_empty() || piece.len() > LONGEST || may_end_rows || memchr(0, piece).is_some() {
            return None;
        }
        Some(Lines::counted(piece))
    }

    /// What any piece holds.
    pub fn counted(piece: &[u8]) -> Lines {
        let count = memchr_iter(b'\n', piece).count() as u64;
        Lines { bytes: piece.len() as u64, count, is_ended: piece.ends_with(b"\n") }
    }

    /// As the header has it: the count, doubled, and one more where the last line is ended.
    fn said(self) -> Result<[u8; 4]> {
        Ok(u32::try_from(2 * self.count + u64::from(self.is_ended))?.to_le_bytes())
    }
}

/// Compresses a piece into one whole gzip member, at a level from 1 to 12; `out` is emptied first. The same piece and level give the same
/// bytes.
///
/// # Errors
/// For another level, a piece of more than 4 GiB, or when the compressor breaks its own bound.
pub fn pack(out: &mut Vec<u8>, piece: &[u8], level: u8) -> Result<()> {
    let lines = Lines::of(piece);
    out.clear();
    out.resize(HEAD_BYTES, 0);
    if let Some(lines) = lines {
        out.extend_from_slice(&LINES);
        out.extend_from_slice(&lines.said()?);
    }
    deflate::append(out, piece, level)?;
    out.extend_from_slice(&crc32(piece).to_le_bytes());
    out.extend_from_slice(&u32::try_from(piece.len())?.to_le_bytes());
    let length = u32::try_from(out.len())?;
    out[..HEAD.len()].copy_from_slice(if lines.is_some() { &HEAD_OF_LINES } else { &HEAD });
    out[HEAD.len()..HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// The same, in memory of its own.
///
/// # Errors
/// As [`pack`].
pub fn packed(piece: &[u8], level: u8) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    pack(&mut out, piece, level).map(|()| out)
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
    let head = match &stored[..shown] {
        start if *start == HEAD[..shown] => HEAD_BYTES,
        start if *start == HEAD_OF_LINES[..shown] => HEAD_OF_LINES_BYTES,
        _ => return Next::Foreign,
    };
    let Some(length) = stored.get(HEAD.len()..HEAD_BYTES).and_then(|bytes| bytes.try_into().ok()) else {
        return Next::Unknown;
    };
    match u32::from_le_bytes(length) as usize {
        length if !(head + TAIL_BYTES..=PACKED_MAX).contains(&length) => Next::Foreign,
        length if length > stored.len() => Next::Unknown,
        length => Next::Member(length),
    }
}

/// What a whole member says of its lines, if it does.
pub fn lines(member: &[u8]) -> Option<Lines> {
    let said = member.strip_prefix(&HEAD_OF_LINES)?.get(4..)?.strip_prefix(&LINES)?;
    let said = u64::from(u32::from_le_bytes(*said.first_chunk()?));
    let bytes = u64::from(u32::from_le_bytes(*member.last_chunk()?));
    Some(Lines { bytes, count: said / 2, is_ended: said % 2 == 1 })
}

/// Unpacks a whole member.
///
/// # Errors
/// When it is damaged, or holds other lines than it says: its data, its checksum, its length.
pub fn unpacked(member: &[u8]) -> Result<Vec<u8>> {
    let head = if member.starts_with(&HEAD_OF_LINES) { HEAD_OF_LINES_BYTES } else { HEAD_BYTES };
    let (rest, tail) = member.split_at(member.len() - TAIL_BYTES);
    let word = |at: usize| u32::from_le_bytes([tail[at], tail[at + 1], tail[at + 2], tail[at + 3]]);
    let length = word(4) as usize;
    ensure!(length <= LONGEST, "a member says that it holds {length} bytes");
    let mut piece = vec![0; length];
    let read = deflate::unpack(&rest[head..], &mut piece)?;
    ensure!(read == length, "a member holds {read} bytes instead of {length}");
    ensure!(crc32(&piece) == word(0), "the checksum of a member differs");
    // Whoever counted its lines without unpacking it was told the truth.
    let said = lines(member);
    ensure!(said.is_none() || said == Lines::of(&piece), "a member holds other lines than it says");
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
            let mut member = packed(&piece, 6).unwrap();
            let at = at.index(member.len());
            member[at] ^= by;
            if next(&member) == Next::Member(member.len()) {
                prop_assert!(unpacked(&member).map_or(true, |unpacked| unpacked == piece));
            }
        }
    }

    #[test]
    fn lines_are_said_where_nothing_can_end_rows() {
        let said =
            |piece: &[u8]| lines(&packed(piece, 1).unwrap()).map(|lines| (lines.bytes, lines.count, lines.is_ended));
        assert_eq!(said(b"1\ta\n2\t\\N\n"), Some((9, 2, true)));
        assert_eq!(said(b"half a row"), Some((10, 0, false)));
        assert_eq!(said(b"\n\na\\.\nb"), Some((7, 3, false)), "amid a line it ends nothing");
        assert_eq!(said(&vec![b'\n'; LONGEST]), Some((2 << 20, 2 << 20, true)));
        for piece in [
            &b""[..],
            b"1\n\\.\n",
            b"1\n\\.x\n",
            // The member before may end a line, and the one behind go on with this one.
            b"\\.\n",
            b"\\N\t1\n",
            b"1\n\\",
            b"1\0\n",
            &vec![b'\n'; LONGEST + 1],
        ] {
            assert_eq!(said(piece), None, "{piece:?}");
        }
        // Rows that end, and what would be run behind them.
        let (mut forged, count) = (packed(b"1\n\\.\nSELECT 2;\n", 1).unwrap(), packed(b"1\n2\n3\n", 1).unwrap());
        forged.splice(..HEAD_BYTES, count[..HEAD_OF_LINES_BYTES].to_vec());
        let length = u32::try_from(forged.len()).unwrap();
        forged[16..20].copy_from_slice(&length.to_le_bytes());
        assert_eq!((next(&forged), lines(&forged).map(|lines| lines.count)), (Next::Member(forged.len()), Some(3)));
        assert!(unpacked(&forged).unwrap_err().to_string().contains("other lines"));
        let without = packed(b"\\.\n", 1).unwrap();
        assert_eq!((next(&without), without[..HEAD.len()] == HEAD), (Next::Member(without.len()), true));
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
