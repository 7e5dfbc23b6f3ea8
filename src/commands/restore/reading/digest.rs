//! Whether the store gives at the second reading what it gave at the first.

use anyhow::{Result, bail};

use crate::error::Failure;
use crate::exit::Exit;
use crate::sources::postgres::lexer::HELD_MAX;
use crate::sources::postgres::seal::{SEAL, Seal, blake3_of, digest_differs};

/// Digests SQL as it is read.
pub enum Digest {
    /// All of it, to be compared with another reading.
    All(Box<blake3::Hasher>),
    /// Of a dump that was not unpacked at the first reading: what its seal says of all SQL before it, and what comes behind that, the
    /// seal's line.
    Sealed(Box<Prefix>, Vec<u8>),
}

impl Default for Digest {
    fn default() -> Digest {
        Digest::All(Box::default())
    }
}

impl Digest {
    /// Of what is as this seal says.
    pub fn of_sealed(seal: &Seal) -> Digest {
        Digest::Sealed(Box::new(Prefix::new(seal.bytes, &seal.digest)), Vec::new())
    }

    /// For another reading of the same.
    #[must_use]
    pub fn again(&self) -> Digest {
        match self {
            Digest::All(_) => Digest::default(),
            Digest::Sealed(sql, _) => Digest::Sealed(sql.clone(), Vec::new()),
        }
    }

    /// What the seal says of all SQL before it, where that is what the second reading is compared with.
    pub fn sealed(&self) -> Option<&str> {
        match self {
            Digest::All(_) => None,
            Digest::Sealed(sql, _) => Some(&sql.digest),
        }
    }

    /// Takes a piece.
    pub fn push(&mut self, piece: &[u8]) {
        match self {
            Digest::All(hasher) => {
                hasher.update(piece);
            }
            Digest::Sealed(sql, line) => {
                let behind = sql.push(piece);
                // More than any seal's is as bad as all of it.
                let room = (HELD_MAX + 1).saturating_sub(line.len());
                line.extend_from_slice(&behind[..behind.len().min(room)]);
            }
        }
    }

    /// Compares with the first reading.
    ///
    /// # Errors
    /// When the store gave something else.
    pub fn prove(&self, first: &Digest) -> Result<()> {
        match (self, first) {
            (Digest::Sealed(sql, line), _) if sql.is_same() && is_a_seal(line) => Ok(()),
            (Digest::Sealed(..), _) => bail!(digest_differs()),
            (Digest::All(again), Digest::All(first)) if again.finalize() == first.finalize() => Ok(()),
            (Digest::All(_), _) => bail!(
                Failure::new("the store gave another dump at the second reading than at the first")
                    .hint("nothing live was touched; run bkp check --read-data")
                    .exit(Exit::ProofFailed)
            ),
        }
    }
}

/// The first bytes of a stream, which are to have a digest that is known.
#[derive(Clone)]
pub struct Prefix {
    /// How many are still to come.
    left: u64,
    digest: String,
    hasher: blake3::Hasher,
}

impl Prefix {
    /// So many bytes, and their digest as a seal spells it.
    pub fn new(bytes: u64, digest: &str) -> Prefix {
        Prefix { left: bytes, digest: digest.to_owned(), hasher: blake3::Hasher::new() }
    }

    /// Takes a piece; gives what of it lies behind the prefix.
    pub fn push<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        let (own, behind) = piece.split_at(usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len()));
        self.hasher.update(own);
        self.left -= own.len() as u64;
        behind
    }

    /// Whether all of it has come, and is what it is to be.
    pub fn is_same(&self) -> bool {
        self.left == 0 && blake3_of(&self.hasher) == self.digest
    }
}

/// One line, which is a comment: nothing behind what is digested was run.
fn is_a_seal(line: &[u8]) -> bool {
    let ends = line.iter().position(|byte| b"\n\r".contains(byte)).unwrap_or(line.len());
    line.len() <= HELD_MAX && line.starts_with(SEAL) && line[ends..].iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &[u8] = b"SELECT 1;\nSELECT 2;\n";
    const LINE: &[u8] = b"-- bkp seal {}\n";

    fn sealed(sql: &[u8]) -> Digest {
        let digest = format!("blake3:{}", blake3::hash(sql).to_hex());
        Digest::Sealed(Box::new(Prefix::new(sql.len() as u64, &digest)), Vec::new())
    }

    fn proves(first: &Digest, read: &[u8], size: usize) -> bool {
        let mut digest = first.again();
        read.chunks(size).for_each(|piece| digest.push(piece));
        digest.prove(first).is_ok()
    }

    #[test]
    fn two_readings_are_compared_whole() {
        let mut first = Digest::default();
        first.push(&[SQL, LINE].concat());
        for size in [1, 7, 100] {
            assert!(proves(&first, &[SQL, LINE].concat(), size));
            assert!(!proves(&first, SQL, size));
        }
    }

    #[test]
    fn one_reading_is_compared_with_its_seal_and_nothing_else_is_behind_it() {
        let first = sealed(SQL);
        for size in [1, 7, 100] {
            assert!(proves(&first, &[SQL, LINE].concat(), size));
            assert!(proves(&first, &[SQL, b"-- bkp seal {}"].concat(), size));
            assert!(proves(&first, &[SQL, LINE, b"\r\n \n"].concat(), size));
            for behind in [&b""[..], b"\n", b"SELECT 3;\n", b"-- bkp seal {}\nSELECT 3;", b"-- bkp seal {}\rSELECT 3;"]
            {
                assert!(!proves(&first, &[SQL, behind].concat(), size), "{behind:?}");
            }
            assert!(!proves(&first, &[b"SELECT 1;\nSELECT 3;\n", LINE].concat(), size));
            assert!(!proves(&first, &[&SQL[..9], LINE].concat(), size));
        }
        assert!(!proves(&first, &[SQL, b"-- bkp seal ", &vec![b'x'; HELD_MAX][..]].concat(), 1 << 20));
    }
}
