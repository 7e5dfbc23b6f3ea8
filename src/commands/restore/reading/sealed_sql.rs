//! What a second reading of a sealed dump has to be: all SQL as its seal says, whoever reads which part of it, and behind that nothing but the
//! seal.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};

use super::spans::Span;
use super::tree::{self, Part};
use crate::sources::postgres::lexer::HELD_MAX;
use crate::sources::postgres::seal::{SEAL, digest_differs};

/// For all who read.
pub type Shared = Arc<Mutex<SealedSql>>;

/// For one of them.
pub fn locked(shared: &Shared) -> MutexGuard<'_, SealedSql> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// SQL that is compared with a seal.
pub struct SealedSql {
    /// As the seal spells it.
    digest: String,
    total: u64,
    /// Where parts end, in order.
    cuts: VecDeque<u64>,
    /// The part that comes.
    current: Part,
    whole: Vec<Part>,
    /// What has come behind all SQL.
    line: Vec<u8>,
}

impl SealedSql {
    /// So many bytes with this digest, as a seal spells that, with spans that may be read elsewhere.
    pub fn new(total: u64, digest: &str, spans: &[Span]) -> SealedSql {
        let cuts = spans.iter().flat_map(|span| [span.sql.start, span.sql.end]).chain([total]);
        let mut cuts: VecDeque<u64> = cuts.collect();
        let current = Part::new(0, cuts.pop_front().unwrap_or(total), total);
        SealedSql { digest: digest.to_owned(), total, cuts, current, whole: Vec::new(), line: Vec::new() }
    }

    /// Takes what comes next.
    pub fn push(&mut self, sql: &[u8]) {
        let mut behind = self.current.push(sql);
        while !behind.is_empty() && self.next() {
            behind = self.current.push(behind);
        }
        // More than any seal's is as bad as all of it.
        let room = (HELD_MAX + 1).saturating_sub(self.line.len());
        self.line.extend_from_slice(&behind[..behind.len().min(room)]);
    }

    /// The part that comes next, which somebody else reads, and gives back by [`SealedSql::give_back`].
    pub fn lend(&mut self) -> Part {
        let nothing = Part::new(self.total, self.total, self.total);
        // Behind one that was not lent the next cut is only its end.
        while self.current.is_whole() {
            if !self.next() {
                return nothing;
            }
        }
        let lent = std::mem::replace(&mut self.current, nothing);
        self.current = Part::new(lent.end(), self.cuts.pop_front().unwrap_or(self.total), self.total);
        lent
    }

    /// What was lent, with all that was read.
    pub fn give_back(&mut self, part: Part) {
        self.whole.push(part);
    }

    /// Goes on with the part behind the current one, if there is one.
    fn next(&mut self) -> bool {
        let Some(to) = self.cuts.pop_front() else { return false };
        let next = Part::new(self.current.end(), to, self.total);
        self.whole.push(std::mem::replace(&mut self.current, next));
        true
    }

    /// Compares.
    ///
    /// # Errors
    /// When it is something else than what was sealed, or anything is missing.
    pub fn prove(&self) -> Result<()> {
        let digest = tree::digest(self.whole.iter().chain([&self.current]), self.total)
            .map(|digest| format!("blake3:{}", digest.to_hex()));
        if digest.as_deref() != Some(&self.digest) || !is_a_seal(&self.line) {
            bail!(digest_differs());
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

    fn sealed(spans: &[Span]) -> SealedSql {
        SealedSql::new(SQL.len() as u64, &format!("blake3:{}", blake3::hash(SQL).to_hex()), spans)
    }

    fn proves(read: &[u8], size: usize) -> bool {
        let mut sealed = sealed(&[]);
        read.chunks(size).for_each(|piece| sealed.push(piece));
        sealed.prove().is_ok()
    }

    #[test]
    fn a_reading_is_compared_with_the_seal_and_nothing_else_is_behind_it() {
        for size in [1, 7, 100] {
            assert!(proves(&[SQL, LINE].concat(), size));
            assert!(proves(&[SQL, b"-- bkp seal {}"].concat(), size));
            assert!(proves(&[SQL, LINE, b"\r\n \n"].concat(), size));
            for behind in [&b""[..], b"\n", b"SELECT 3;\n", b"-- bkp seal {}\nSELECT 3;", b"-- bkp seal {}\rSELECT 3;"]
            {
                assert!(!proves(&[SQL, behind].concat(), size), "{behind:?}");
            }
            assert!(!proves(&[b"SELECT 1;\nSELECT 3;\n", LINE].concat(), size));
            assert!(!proves(&[&SQL[..9], LINE].concat(), size));
        }
        assert!(!proves(&[SQL, b"-- bkp seal ", &vec![b'x'; HELD_MAX][..]].concat(), 1 << 20));
    }

    fn span(sql: std::ops::Range<u64>) -> Span {
        Span { stored: 0..1, sql, begins_line: true, lines: 0, is_ended: false, behind: 0 }
    }

    #[test]
    fn what_somebody_else_reads_is_compared_as_well() {
        for (at, rows, is_same) in [(0, &SQL[..9], true), (5, &SQL[5..9], true), (5, b"CT 2", false), (5, b"CT", false)]
        {
            let mut sealed = sealed(&[span(at..9)]);
            sealed.push(&SQL[..at as usize]);
            let mut part = sealed.lend();
            sealed.push(&SQL[9..]);
            sealed.push(LINE);
            part.push(rows);
            sealed.give_back(part);
            assert_eq!(sealed.prove().is_ok(), is_same, "{at}");
        }
    }

    #[test]
    fn each_of_two_that_touch_may_be_lent_or_not() {
        for begins in [0, 2] {
            for lent in [[true, true], [true, false], [false, true], [false, false]] {
                let bounds = [begins, 5, 9];
                let mut sealed = sealed(&[span(begins..5), span(5..9)]);
                sealed.push(&SQL[..begins as usize]);
                let mut parts = Vec::new();
                for (at, is_lent) in lent.into_iter().enumerate() {
                    let rows = &SQL[bounds[at] as usize..bounds[at + 1] as usize];
                    if is_lent {
                        let mut part = sealed.lend();
                        assert!(part.push(rows).is_empty(), "{lent:?}");
                        parts.push(part);
                    } else {
                        sealed.push(rows);
                    }
                }
                sealed.push(&[&SQL[9..], LINE].concat());
                assert!(parts.is_empty() || sealed.prove().is_err(), "not all is there");
                parts.into_iter().rev().for_each(|part| sealed.give_back(part));
                assert!(sealed.prove().is_ok(), "{begins} {lent:?}");
            }
        }
    }
}
