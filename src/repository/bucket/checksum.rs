//! The checksums that stores keep: CRC-32C and MD5, over everything that passes.

use base64::{Engine, engine::general_purpose::STANDARD};
use md5::{Digest, Md5};

/// Sums and counts the bytes of an object as they pass.
#[derive(Clone, Default)]
pub struct Checksum {
    md5: Md5,
    crc32c: u32,
    bytes: u64,
}

impl Checksum {
    pub fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        self.bytes += bytes.len() as u64;
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Base64 of the big-endian CRC-32C: `crc32c` of Google's object resource and of `x-goog-hash`.
    pub fn crc32c_base64(&self) -> String {
        STANDARD.encode(self.crc32c.to_be_bytes())
    }

    /// Base64 of the MD5: `md5Hash` of Google's object resource, `Content-MD5` of HTTP.
    pub fn md5_base64(&self) -> String {
        STANDARD.encode(self.md5.clone().finalize())
    }

    /// What differs from the store's own sums, told in words; `None` when every known sum agrees.
    pub fn difference(&self, stored: &StoredChecksum) -> Option<String> {
        let differs = |name: &str, ours: String, theirs: &Option<String>| {
            theirs
                .as_ref()
                .filter(|theirs| **theirs != ours)
                .map(|theirs| format!("its {name} is {ours} here and {theirs} in the store"))
        };
        differs("CRC-32C", self.crc32c_base64(), &stored.crc32c)
            .or_else(|| differs("MD5", self.md5_base64(), &stored.md5))
    }
}

/// What a store says about an object, each in base64; none when it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredChecksum {
    pub crc32c: Option<String>,
    pub md5: Option<String>,
}

impl StoredChecksum {
    /// Reads one value of the header `x-goog-hash`: `crc32c=n03x6A==,md5=Ojk9c3dhfxgoKVVHYwFbHQ==`.
    pub fn add_goog_hash(&mut self, value: &str) {
        for part in value.split(',') {
            match part.trim().split_once('=') {
                Some(("crc32c", sum)) => self.crc32c = Some(sum.to_owned()),
                Some(("md5", sum)) => self.md5 = Some(sum.to_owned()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Checksum {
        let mut sum = Checksum::default();
        for part in bytes.chunks(3) {
            sum.update(part);
        }
        sum
    }

    #[test]
    fn sums_are_those_of_the_standards() {
        // CRC-32C check value of RFC 3720 (0xE3069283); MD5 as of `md5sum`.
        let sum = of(b"123456789");
        assert_eq!(sum.crc32c_base64(), "4waSgw==");
        assert_eq!(sum.md5_base64(), "JfnnlDI7RTiF9RgfG2JNCw==");
        assert_eq!(sum.bytes(), 9);
    }

    #[test]
    fn a_header_with_both_sums_is_read() {
        let mut stored = StoredChecksum::default();
        stored.add_goog_hash("crc32c=4waSgw==, md5=JfnnlDI7RTiF9RgfG2JNCw==");
        assert_eq!(of(b"123456789").difference(&stored), None);
        assert!(of(b"123456788").difference(&stored).is_some_and(|why| why.contains("CRC-32C")));
    }

    #[test]
    fn a_store_that_says_nothing_differs_from_nothing() {
        assert_eq!(of(b"x").difference(&StoredChecksum::default()), None);
    }
}
