//! The pieces that a dump is cut into, and how much of it is ever held.

use super::error::DumpError;

/// The longest statement that is handed out whole when no rule needs to see all of it, in bytes.
pub const HOLD_MAX: usize = 1 << 20;
/// The longest statement, comment line or seal that is held at all, in bytes.
pub const HELD_MAX: usize = 16 << 20;

/// Where an event begins, and how it has to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: u64,
    /// Whether strings are standard ones (`standard_conforming_strings`) there.
    pub standard_strings: bool,
    /// Whether the event has blanks that the dump has not, behind colons where psql would have put variables of its own.
    pub blanks: bool,
}

/// One piece of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// White space and block comments between statements; may be split anywhere.
    Space(&'a [u8]),
    /// A line comment between statements, whole, without its line break.
    Comment(&'a [u8]),
    /// A whole statement with its `;`.
    Statement(&'a [u8]),
    /// A part of a statement of more than [`HOLD_MAX`] bytes.
    Long {
        /// The part; may be empty only when it is the last.
        bytes: &'a [u8],
        /// Whether the statement begins with this part.
        first: bool,
        /// Whether it ends with this part.
        last: bool,
    },
    /// A line with a backslash command, with its line break.
    Meta(&'a [u8]),
    /// Bytes of COPY rows; may be split anywhere.
    CopyRows {
        /// The bytes.
        bytes: &'a [u8],
        /// How many rows end in them.
        rows: u64,
    },
    /// The line `\.`.
    CopyEnd(&'a [u8]),
}

impl<'a> Event<'a> {
    /// The event's bytes of the input.
    pub fn bytes(&self) -> &'a [u8] {
        match *self {
            Self::Space(bytes) | Self::Comment(bytes) | Self::Statement(bytes) => bytes,
            Self::Meta(bytes) | Self::CopyEnd(bytes) => bytes,
            Self::Long { bytes, .. } | Self::CopyRows { bytes, .. } => bytes,
        }
    }
}

/// What every tar of today has in its first header, and where.
const TAR: &[u8] = b"ustar";
const TAR_AT: usize = 257;
const TAR_MAX: usize = TAR_AT + TAR.len();

/// Whether more of the beginning is needed before it can be said that it is no SQL: only what has a NUL may be a tar.
pub(super) fn tells_too_little(data: &[u8]) -> bool {
    data.len() < 5 || (data.len() < TAR_MAX && data.contains(&0))
}

/// How long the byte order mark is that psql skips, after a look at what is surely no SQL.
pub(super) fn plain_text(data: &[u8]) -> Result<usize, DumpError> {
    let looks = |what| Err(DumpError::NotPlain { what });
    match data {
        [b'P', b'G', b'D', b'M', b'P', ..] => looks("pg_dump's custom format: use pg_restore"),
        [0x1f, 0x8b, ..] => looks("gzip: unpack it first"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => looks("zstd: unpack it first"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => looks("xz: unpack it first"),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => looks("bzip2: unpack it first"),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => looks("zip: unpack it first"),
        [0x04, 0x22, 0x4d, 0x18, ..] => looks("lz4: unpack it first"),
        // The level's two bits, and no letter behind the `x`.
        [b'x', 0x01 | b'^' | 0x9c | 0xda, ..] => looks("zlib, which is gzip without its head: unpack it first"),
        _ if data.get(TAR_AT..TAR_MAX) == Some(TAR) => looks("tar: unpack it, or use pg_restore if pg_dump wrote it"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => looks("UTF-16"),
        [0xef, 0xbb, 0xbf, ..] => Ok(3),
        _ => Ok(0),
    }
}
