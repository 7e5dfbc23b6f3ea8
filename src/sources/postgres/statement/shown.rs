//! Words of a statement as people are shown them: one piece of memory for all of them, looked at once.

use crate::error::plain;

/// The longest name that is shown whole, in characters; PostgreSQL's own have up to 63 bytes.
const NAME_CHARS: usize = 70;

/// Text in the making.
pub(super) struct Shown(Vec<u8>);

impl Shown {
    /// With room for so many bytes.
    pub(super) fn new(room: usize) -> Self {
        Self(Vec::with_capacity(room))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn ends_with(&self, end: &[u8]) -> bool {
        self.0.ends_with(end)
    }

    /// Adds what stands between two words.
    pub(super) fn apart(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Adds a word; the beginning of one that is too long for any name.
    pub(super) fn push(&mut self, word: &[u8]) {
        if word.len() <= NAME_CHARS {
            return self.0.extend_from_slice(word);
        }
        let text = String::from_utf8_lossy(word);
        let end = text.char_indices().nth(NAME_CHARS).map_or(text.len(), |(end, _)| end);
        self.0.extend_from_slice(&text.as_bytes()[..end]);
    }

    /// Adds an unquoted identifier's value.
    pub(super) fn push_folded(&mut self, word: &[u8]) {
        let start = self.0.len();
        self.push(word);
        self.0[start..].make_ascii_lowercase();
    }

    /// The text. A name may hold anything, a terminal's commands too.
    pub(super) fn text(self) -> String {
        // Without an early end, so that many bytes are compared at once.
        let is_plain = self.0.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..0x7f));
        match String::from_utf8(self.0) {
            Ok(text) if is_plain => text,
            Ok(text) => plain(&text),
            Err(error) => plain(&String::from_utf8_lossy(error.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[&[u8]]) -> String {
        let mut shown = Shown::new(0);
        words.iter().for_each(|word| shown.push(word));
        shown.text()
    }

    #[test]
    fn what_a_terminal_would_obey_is_hidden() {
        assert_eq!(shown(&[b"a ", b"\x1b[2J\x7f\n", "\u{9b}é".as_bytes(), b"\xff"]), "a ?[2J???é\u{fffd}");
    }

    #[test]
    fn a_word_too_long_for_a_name_is_cut_between_characters() {
        let long = "é".repeat(100);
        assert_eq!(shown(&[long.as_bytes(), b".b"]), "é".repeat(70) + ".b");
        assert_eq!(shown(&["é".repeat(60).as_bytes()]), "é".repeat(60));
    }
}
