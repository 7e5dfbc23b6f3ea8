//! Reading a dump back: gzip (any number of members) or plain SQL, told apart by the first two bytes, not by the name.

use std::io::Write;

use anyhow::{Result, bail};
use flate2::write::MultiGzDecoder;

use crate::error::Failure;
use crate::exit::Exit;

/// Turns stored bytes into SQL, in pieces as they come.
pub struct Unpacker {
    head: Vec<u8>,
    way: Way,
}

enum Way {
    Unknown,
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
}

impl Default for Unpacker {
    fn default() -> Self {
        Unpacker { head: Vec::new(), way: Way::Unknown }
    }
}

impl Unpacker {
    /// Takes stored bytes and returns the SQL that they complete.
    ///
    /// # Errors
    /// When the gzip is damaged: a wrong checksum, rubbish between or behind members.
    pub fn push(&mut self, stored: &[u8]) -> Result<Vec<u8>> {
        if matches!(self.way, Way::Unknown) {
            self.head.extend_from_slice(stored);
            if self.head.len() < 2 {
                return Ok(Vec::new());
            }
            let head = std::mem::take(&mut self.head);
            self.way = if head.starts_with(&[0x1f, 0x8b]) {
                Way::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))
            } else {
                Way::Plain
            };
            return self.unpack(&head);
        }
        self.unpack(stored)
    }

    /// Whether what is stored is known to be SQL as it is.
    pub fn is_plain(&self) -> bool {
        matches!(self.way, Way::Plain)
    }

    fn unpack(&mut self, stored: &[u8]) -> Result<Vec<u8>> {
        match &mut self.way {
            Way::Gzip(decoder) => {
                decoder.write_all(stored).map_err(damaged)?;
                Ok(std::mem::take(decoder.get_mut()))
            }
            _ => Ok(stored.to_vec()),
        }
    }

    /// The rest, at the end of the stored bytes.
    ///
    /// # Errors
    /// When the gzip ends in the middle of a member, or there was nothing at all.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        match self.way {
            Way::Unknown => bail!(Failure::new("the dump is empty").exit(Exit::ProofFailed)),
            Way::Plain => Ok(Vec::new()),
            Way::Gzip(ref mut decoder) => {
                decoder.try_finish().map_err(damaged)?;
                Ok(std::mem::take(decoder.get_mut()))
            }
        }
    }
}

fn damaged(error: std::io::Error) -> Failure {
    Failure::new("the stored file is damaged: its gzip cannot be read to the end")
        .hint("nothing was touched; choose another backup: bkp list")
        .exit(Exit::ProofFailed)
        .because(anyhow::Error::new(error).context("gunzip"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::bucket::pack;

    fn unpack_all(stored: &[u8]) -> Result<Vec<u8>> {
        let mut unpacker = Unpacker::default();
        let mut sql = unpacker.push(stored)?;
        sql.extend(unpacker.finish()?);
        Ok(sql)
    }

    fn packed() -> Vec<u8> {
        let mut stored = pack::member(b"SELECT 1;\n", 6).unwrap().to_vec();
        stored.extend_from_slice(&pack::member(&vec![b'x'; 100_000], 6).unwrap());
        stored.extend_from_slice(&pack::sealed_end("-- bkp seal {}\n").unwrap());
        stored
    }

    #[test]
    fn members_read_as_one_in_any_chunks() {
        let whole = unpack_all(&packed()).unwrap();
        for size in [1, 7, 100, 10_000] {
            let (mut unpacker, mut sql) = (Unpacker::default(), Vec::new());
            for chunk in packed().chunks(size) {
                sql.extend(unpacker.push(chunk).unwrap());
            }
            sql.extend(unpacker.finish().unwrap());
            assert_eq!(sql, whole);
        }
        assert!(whole.starts_with(b"SELECT 1;\nxxx") && whole.ends_with(b"x-- bkp seal {}\n"));
    }

    #[test]
    fn plain_sql_passes() {
        assert_eq!(unpack_all(b"SELECT 1;\n").unwrap(), b"SELECT 1;\n");
    }

    #[test]
    fn a_flipped_bit_a_cut_and_rubbish_behind_are_errors() {
        let good = packed();
        // In the data, the checksum and the length of the first member, and in the data of the second.
        let second = pack::member(b"SELECT 1;\n", 6).unwrap().len();
        for at in [12, second - 8, second - 4, second + 20] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(unpack_all(&bad).is_err(), "bit {at}");
        }
        assert!(unpack_all(&good[..50]).is_err());
        let mut bad = good.clone();
        bad.extend_from_slice(b"rubbish behind the last member");
        assert!(unpack_all(&bad).is_err());
        assert!(unpack_all(b"").is_err());
    }
}
