//! Reading a dump back: gzip (any number of members) or plain SQL, told apart by the first bytes, not by the name.
//!
//! Members that bkp wrote say their length, and are unpacked by all cores; everybody else's gzip is unpacked as it comes.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use tokio::task::JoinHandle;

use super::foreign::{Gunzip, Wrong};
use super::member::{self, Lines, Next};
use crate::error::Failure;
use crate::exit::Exit;

/// What stored bytes turn into.
#[derive(Debug, PartialEq, Eq)]
pub enum Unpacked {
    /// SQL.
    Sql(Bytes),
    /// A member that was not unpacked, because it is nothing but lines of rows.
    Lines(Lines),
}

/// Turns stored bytes into SQL, in pieces as they come.
pub struct Unpacker {
    way: Way,
    /// What has come and is not unpacked.
    stored: BytesMut,
    /// Members at work, in order, and how long they are stored.
    unpacking: VecDeque<(usize, JoinHandle<Result<Vec<u8>>>)>,
    /// How long the member is stored that was given out last.
    given: usize,
    /// How many of them at once: each is memory.
    depth: usize,
}

enum Way {
    Unknown,
    /// The same, and what is plain is no dump: its beginning was changed.
    Sealed,
    Plain,
    Ours,
    Gzip(Gunzip),
}

/// More is read only when there is nothing to unpack, and other people's gzip goes in bits, so that a chunk of well compressed rows
/// does not become gigabytes at once.
const SLICE_BYTES: usize = 16 << 10;

const CORES: usize = 4;

impl Default for Unpacker {
    fn default() -> Self {
        let depth = std::thread::available_parallelism().map_or(2, usize::from).min(CORES) + 1;
        Unpacker { way: Way::Unknown, stored: BytesMut::new(), unpacking: VecDeque::new(), given: 0, depth }
    }
}

impl Unpacker {
    /// For a dump whose end says that bkp packed it.
    pub fn of_sealed() -> Unpacker {
        Unpacker { way: Way::Sealed, ..Unpacker::default() }
    }

    /// For members of one that was read before, from any of them on.
    pub fn of_members() -> Unpacker {
        Unpacker { way: Way::Ours, ..Unpacker::default() }
    }

    /// The same, where others read other members at the same time.
    pub fn of_part() -> Unpacker {
        Unpacker { depth: 2, ..Unpacker::of_members() }
    }

    /// How many stored bytes are the member that was given out last; none where members do not say their length.
    pub fn given(&self) -> usize {
        self.given
    }

    /// Takes stored bytes.
    pub fn push(&mut self, stored: &[u8]) {
        self.stored.extend_from_slice(stored);
    }

    /// The next SQL; none when more stored bytes are needed first.
    ///
    /// # Errors
    /// When the gzip is damaged: a wrong checksum, rubbish between or behind members.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        match self.next_or_lines(false).await? {
            Some(Unpacked::Sql(sql)) => Ok(Some(sql)),
            Some(Unpacked::Lines(_)) => bail!("rows were passed over that were asked for; this is a defect of bkp"),
            None => Ok(None),
        }
    }

    /// The same; but where the SQL that was given out ends `among_rows` of a COPY, and the next member can be nothing but more of them, only
    /// what that says of its lines.
    ///
    /// # Errors
    /// As [`Unpacker::next`].
    pub async fn next_or_lines(&mut self, among_rows: bool) -> Result<Option<Unpacked>> {
        loop {
            match &mut self.way {
                Way::Unknown | Way::Sealed if self.stored.len() < 2 => return Ok(None),
                Way::Unknown | Way::Sealed if self.stored.starts_with(&[0x1f, 0x8b]) => self.way = Way::Ours,
                Way::Sealed => bail!(damaged(anyhow::anyhow!("it does not begin as gzip"))),
                Way::Unknown => self.way = Way::Plain,
                Way::Plain => {
                    return Ok((!self.stored.is_empty()).then(|| Unpacked::Sql(self.stored.split().freeze())));
                }
                Way::Ours if self.unpacking.len() >= self.depth => return self.oldest_sql().await,
                Way::Ours => match member::next(&self.stored) {
                    Next::Unknown => return Ok(None),
                    Next::Member(length) => {
                        if among_rows && let Some(lines) = member::lines(&self.stored[..length]) {
                            // First what stands before it: it may end the rows.
                            if !self.unpacking.is_empty() {
                                return self.oldest_sql().await;
                            }
                            self.stored.advance(length);
                            self.given = length;
                            return Ok(Some(Unpacked::Lines(lines)));
                        }
                        let member = self.stored.split_to(length).freeze();
                        self.unpacking.push_back((length, tokio::task::spawn_blocking(move || unpacked(&member))));
                    }
                    // First what stands before it.
                    Next::Foreign if !self.unpacking.is_empty() => return self.oldest_sql().await,
                    Next::Foreign => (self.way, self.given) = (Way::Gzip(Gunzip::Between), 0),
                },
                Way::Gzip(_) if self.stored.is_empty() => return Ok(None),
                Way::Gzip(gunzip) => {
                    let slice = &self.stored[..self.stored.len().min(SLICE_BYTES)];
                    let sql = gunzip.push(slice).map_err(wrong)?;
                    self.stored.advance(slice.len());
                    if !sql.is_empty() {
                        return Ok(Some(Unpacked::Sql(sql.into())));
                    }
                }
            }
        }
    }

    async fn oldest_sql(&mut self) -> Result<Option<Unpacked>> {
        Ok(self.oldest().await?.map(Unpacked::Sql))
    }

    async fn oldest(&mut self) -> Result<Option<Bytes>> {
        match self.unpacking.pop_front() {
            Some((length, oldest)) => {
                self.given = length;
                Ok(Some(oldest.await.context("unpacking")??.into()))
            }
            None => Ok(None),
        }
    }

    /// The rest, bit by bit, when all stored bytes have come and been unpacked; none at the end of what was read whole.
    ///
    /// # Errors
    /// When the gzip ends in the middle of a member, or there was nothing at all.
    pub async fn rest(&mut self) -> Result<Option<Bytes>> {
        match &mut self.way {
            Way::Unknown | Way::Sealed => bail!(
                Failure::new("the stored file is empty")
                    .hint("nothing was touched; choose another backup: bkp list")
                    .exit(Exit::ProofFailed)
            ),
            Way::Ours if !self.unpacking.is_empty() => self.oldest().await,
            Way::Ours if !self.stored.is_empty() => {
                bail!(damaged(anyhow::anyhow!("it ends in the middle of a member")))
            }
            Way::Plain | Way::Ours => Ok(None),
            Way::Gzip(gunzip) => {
                let sql = gunzip.finish().map_err(wrong)?;
                Ok((!sql.is_empty()).then(|| sql.into()))
            }
        }
    }
}

fn unpacked(member: &Bytes) -> Result<Vec<u8>> {
    member::unpacked(member).map_err(|error| damaged(error).into())
}

fn wrong(wrong: Wrong) -> Failure {
    match wrong {
        Wrong::Damaged(error) => damaged(error.into()),
        Wrong::Rubbish => Failure::new(
            "the stored file is damaged: behind a whole gzip stands something that is neither gzip nor zeros",
        )
        .hint("nothing was touched; choose another backup: bkp list")
        .exit(Exit::ProofFailed),
    }
}

fn damaged(error: anyhow::Error) -> Failure {
    Failure::new("the stored file is damaged: its gzip cannot be read to the end")
        .hint("nothing was touched; choose another backup: bkp list")
        .exit(Exit::ProofFailed)
        .because(error.context("gunzip"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::repository::bucket::{cut, pack};

    async fn unpack_all(stored: &[u8], chunk: usize) -> Result<Vec<u8>> {
        let (mut unpacker, mut sql) = (Unpacker::default(), Vec::new());
        for chunk in stored.chunks(chunk) {
            unpacker.push(chunk);
            while let Some(more) = unpacker.next().await? {
                sql.extend(more);
            }
        }
        while let Some(more) = unpacker.rest().await? {
            sql.extend(more);
        }
        Ok(sql)
    }

    fn packed() -> Vec<u8> {
        let mut stored = member::packed(b"SELECT 1;\n", 6).unwrap();
        for byte in b'a'..=b'z' {
            stored.extend_from_slice(&member::packed(&vec![byte; 10_000], 6).unwrap());
        }
        stored.extend_from_slice(&pack::sealed_end("-- bkp seal {}\n").unwrap());
        stored
    }

    fn gzip(piece: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(piece).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn members_read_as_one_in_any_chunks() {
        let whole = unpack_all(&packed(), usize::MAX).await.unwrap();
        for size in [1, 7, 100, 10_000] {
            assert_eq!(unpack_all(&packed(), size).await.unwrap(), whole);
        }
        let mut expected = b"SELECT 1;\n".to_vec();
        (b'a'..=b'z').for_each(|byte| expected.extend(vec![byte; 10_000]));
        expected.extend_from_slice(b"-- bkp seal {}\n");
        assert!(whole == expected);
    }

    #[tokio::test]
    async fn other_peoples_members_may_stand_before_between_and_behind_ours() {
        let (ours, theirs) = (member::packed(b"ours\n", 6).unwrap(), gzip(b"theirs\n"));
        let long = member::packed(&vec![b'x'; cut::LONGEST + 1], 6).unwrap();
        for (parts, expected) in [
            (vec![&ours[..], &theirs, &ours], b"ours\ntheirs\nours\n".to_vec()),
            (vec![&theirs[..], &ours], b"theirs\nours\n".to_vec()),
        ] {
            for size in [1, 11, 1000] {
                assert_eq!(unpack_all(&parts.concat(), size).await.unwrap(), expected);
            }
        }
        assert!(unpack_all(&long, 1000).await.is_err(), "no run of ours writes it");
    }

    #[tokio::test]
    async fn zeros_behind_the_last_member_are_nothing_and_anywhere_else_rubbish() {
        let (ours, theirs) = (member::packed(b"SELECT 1;\n", 6).unwrap(), gzip(b"SELECT 1;\n"));
        for good in [ours, [gzip(b"SELECT "), gzip(b"1;\n")].concat(), theirs.clone()] {
            for zeros in [1, 7, 8, 511, 100_000] {
                let padded = [good.clone(), vec![0; zeros]].concat();
                for size in [1, 11, good.len(), usize::MAX] {
                    assert_eq!(unpack_all(&padded, size).await.unwrap(), b"SELECT 1;\n", "{zeros} in {size}");
                }
                for more in [b"x".to_vec(), theirs.clone()] {
                    let told = unpack_all(&[&padded[..], &more].concat(), 11).await.unwrap_err().to_string();
                    assert!(told.contains("neither gzip nor zeros"), "{told}");
                }
            }
        }
        // In place of what was cut off they are damage.
        let cut = [&theirs[..theirs.len() - 6], &[0; 600]].concat();
        assert!(unpack_all(&cut, 100).await.is_err());
    }

    #[tokio::test]
    async fn plain_sql_passes() {
        assert_eq!(unpack_all(b"SELECT 1;\n", 3).await.unwrap(), b"SELECT 1;\n");
    }

    #[tokio::test]
    async fn a_flipped_bit_a_cut_and_rubbish_behind_are_errors() {
        for good in [packed(), [gzip(b"SELECT 1;\n"), gzip(&[b'x'; 10_000])].concat()] {
            // In the data, the checksum and the length of the first member, and in the data of the second.
            let second = 1 + good[1..].windows(3).position(|window| window == [0x1f, 0x8b, 8]).unwrap();
            for at in [second - 12, second - 8, second - 4, second + 29] {
                let mut bad = good.clone();
                bad[at] ^= 1;
                assert!(unpack_all(&bad, 1000).await.is_err(), "bit {at}");
            }
            for cut in (2..good.len()).filter(|cut| *cut != second).step_by(7) {
                let is_end = good[cut..].starts_with(&good[..3]) || good[cut..].starts_with(&[0x1f, 0x8b, 8, 0]);
                assert!(is_end || unpack_all(&good[..cut], 1000).await.is_err(), "cut at {cut}");
            }
            let mut bad = good.clone();
            bad.extend_from_slice(b"rubbish behind the last member");
            let told = unpack_all(&bad, 1000).await.unwrap_err().to_string();
            assert!(told.contains("neither gzip nor zeros"), "{told}");
        }
        assert!(unpack_all(b"", 1).await.is_err());
        assert!(unpack_all(b"\x1f", 1).await.is_err());
    }
}
