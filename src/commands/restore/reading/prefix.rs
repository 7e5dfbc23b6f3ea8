//! The first bytes of a stream, which are to have a digest that is known.

use crate::sources::postgres::seal::blake3_of;

/// So many bytes, and what they are to be.
pub struct Prefix {
    /// How many are still to come.
    left: u64,
    digest: String,
    hasher: Box<blake3::Hasher>,
}

impl Prefix {
    /// So many bytes, and their digest as a seal spells it.
    pub fn new(bytes: u64, digest: &str) -> Prefix {
        Prefix { left: bytes, digest: digest.to_owned(), hasher: Box::default() }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(read: &[u8], size: usize) -> bool {
        let mut prefix = Prefix::new(4, &format!("blake3:{}", blake3::hash(b"1234").to_hex()));
        let behind = read.chunks(size).map(|piece| prefix.push(piece).len()).sum::<usize>();
        prefix.is_same() && behind == read.len() - 4
    }

    #[test]
    fn only_the_prefix_is_compared_and_all_of_it() {
        for size in [1, 3, 100] {
            assert!(is_same(b"1234", size) && is_same(b"1234 and more", size));
            assert!(!is_same(b"123", size) && !is_same(b"1235", size) && !is_same(b"", size));
        }
    }
}
