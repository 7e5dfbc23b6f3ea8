//! Whether a dump is whole: pg_dump's own last words, our seal, and a digest of what is sealed.

use super::facts::Layout;
use crate::sources::postgres::lexer::Event;
use crate::sources::postgres::seal::SEAL;

const DATABASE: &[u8] = b"-- PostgreSQL database dump complete";
const CLUSTER: &[u8] = b"-- PostgreSQL database cluster dump complete";

/// What has been read of a dump's proof.
#[derive(Debug, Default)]
pub(super) struct Proof {
    hasher: Gathered,
    bytes: u64,
    /// Whether bytes were passed over, so that there is no digest.
    skipped: bool,
    /// Whether the last byte ends no line.
    mid_line: bool,
    /// Whether pg_dumpall began it; then only pg_dumpall's trailer ends it.
    pub(super) cluster: bool,
    database_trailer: bool,
    cluster_trailer: bool,
    seal: Option<Seal>,
}

/// How much is hashed at once: BLAKE3 takes several of its chunks of 1 KiB side by side, and the bytes of one statement by themselves at
/// a fifth of that speed.
const AT_ONCE: usize = 32 << 10;

/// A hasher that gathers what comes in small pieces.
#[derive(Debug, Default)]
struct Gathered {
    hasher: blake3::Hasher,
    /// What is not hashed yet, of less than [`AT_ONCE`] bytes.
    waiting: Vec<u8>,
}

impl Gathered {
    fn update(&mut self, bytes: &[u8]) {
        if self.waiting.len() + bytes.len() < AT_ONCE {
            return self.waiting.extend_from_slice(bytes);
        }
        self.hasher.update(&self.waiting);
        self.waiting.clear();
        self.hasher.update(bytes);
    }

    fn finalize(&self) -> blake3::Hash {
        self.hasher.clone().update(&self.waiting).finalize()
    }
}

/// The last line that looks like a seal, with what came before it.
#[derive(Debug)]
struct Seal {
    bytes: u64,
    digest: blake3::Hash,
    text: Vec<u8>,
}

impl Proof {
    pub(super) fn event(&mut self, event: &Event<'_>) {
        let bytes = event.bytes();
        match event {
            Event::Comment(line) if !self.mid_line => self.comment(line),
            // A seal is the last line: nothing but white space may follow.
            Event::Space(space) if space.iter().all(u8::is_ascii_whitespace) => {}
            // psql's guard is closed after the trailer.
            Event::Meta(_) | Event::Space(_) | Event::Comment(_) => self.seal = None,
            _ => self.goes_on(),
        }
        if let Event::Meta(line) = event
            && line.starts_with(b"\\connect")
        {
            self.database_trailer = false;
            self.cluster_trailer = false;
        }
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        if let Some(&byte) = bytes.last() {
            self.mid_line = byte != b'\n';
        }
    }

    /// What is more than a comment: no trailer and no seal that came before was the last word.
    fn goes_on(&mut self) {
        self.seal = None;
        self.database_trailer = false;
        self.cluster_trailer = false;
    }

    /// So many bytes of rows, which nobody has seen.
    pub(super) fn skipped(&mut self, bytes: u64, is_ended: bool) {
        self.goes_on();
        self.skipped = true;
        self.bytes += bytes;
        self.mid_line = !is_ended;
    }

    fn comment(&mut self, line: &[u8]) {
        self.seal = None;
        match line.trim_ascii_end() {
            DATABASE => self.database_trailer = true,
            CLUSTER => self.cluster_trailer = true,
            b"-- PostgreSQL database dump" => self.database_trailer = false,
            b"-- PostgreSQL database cluster dump" => {
                self.cluster = true;
                self.cluster_trailer = false;
            }
            _ => {
                if let Some(text) = line.strip_prefix(SEAL) {
                    let (bytes, digest) = (self.bytes, self.hasher.finalize());
                    self.seal = Some(Seal { bytes, digest, text: text.trim_ascii().to_vec() });
                }
            }
        }
    }

    /// Bytes, digest, trailer and seal. What is sealed ends before the seal's line.
    pub(super) fn finish(self, layout: Layout) -> (u64, String, bool, Option<Vec<u8>>) {
        let trailer = match layout {
            Layout::Cluster if self.cluster => self.cluster_trailer,
            _ => self.database_trailer,
        };
        let hex = |digest: blake3::Hash| if self.skipped { String::new() } else { digest.to_hex().to_string() };
        match self.seal {
            Some(seal) => (seal.bytes, hex(seal.digest), trailer, Some(seal.text)),
            None => (self.bytes, hex(self.hasher.finalize()), trailer, None),
        }
    }
}
