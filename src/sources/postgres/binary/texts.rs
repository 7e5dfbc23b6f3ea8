//! Values that are neither numbers nor times.

/// `t` or `f`.
pub fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"t" => Some(true),
        b"f" => Some(false),
        _ => None,
    }
}

/// Digits in five groups.
pub fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let mut digits = [0; 32];
    let mut at = 0;
    for (place, byte) in text.iter().enumerate() {
        match (place, byte) {
            (8 | 13 | 18 | 23, b'-') => {}
            (8 | 13 | 18 | 23, _) => return None,
            _ => {
                digits[at] = *byte;
                at += 1;
            }
        }
    }
    sixteen(&digits)
}

/// `\x` and two digits for each byte.
pub fn bytes(text: &[u8], to: &mut Vec<u8>) -> Option<()> {
    let digits = text.strip_prefix(b"\\x")?;
    let (blocks, rest) = digits.as_chunks::<32>();
    for block in blocks {
        to.extend_from_slice(&sixteen(block)?);
    }
    // What is left is made as long as a block.
    let mut last = [b'0'; 32];
    last[..rest.len()].copy_from_slice(rest);
    let is_whole = rest.len().is_multiple_of(2);
    to.extend_from_slice(&sixteen(&last).filter(|_| is_whole)?[..rest.len() / 2]);
    Some(())
}

/// Sixteen bytes of lower-case digits: all of their values first, then what they make together, both without a branch. A compiler makes it
/// a few instructions for all of them so.
fn sixteen(digits: &[u8; 32]) -> Option<[u8; 16]> {
    let (mut values, mut bad) = ([0; 32], 0);
    for (value, digit) in values.iter_mut().zip(digits) {
        let (decimal, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
        *value = if decimal > 9 { letter.wrapping_add(10) } else { decimal };
        bad |= u8::from(decimal > 9) & u8::from(letter > 5);
    }
    let mut bytes = [0; 16];
    for (byte, [high, low]) in bytes.iter_mut().zip(values.as_chunks::<2>().0) {
        *byte = high << 4 | low;
    }
    (bad == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_pairs_of_digits_in_lower_case() {
        let put = |text: &str| {
            let mut to = Vec::new();
            bytes(text.as_bytes(), &mut to).map(|()| to)
        };
        let all: Vec<u8> = (0..=255).collect();
        for len in [0, 1, 15, 16, 17, 255, 256] {
            let text: String = all[..len].iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(put(&format!("\\x{text}")).as_deref(), Some(&all[..len]), "{len}");
        }
        for other in [
            "",
            "\\",
            "00",
            "\\x0",
            "\\x0g",
            "\\xAB",
            "\\x00 ",
            "\\000",
            &format!("\\x{}g{}", "0".repeat(20), "0".repeat(40)),
        ] {
            assert_eq!(put(other), None, "{other}");
        }
        for digit in (0..=255_u8).filter(|digit| !b"0123456789abcdef".contains(digit)) {
            let mut text = [b"\\x".as_slice(), &[b'0'; 64]].concat();
            text[9] = digit;
            assert_eq!(bytes(&text, &mut Vec::new()), None, "{digit}");
        }
    }

    #[test]
    fn a_uuid_has_its_signs_in_their_places() {
        let bytes = uuid(b"00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(
            bytes,
            Some([0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff])
        );
        for other in [
            "",
            "00112233445566778899aabbccddeeff",
            "00112233-4455-6677-8899-AABBCCDDEEFF",
            "0011223304455-6677-8899-aabbccddeeff",
            "{0112233-4455-6677-8899-aabbccddeef}",
        ] {
            assert_eq!(uuid(other.as_bytes()), None, "{other}");
        }
    }
}
