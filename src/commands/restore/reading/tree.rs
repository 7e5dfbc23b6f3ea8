//! The BLAKE3 digest of a stream of which several read a part each, in any order. BLAKE3 is a tree over chunks of 1,024 bytes (its paper,
//! 2.1; the library's `hazmat`): each part gives the subtrees that lie within it, and the bytes of the chunks that it shares with its
//! neighbours. Pure.

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use blake3::{Hash, Hasher};

/// How many bytes are a leaf.
const CHUNK: u64 = blake3::CHUNK_LEN as u64;
/// The largest subtree that is digested in one go: enough for all lanes of a processor.
const BLOCK: u64 = if cfg!(test) { 16 << 10 } else { 1 << 20 };

/// A whole subtree; `bytes` are a power of two, and divide `at`.
#[derive(Clone)]
struct Subtree {
    at: u64,
    bytes: u64,
    value: ChainingValue,
}

/// A part of a stream.
pub struct Part {
    from: u64,
    to: u64,
    /// How long the whole stream is.
    total: u64,
    /// How far it has come.
    at: u64,
    /// What it has of a chunk that begins before it.
    head: Vec<u8>,
    trees: Vec<Subtree>,
    /// What it has of a chunk that ends behind it, or that the stream ends with.
    tail: Vec<u8>,
    /// The subtree that is being digested: where it begins and ends.
    current: Option<(u64, u64, Box<Hasher>)>,
}

impl Part {
    /// From byte `from` to byte `to` of `total`.
    pub fn new(from: u64, to: u64, total: u64) -> Part {
        let (head, trees, tail) = (Vec::new(), Vec::new(), Vec::new());
        Part { from, to, total, at: from, head, trees, tail, current: None }
    }

    /// Where it ends.
    pub fn end(&self) -> u64 {
        self.to
    }

    /// Whether all of it has come.
    pub fn is_whole(&self) -> bool {
        self.at == self.to
    }

    /// Takes the next bytes; gives those that lie behind it.
    pub fn push<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while !bytes.is_empty() && !self.is_whole() {
            let until = self.begin();
            let wanted = usize::try_from(until - self.at).unwrap_or(usize::MAX);
            let (own, rest) = bytes.split_at(wanted.min(bytes.len()));
            let is_head = self.at < self.first_chunk();
            match &mut self.current {
                Some((.., hasher)) => {
                    hasher.update(own);
                }
                None if is_head => self.head.extend_from_slice(own),
                None => self.tail.extend_from_slice(own),
            }
            self.at += own.len() as u64;
            bytes = rest;
            if let Some((at, _, hasher)) = self.current.take_if(|(_, until, _)| *until == self.at) {
                join(
                    &mut self.trees,
                    Subtree { at, bytes: self.at - at, value: hasher.finalize_non_root() },
                    self.total,
                );
            }
        }
        bytes
    }

    /// Begins the largest subtree that there is room for, if one begins here; says how far what comes belongs together.
    fn begin(&mut self) -> u64 {
        if let Some((_, until, _)) = self.current {
            return until;
        }
        let (at, left) = (self.at, self.to - self.at);
        if at < self.first_chunk() {
            return self.first_chunk().min(self.to);
        }
        if left < CHUNK || self.total <= CHUNK {
            return self.to;
        }
        let mut bytes = BLOCK;
        while at % bytes != 0 || bytes > left || is_all(at, bytes, self.total) {
            bytes /= 2;
        }
        let mut hasher = Box::new(Hasher::new());
        hasher.set_input_offset(at);
        self.current = Some((at, at + bytes, hasher));
        at + bytes
    }

    /// Where the first chunk begins that begins within it or behind it.
    fn first_chunk(&self) -> u64 {
        self.from.next_multiple_of(CHUNK)
    }
}

/// Takes in the next subtree, with those before it that it makes a larger one with. That of all bytes is left in two: it is the root, and
/// is joined otherwise.
fn join(trees: &mut Vec<Subtree>, mut tree: Subtree, total: u64) {
    let are_halves = |before: &mut Subtree, tree: &Subtree| {
        let (at, bytes) = (before.at, before.bytes * 2);
        before.bytes == tree.bytes && at % bytes == 0 && !is_all(at, bytes, total)
    };
    while let Some(Subtree { at, bytes, value }) = trees.pop_if(|before| are_halves(before, &tree)) {
        tree = Subtree { at, bytes: 2 * bytes, value: merge_subtrees_non_root(&value, &tree.value, Mode::Hash) };
    }
    trees.push(tree);
}

fn is_all(at: u64, bytes: u64, total: u64) -> bool {
    at == 0 && bytes == total
}

/// The digest of all `total` bytes, whose parts these are; nothing when any is missing.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a Part>, total: u64) -> Option<Hash> {
    let mut parts: Vec<&Part> = parts.into_iter().collect();
    parts.sort_unstable_by_key(|part| (part.from, part.to));
    let ends = parts.iter().try_fold(0, |at, part| (part.from == at && part.is_whole()).then_some(part.to));
    if ends != Some(total) {
        return None;
    }
    let (mut all, mut chunk, mut at) = (Vec::new(), Vec::new(), 0);
    for part in parts {
        for (raw, trees) in [(&part.head, &part.trees[..]), (&part.tail, &[][..])] {
            at += raw.len() as u64;
            chunk.extend_from_slice(raw);
            if total > CHUNK && !chunk.is_empty() && (at % CHUNK == 0 || at == total) {
                let from = at - chunk.len() as u64;
                let value = Hasher::new().set_input_offset(from).update(&chunk).finalize_non_root();
                // The last one may be short: then nothing comes that it could be joined with.
                join(&mut all, Subtree { at: from, bytes: chunk.len() as u64, value }, total);
                chunk.clear();
            }
            for tree in trees {
                at = tree.at + tree.bytes;
                join(&mut all, tree.clone(), total);
            }
        }
    }
    let Some(Subtree { value: mut right, .. }) = all.pop() else { return Some(blake3::hash(&chunk)) };
    let mut left = all.into_iter();
    let first = left.next()?;
    for tree in left.rev() {
        right = merge_subtrees_non_root(&tree.value, &right, Mode::Hash);
    }
    Some(merge_subtrees_root(&first.value, &right, Mode::Hash))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest_in_parts(bytes: &[u8], cuts: &[usize], size: usize) -> Option<Hash> {
        let total = bytes.len() as u64;
        let mut ends: Vec<usize> = cuts.iter().map(|cut| (*cut).min(bytes.len())).chain([bytes.len()]).collect();
        ends.sort_unstable();
        let (mut parts, mut from) = (Vec::new(), 0);
        for to in ends {
            let mut part = Part::new(from as u64, to as u64, total);
            // Whoever reads does not know where it ends.
            let mut pieces = bytes[from..].chunks(size);
            while !part.is_whole() {
                part.push(pieces.next().unwrap());
            }
            parts.push(part);
            from = to;
        }
        parts.rotate_left(cuts.len() / 2);
        digest(&parts, total)
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|at| (at * 7 + at / 251) as u8).collect()
    }

    proptest! {
        #[test]
        fn parts_in_any_order_have_the_digest_of_the_whole(
            count in 0..200_000_usize,
            cuts in prop::collection::vec(0..200_000_usize, 0..12),
            size in 1..70_000_usize,
        ) {
            let bytes = bytes(count);
            prop_assert_eq!(digest_in_parts(&bytes, &cuts, size), Some(blake3::hash(&bytes)));
        }
    }

    #[test]
    fn where_chunks_and_subtrees_end_nothing_is_lost() {
        for count in [0, 1, 1023, 1024, 1025, 2048, 3072, 4096, 16 << 10, 32 << 10, (32 << 10) + 1, 128 << 10] {
            let bytes = bytes(count);
            for cuts in
                [&[][..], &[1], &[1024], &[1023, 1025], &[10, 20, 30, 1030], &[2048, 2048, 4096], &[16 << 10, 64 << 10]]
            {
                assert_eq!(digest_in_parts(&bytes, cuts, 5000), Some(blake3::hash(&bytes)), "{count} {cuts:?}");
            }
        }
    }

    #[test]
    fn a_part_that_is_missing_or_came_in_part_is_told() {
        let whole = |from, to| {
            let mut part = Part::new(from, to, 3000);
            part.push(&vec![0; (to - from) as usize]);
            part
        };
        assert!(digest(&[whole(0, 1000), whole(1000, 3000)], 3000).is_some());
        assert!(digest(&[whole(0, 1000)], 3000).is_none());
        assert!(digest(&[whole(0, 1000), whole(1001, 3000)], 3000).is_none());
        assert!(digest(&[Part::new(0, 1000, 3000), whole(1000, 3000)], 3000).is_none());
        assert!(digest(&[], 3000).is_none());
    }
}
