//! Other people's gzip, as it comes: member after member. Zeros behind the last one are nothing, as they are to gzip: a tape or a
//! device is read to the end of a block.

use std::io::{self, Write};

use flate2::write::GzDecoder;

/// Unpacks bytes as they come.
pub(super) enum Gunzip {
    /// No member has begun, or one has ended.
    Between,
    /// In one.
    Member(Box<GzDecoder<Vec<u8>>>),
    /// Behind the last one.
    Zeros,
}

/// What is wrong with it.
#[derive(Debug)]
pub(super) enum Wrong {
    /// A member is damaged or cut short.
    Damaged(io::Error),
    /// Behind a whole member stands something that is no gzip.
    Rubbish,
}

impl Gunzip {
    /// What the next bytes unpack to.
    pub(super) fn push(&mut self, mut stored: &[u8]) -> Result<Vec<u8>, Wrong> {
        let mut out = Vec::new();
        while let Some(&first) = stored.first() {
            match self {
                Self::Between => {
                    *self = match first {
                        0 => Self::Zeros,
                        0x1f => Self::Member(Box::new(GzDecoder::new(Vec::new()))),
                        _ => return Err(Wrong::Rubbish),
                    }
                }
                Self::Zeros => {
                    if stored.iter().any(|&byte| byte != 0) {
                        return Err(Wrong::Rubbish);
                    }
                    break;
                }
                Self::Member(member) => match member.write(stored).map_err(Wrong::Damaged)? {
                    // It has ended before these bytes.
                    0 => out.append(&mut self.finish()?),
                    used => stored = &stored[used..],
                },
            }
        }
        if let Self::Member(member) = self {
            out.append(member.get_mut());
        }
        Ok(out)
    }

    /// What is left of the member that has to end here.
    pub(super) fn finish(&mut self) -> Result<Vec<u8>, Wrong> {
        match std::mem::replace(self, Self::Between) {
            Self::Member(member) => member.finish().map_err(Wrong::Damaged),
            Self::Between | Self::Zeros => Ok(Vec::new()),
        }
    }
}
