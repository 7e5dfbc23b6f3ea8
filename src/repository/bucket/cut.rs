//! Where the members of a dump end: where the content says so.
//!
//! With members of one length, a row that is inserted shifts every member behind it, and the whole rest of tonight's object differs
//! from yesterday's. So a rolling hash of the last 64 bytes decides (a gear hash, normalised as in FastCDC): behind an edit the
//! same ends are found again at once, and with one level of compression the members between them are byte for byte what they
//! were. Whoever stores objects by blocks, compares or copies them then moves only what has changed.

/// No member but a dump's last is shorter, in bytes of SQL.
pub const SHORTEST: usize = 128 << 10;
/// What their lengths are drawn to: small enough that an edit costs little, large enough that gzip's window of 32 KiB is filled.
pub const USUAL: usize = 512 << 10;
/// No member is longer.
pub const LONGEST: usize = 2 << 20;

/// How far back the hash looks: each step shifts it by one bit.
const WINDOW: usize = 64;
/// Below the usual length an end is found every 2 MiB, above it every 128 KiB: most lengths lie around the usual one.
const SELDOM: u64 = u64::MAX << (64 - 21);
const OFTEN: u64 = u64::MAX << (64 - 17);

/// Finds the ends of members in a stream, however it is cut into pieces.
#[derive(Debug, Default)]
pub struct Cutter {
    hash: u64,
    length: usize,
}

impl Cutter {
    /// Takes the next bytes: how many of them end the open member. None: all of them belong to it, and it goes on.
    pub fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let begun = self.length;
        // What no end can depend on is not looked at.
        let mut at = (SHORTEST - WINDOW).saturating_sub(begun).min(bytes.len());
        for (until, mask) in [(SHORTEST - 1, 0), (USUAL, SELDOM), (LONGEST, OFTEN)] {
            let stop = until.saturating_sub(begun).clamp(at, bytes.len());
            let found = self.scan(&bytes[at..stop], mask);
            at = found.map_or(stop, |found| at + found);
            if found.is_some() || begun + at == LONGEST {
                *self = Self::default();
                return Some(at);
            }
        }
        self.length += bytes.len();
        None
    }

    /// Behind which byte the hash says that a member ends; a mask of nothing never does.
    fn scan(&mut self, bytes: &[u8], mask: u64) -> Option<usize> {
        let mut hash = self.hash;
        for (at, byte) in bytes.iter().enumerate() {
            hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
            if hash & mask == 0 && mask != 0 {
                return Some(at + 1);
            }
        }
        self.hash = hash;
        None
    }
}

/// A number for each byte, without any pattern. Another table would move every end of every dump once.
const GEAR: [u64; 256] = {
    let mut table = [0; 256];
    let (mut at, mut state) = (0, 0u64);
    while at < 256 {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = state;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = number ^ (number >> 31);
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lines as a dump has them, the same for the same seed.
    fn lines(seed: u64, bytes: usize) -> Vec<u8> {
        let (mut out, mut state) = (Vec::new(), seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        while out.len() < bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            out.extend_from_slice(format!("{}\tpaid\t{}.{}\n", out.len(), state >> 40, state & 99).as_bytes());
        }
        out
    }

    /// The members of a stream that comes in pieces of these sizes, over and over.
    fn members(all: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
        let (mut cutter, mut members, mut open) = (Cutter::default(), Vec::new(), Vec::new());
        let (mut rest, mut sizes) = (all, sizes.iter().cycle());
        while !rest.is_empty() {
            let (mut piece, behind) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            rest = behind;
            while let Some(end) = cutter.end(piece) {
                open.extend_from_slice(&piece[..end]);
                members.push(std::mem::take(&mut open));
                piece = &piece[end..];
            }
            open.extend_from_slice(piece);
        }
        members.push(open);
        members
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4))]

        #[test]
        fn joined_they_are_the_input_and_no_piece_decides_where_they_end(
            seed in any::<u64>(),
            bytes in 0..2_500_000usize,
            sizes in proptest::collection::vec(1..700_000usize, 1..5),
        ) {
            let all = lines(seed, bytes);
            let found = members(&all, &sizes);
            prop_assert_eq!(&found.concat(), &all);
            prop_assert_eq!(&found, &members(&all, &[all.len().max(1)]));
            let (_, whole) = found.split_last().unwrap();
            prop_assert!(whole.iter().all(|member| (SHORTEST..=LONGEST).contains(&member.len())));
        }

        #[test]
        fn an_edit_changes_only_the_members_beside_it(
            seed in any::<u64>(),
            at in 0..4_000_000usize,
            out in 0..300usize,
            new in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let before = lines(seed, 4_000_000);
            let mut after = before.clone();
            after.splice(at..at + out.min(before.len() - at), new);
            let (before, after) = (members(&before, &[1 << 20]), members(&after, &[1 << 20]));
            let same = |pair: &(&Vec<u8>, &Vec<u8>)| pair.0 == pair.1;
            let first = before.iter().zip(&after).take_while(same).count();
            let last = before.iter().rev().zip(after.iter().rev()).take_while(same).count();
            // Ends that differ meet again at the first one that is found behind both.
            prop_assert!(after.len().saturating_sub(first + last) <= 6, "{} of {}", after.len() - first - last, after.len());
        }
    }

    #[test]
    fn lengths_lie_around_the_usual_one() {
        let all = lines(1, 20_000_000);
        let usual = all.len() / members(&all, &[1 << 18]).len();
        assert!((USUAL * 3 / 4..USUAL * 5 / 4).contains(&usual), "{usual}");
    }

    #[test]
    fn content_that_never_changes_is_cut_too() {
        for byte in (0..=255).step_by(17) {
            let found = members(&vec![byte; 5 << 20], &[77_777]);
            let (last, whole) = found.split_last().unwrap();
            assert!(whole.iter().all(|member| member.len() >= SHORTEST) && last.len() <= LONGEST);
        }
    }

    #[test]
    fn the_table_is_what_it_was_when_the_first_dumps_were_cut() {
        let digest = GEAR.iter().fold(0u64, |sum, number| sum.rotate_left(5) ^ number);
        assert_eq!((GEAR[0], digest), (0xe220_a839_7b1d_cdaf, DIGEST));
    }

    const DIGEST: u64 = 0x803c_a3d4_a7fd_bd5d;
}
