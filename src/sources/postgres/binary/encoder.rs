//! Pieces of text rows to pieces of binary ones.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use super::field::{Field, unescape};
use super::kind::{Kind, NULL};

/// What comes before the first row: the format's name, no flags, nothing else.
pub const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What comes behind the last one.
pub const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// Of a row that comes in several pieces so many bytes are kept until it is whole; longer ones go as text.
const ROW_MAX: usize = 4 << 20;

/// The server stores binary rows by the thousand, however long they are, and keeps them in memory until then; of text rows it keeps 64 KiB
/// (`CopyMultiInsertInfoIsFull` in its `copyfrom.c` counts the bytes of lines, and there are none). A COPY that ends stores them at once.
const BATCH_ROWS: usize = 1000;

/// So many bytes it may have to keep.
const BATCH_BYTES: usize = 8 << 20;

/// Takes text rows in pieces as they come and gives binary ones, until it cannot.
pub struct Encoder {
    kinds: Vec<Kind>,
    /// How many values a row has, as it is written before each.
    values: [u8; 2],
    /// The beginning of a row whose end has not come.
    open: BytesMut,
    /// Rows that wait.
    rows: Bytes,
    given_up: bool,
    /// How many rows the server may keep in memory, and their bytes.
    batch: (usize, usize),
    binary: Vec<u8>,
    unescaped: Vec<u8>,
}

/// What became of a row.
enum Row {
    /// So many bytes of text, and it is written.
    Written(usize),
    /// It is not whole.
    Open,
    /// It can go only as text.
    Text,
}

impl Encoder {
    /// For rows of these columns; nothing where there are none, or more than a row can have.
    pub fn new(kinds: Vec<Kind>) -> Option<Encoder> {
        let values = i16::try_from(kinds.len()).ok().filter(|values| *values > 0)?.to_be_bytes();
        Some(Encoder {
            kinds,
            values,
            open: BytesMut::new(),
            rows: Bytes::new(),
            given_up: false,
            batch: (0, 0),
            binary: Vec::new(),
            unescaped: Vec::new(),
        })
    }

    /// The next rows, when [`Encoder::next`] has given all of those before.
    pub fn push(&mut self, rows: Bytes) {
        debug_assert!(self.rows.is_empty(), "rows that have not been asked for");
        self.rows = rows;
    }

    /// The next binary rows: as many as are at hand, about `piece` bytes of them. Nothing where more text has to come, where it has given up,
    /// or where the COPY has to end first: see [`Encoder::ends_batch`].
    pub fn next(&mut self, piece: usize) -> Option<Bytes> {
        self.binary.reserve(piece + piece / 4);
        while !self.given_up && self.wants_more(piece) && !self.rows.is_empty() {
            if self.open.is_empty() {
                self.in_place(piece);
            } else {
                self.across();
            }
        }
        (!self.binary.is_empty()).then(|| Bytes::from(std::mem::take(&mut self.binary)))
    }

    /// Whether the server has as many rows in memory as it may: another COPY must take the next ones. Said once.
    pub fn ends_batch(&mut self) -> bool {
        let is_full = self.batch.1 >= BATCH_BYTES;
        if is_full {
            self.batch = (0, 0);
        }
        is_full
    }

    fn wants_more(&self, piece: usize) -> bool {
        self.binary.len() < piece && self.batch.1 < BATCH_BYTES
    }

    /// Whether what [`Encoder::rest`] holds, and all that comes, has to go as text.
    pub fn has_given_up(&self) -> bool {
        self.given_up
    }

    /// Whether a row has begun whose end has not come.
    pub fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The text that it has not told.
    pub fn rest(self) -> [Bytes; 2] {
        [self.open.freeze(), self.rows]
    }

    /// Rows that wait, where they are.
    fn in_place(&mut self, piece: usize) {
        let text = std::mem::take(&mut self.rows);
        let mut at = 0;
        while at < text.len() && self.wants_more(piece) {
            match self.row(&text[at..]) {
                Row::Written(bytes) => at += bytes,
                Row::Open => {
                    self.open.extend_from_slice(&text[at..]);
                    self.given_up = self.open.len() > ROW_MAX;
                    at = text.len();
                }
                Row::Text => {
                    self.given_up = true;
                    break;
                }
            }
        }
        self.rows = text.slice(at..);
    }

    /// The row that has begun in an earlier piece. What waits is looked at once, however many pieces it takes.
    fn across(&mut self) {
        let end = memchr(b'\n', &self.rows).map_or(self.rows.len(), |at| at + 1);
        self.open.extend_from_slice(&self.rows.split_to(end));
        self.given_up = self.open.len() > ROW_MAX;
        if self.given_up || self.open.last() != Some(&b'\n') {
            return;
        }
        let open = std::mem::take(&mut self.open);
        match self.row(&open) {
            Row::Written(_) => {
                // The room that it took is used again.
                self.open = open;
                self.open.clear();
            }
            // A line end that was escaped: no server writes one so.
            Row::Open | Row::Text => {
                self.given_up = true;
                self.open = open;
            }
        }
    }

    /// The row that this text begins with.
    fn row(&mut self, text: &[u8]) -> Row {
        let from = self.binary.len();
        let row = self.values(text);
        if !matches!(row, Row::Written(_)) {
            self.binary.truncate(from);
            return row;
        }
        let (rows, bytes) = self.batch;
        self.batch = if rows + 1 < BATCH_ROWS { (rows + 1, bytes + self.binary.len() - from) } else { (0, 0) };
        row
    }

    fn values(&mut self, text: &[u8]) -> Row {
        let (binary, last) = (&mut self.binary, self.kinds.len() - 1);
        binary.extend_from_slice(&self.values);
        let mut at = 0;
        for (column, kind) in self.kinds.iter().enumerate() {
            let Some(field) = Field::first(&text[at..]) else { return Row::Open };
            at += field.raw.len() + 1;
            if field.is_last != (column == last) || value(*kind, field, &mut self.unescaped, binary).is_none() {
                return Row::Text;
            }
        }
        Row::Written(at)
    }
}

fn value(kind: Kind, field: Field<'_>, unescaped: &mut Vec<u8>, to: &mut Vec<u8>) -> Option<()> {
    if field.is_null() {
        to.extend_from_slice(&NULL);
        return Some(());
    }
    // The server writes one as `\r`; bare, it may be a line's end to it.
    if kind.is_free_text() && memchr(b'\r', field.raw).is_some() {
        return None;
    }
    match (kind, field.is_escaped) {
        (_, false) => kind.put(field.raw, to),
        // Its only backslash is the first, escaped by another.
        (Kind::Bytes, true) => kind.put(field.raw.strip_prefix(b"\\")?, to),
        (_, true) => {
            unescape(field.raw, unescaped)?;
            kind.put(unescaped, to)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INT4_TEXT_BYTEA: [u32; 3] = [23, 25, 17];

    fn encoder(oids: &[u32]) -> Encoder {
        Encoder::new(oids.iter().map(|oid| Kind::of(*oid).expect("a kind")).collect()).expect("columns")
    }

    /// All of it in pieces of this length: what became binary, and what is left.
    fn encode(oids: &[u32], text: &[u8], length: usize, piece: usize) -> (Vec<u8>, Vec<u8>, bool) {
        let (mut encoder, mut binary, mut after) = (encoder(oids), Vec::new(), Vec::new());
        for rows in text.chunks(length) {
            if encoder.has_given_up() {
                after.extend_from_slice(rows);
                continue;
            }
            encoder.push(Bytes::copy_from_slice(rows));
            while let Some(rows) = encoder.next(piece) {
                binary.extend_from_slice(&rows);
                encoder.ends_batch();
            }
        }
        let given_up = encoder.has_given_up();
        (binary, [&encoder.rest().concat()[..], &after].concat(), given_up)
    }

    #[test]
    fn a_row_is_its_values_with_their_lengths() {
        let (binary, rest, given_up) = encode(&INT4_TEXT_BYTEA, b"-2\ta\\tb\t\\\\xff00\n\\N\t\t\\\\x\n", 100, 100);
        let first = b"\0\x03\0\0\0\x04\xff\xff\xff\xfe\0\0\0\x03a\tb\0\0\0\x02\xff\x00";
        let second = b"\0\x03\xff\xff\xff\xff\0\0\0\0\0\0\0\0";
        assert_eq!((binary, rest, given_up), ([&first[..], second].concat(), Vec::new(), false));
    }

    #[test]
    fn at_the_first_row_that_it_cannot_tell_it_gives_up_and_loses_none() {
        let good = b"1\ta\t\\\\x00\n";
        for bad in [
            &b"x\ta\t\\\\x00\n"[..],
            b"1\ta\n",
            b"1\ta\t\\\\x00\t2\n",
            b"1\t\\101\t\\\\x00\n",
            b"1\ta\t\\\\x0\n",
            b"1\ta\t\\\\\\\\x00\n",
            b"1\ta\\\nb\t\\\\x00\n",
            b"1\ta\t\\\\x00\r\n",
            b"1\ta\rb\t\\\\x00\n",
            b"\\.\n",
            b"\n",
        ] {
            let text = [good, good, bad, good].concat();
            for length in 1..=text.len() {
                let (binary, rest, given_up) = encode(&INT4_TEXT_BYTEA, &text, length, 7);
                assert_eq!((binary.len(), given_up), (40, true), "{bad:?} by {length}");
                assert_eq!(rest, [bad, good].concat(), "by {length}");
            }
        }
    }

    #[test]
    fn a_row_that_is_too_long_goes_as_text() {
        let long = [b"1\t", &b"a".repeat(ROW_MAX + (1 << 20))[..], b"\t\\\\x00\n"].concat();
        let (binary, rest, given_up) = encode(&INT4_TEXT_BYTEA, &long, 1 << 20, 1 << 16);
        assert_eq!((binary.len(), given_up), (0, true));
        assert_eq!(rest, long);
        // In one piece it need not be kept.
        assert!(!encode(&INT4_TEXT_BYTEA, &long, long.len(), 1 << 16).2);
    }

    #[test]
    fn a_batch_ends_before_the_server_keeps_too_much() {
        let ends = |bytes: usize, rows: usize| {
            let (mut encoder, mut ends) = (encoder(&[25]), Vec::new());
            let row = [&b"a".repeat(bytes)[..], b"\n"].concat();
            let mut written = 0;
            for _ in 0..rows {
                encoder.push(Bytes::copy_from_slice(&row));
                while let Some(rows) = encoder.next(1) {
                    written += rows.len() / (bytes + 6);
                    if encoder.ends_batch() {
                        ends.push(written);
                    }
                }
            }
            assert_eq!(written, rows);
            ends
        };
        assert!(ends(8000, 2500).is_empty(), "a thousand rows are stored before");
        assert_eq!(ends(1 << 20, 20), [8, 16]);
        assert_eq!(ends(9000, 2500), [932, 1864]);
    }

    #[test]
    fn what_does_not_end_is_left() {
        let (binary, rest, given_up) = encode(&[23], b"1\n2\n3", 2, 100);
        assert_eq!((binary.len(), rest, given_up), (20, b"3".to_vec(), false));
    }

    #[test]
    fn a_table_needs_columns_and_their_number_has_a_limit() {
        assert!(Encoder::new(Vec::new()).is_none());
        assert!(Encoder::new(vec![Kind::Bool; 40_000]).is_none());
    }

    proptest! {
        /// However it comes in pieces, and is asked for.
        #[test]
        fn pieces_make_no_difference(
            rows in prop::collection::vec((any::<i32>(), "[a-z\t\n\\\\]{0,9}", prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            cut in 1..60_usize, piece in 1..200_usize,
        ) {
            let (mut text, mut binary) = (String::new(), Vec::new());
            for (number, word, bytes) in &rows {
                let escaped = word.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n");
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                text.push_str(&format!("{number}\t{escaped}\t\\\\x{hex}\n"));
                binary.extend_from_slice(&[0, 3, 0, 0, 0, 4]);
                binary.extend_from_slice(&number.to_be_bytes());
                for value in [word.as_bytes(), bytes] {
                    binary.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
                    binary.extend_from_slice(value);
                }
            }
            prop_assert_eq!(encode(&INT4_TEXT_BYTEA, text.as_bytes(), cut, piece), (binary, Vec::new(), false));
        }

        /// Nothing that comes makes it lose or invent a row: what is left is all that follows those that it told.
        #[test]
        fn rubbish_is_left_as_it_is(text in prop::collection::vec(prop::sample::select(&b"1\t\n\\xNa\r"[..]), 0..60), cut in 1..30_usize) {
            let (binary, rest, _) = encode(&[23, 25], &text, cut, 50);
            let (told, left) = text.split_at(text.len() - rest.len());
            prop_assert_eq!(left, rest);
            prop_assert!(matches!(told, [] | [.., b'\n']));
            let (mut rows, mut binary) = (0, &binary[..]);
            while let Some(mut row) = binary.strip_prefix(b"\0\x02") {
                for _ in 0..2 {
                    let (length, value) = row.split_first_chunk().expect("a length");
                    row = &value[usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0)..];
                }
                (rows, binary) = (rows + 1, row);
            }
            prop_assert!(binary.is_empty());
            prop_assert_eq!(rows, memchr::memchr_iter(b'\n', told).count());
        }
    }
}
