//! Deflate (RFC 1951) of whole pieces: the compressor is the limit of a dump, so each level has the fastest that there is for it, and a
//! restore has the fastest that unpacks.

use anyhow::{Context, Result, anyhow};
use libdeflater::{CompressionLvl, Compressor, Decompressor};

/// Appends a compressed piece, at a level from 1 to 12.
///
/// # Errors
/// For another level, or when the compressor breaks its own bound.
pub fn append(out: &mut Vec<u8>, piece: &[u8], level: u8) -> Result<()> {
    #[cfg(feature = "isal")]
    if level == 1 {
        return fastest(out, piece);
    }
    let chosen = CompressionLvl::new(level.into()).map_err(|_| anyhow!("no such compression level"))?;
    let mut compressor = Compressor::new(chosen);
    let begin = out.len();
    out.resize(begin + compressor.deflate_compress_bound(piece.len()), 0);
    let length = compressor.deflate_compress(piece, &mut out[begin..]).context("compressing")?;
    out.truncate(begin + length);
    Ok(())
}

/// Unpacks a piece into the room for it, and says how much of that it takes. What follows its end is left alone.
///
/// # Errors
/// When it is not whole, is no deflate, or needs more room.
pub fn unpack(packed: &[u8], piece: &mut [u8]) -> Result<usize> {
    // Three quarters of libdeflate's time for a dump's rows. What it does not take that one looks at, and says why.
    #[cfg(feature = "isal")]
    if let Ok(length) = isal::decompress_into(packed, piece, isal::Codec::Deflate) {
        return Ok(length);
    }
    Decompressor::new().deflate_decompress(packed, piece).context("gunzip")
}

/// ISA-L: dumps of about the size of `gzip -6`, at three times the speed of libdeflate's fastest.
#[cfg(feature = "isal")]
fn fastest(out: &mut Vec<u8>, piece: &[u8]) -> Result<()> {
    let begin = out.len();
    // What cannot be packed is stored in blocks, with five bytes before each.
    out.resize(begin + piece.len() + piece.len() / 1000 + 64, 0);
    let length = isal::compress_into(piece, &mut out[begin..], isal::CompressionLevel::One, isal::Codec::Deflate)
        .map_err(|error| anyhow!("compressing: {error}"))?;
    out.truncate(begin + length);
    Ok(())
}
