//! Whether the store gives at the second reading what it gave at the first.

use anyhow::{Result, bail};

use crate::error::Failure;
use crate::exit::Exit;
use crate::sources::postgres::lexer::HELD_MAX;
use crate::sources::postgres::seal::{SEAL, Seal, blake3_of, digest_differs};

/// Digests SQL as it is read.
#[derive(Default)]
pub struct Digest {
    hasher: blake3::Hasher,
    sealed: Option<Sealed>,
}

/// What the digest of a dump is that was not unpacked at the first reading: its seal's, of all SQL before that.
#[derive(Clone)]
struct Sealed {
    /// Bytes before the seal that are still to come.
    left: u64,
    digest: String,
    /// What comes behind them: the seal's line.
    line: Vec<u8>,
}

impl Digest {
    /// Of what is as this seal says.
    pub fn of_sealed(seal: &Seal) -> Digest {
        let sealed = Sealed { left: seal.bytes, digest: seal.digest.clone(), line: Vec::new() };
        Digest { sealed: Some(sealed), ..Digest::default() }
    }

    /// For another reading of the same.
    #[must_use]
    pub fn again(&self) -> Digest {
        Digest { hasher: blake3::Hasher::new(), sealed: self.sealed.clone() }
    }

    /// What the seal says of all SQL before it, where that is what the second reading is compared with.
    pub fn sealed(&self) -> Option<&str> {
        self.sealed.as_ref().map(|sealed| sealed.digest.as_str())
    }

    /// Takes a piece.
    pub fn push(&mut self, mut piece: &[u8]) {
        if let Some(sealed) = &mut self.sealed {
            let before = usize::try_from(sealed.left).unwrap_or(usize::MAX).min(piece.len());
            let (sql, line) = piece.split_at(before);
            sealed.left -= sql.len() as u64;
            // More than any seal's is as bad as all of it.
            let room = (HELD_MAX + 1).saturating_sub(sealed.line.len());
            sealed.line.extend_from_slice(&line[..line.len().min(room)]);
            piece = sql;
        }
        self.hasher.update(piece);
    }

    /// Compares with the first reading.
    ///
    /// # Errors
    /// When the store gave something else.
    pub fn prove(&self, first: &Digest) -> Result<()> {
        if let Some(sealed) = &self.sealed {
            if sealed.left > 0 || blake3_of(&self.hasher) != sealed.digest || !is_a_seal(&sealed.line) {
                bail!(digest_differs());
            }
        } else if self.hasher.finalize() != first.hasher.finalize() {
            bail!(
                Failure::new("the store gave another dump at the second reading than at the first")
                    .hint("nothing live was touched; run bkp check --read-data")
                    .exit(Exit::ProofFailed)
            );
        }
        Ok(())
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
        let sealed = Sealed {
            left: sql.len() as u64,
            digest: format!("blake3:{}", blake3::hash(sql).to_hex()),
            line: Vec::new(),
        };
        Digest { sealed: Some(sealed), ..Digest::default() }
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
