//! Numbers, as the server writes them.

use std::str::FromStr;

/// Digits with a sign or none, and no zeros before them.
pub fn integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = signed(text);
    let is_canonical = matches!((digits, is_negative), ([b'0'], false) | ([b'1'..=b'9', ..], _));
    // 9223372036854775808 has 19, and its sign decides; summed up as negatives, that one fits as well.
    if !is_canonical || digits.len() > 19 {
        return None;
    }
    let mut value = 0_i64;
    for digit in digits {
        value = value.checked_mul(10)?.checked_sub(i64::from(decimal(*digit)?))?;
    }
    if is_negative { Some(value) } else { value.checked_neg() }
}

/// The longest has 24 characters. Far beyond that, who reads it may lose count.
const FLOAT_MAX: usize = 32;

/// Digits, perhaps with a fraction and an exponent; or no number, or an infinite one.
pub fn float<T: FromStr + Copy + Into<f64>>(text: &[u8]) -> Option<T> {
    let (_, digits) = signed(text);
    if text.len() > FLOAT_MAX || matches!(digits, [b'0', b'0'..=b'9', ..]) {
        return None;
    }
    if matches!((text, digits), (b"NaN", _) | (_, b"Infinity")) {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    let rest = after_digits(digits)?;
    let rest = rest.strip_prefix(b".").map_or(Some(rest), after_digits)?;
    let rest = match rest {
        [b'e', b'+' | b'-', rest @ ..] => after_digits(rest)?,
        rest => rest,
    };
    if !rest.is_empty() {
        return None;
    }
    let value: T = std::str::from_utf8(text).ok()?.parse().ok()?;
    // The server refuses what is too large for it, or too small.
    let mantissa = digits.split(|byte| *byte == b'e').next()?;
    let is_zero = mantissa.iter().all(|byte| matches!(byte, b'0' | b'.'));
    let found: f64 = value.into();
    (found.is_finite() && (found == 0.0) == is_zero).then_some(value)
}

/// Longer ones are rare, and the server's to judge.
const NUMERIC_MAX: usize = 1000;

/// Digits in groups of four around the point, without groups of zeros at either end (`numeric_send`).
pub fn numeric(text: &[u8], to: &mut Vec<u8>) -> Option<()> {
    let (is_negative, digits) = signed(text);
    let point = digits.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = point.map_or((digits, &b""[..]), |at| (&digits[..at], &digits[at + 1..]));
    let is_canonical = matches!(whole, [b'0'] | [b'1'..=b'9', ..]) && point.is_none_or(|_| !fraction.is_empty());
    if !is_canonical || digits.len() > NUMERIC_MAX {
        return None;
    }
    let before = whole.len().div_ceil(4);
    let mut groups = [0_u16; NUMERIC_MAX.div_ceil(4) + 2];
    let mut add = |at: usize, digit: u8| -> Option<()> {
        groups[at] = groups[at] * 10 + u16::from(decimal(digit)?);
        Some(())
    };
    let missing = before * 4 - whole.len();
    for (at, digit) in whole.iter().enumerate() {
        add((at + missing) / 4, *digit)?;
    }
    let after = fraction.len().div_ceil(4);
    for at in 0..after * 4 {
        add(before + at / 4, fraction.get(at).copied().unwrap_or(b'0'))?;
    }
    let groups = &groups[..before + after];
    let first = groups.iter().position(|group| *group != 0).unwrap_or(groups.len());
    let last = groups.iter().rposition(|group| *group != 0).map_or(first, |last| last + 1);
    let stored = &groups[first..last];
    let weight = if stored.is_empty() { 0 } else { i16::try_from(before).ok()? - 1 - i16::try_from(first).ok()? };
    if is_negative && stored.is_empty() {
        return None;
    }
    let sign: u16 = if is_negative { 0x4000 } else { 0 };
    to.extend_from_slice(&i16::try_from(stored.len()).ok()?.to_be_bytes());
    to.extend_from_slice(&weight.to_be_bytes());
    to.extend_from_slice(&sign.to_be_bytes());
    to.extend_from_slice(&i16::try_from(fraction.len()).ok()?.to_be_bytes());
    stored.iter().for_each(|group| to.extend_from_slice(&group.to_be_bytes()));
    Some(())
}

fn signed(text: &[u8]) -> (bool, &[u8]) {
    text.strip_prefix(b"-").map_or((false, text), |digits| (true, digits))
}

/// The value of a digit.
pub(super) fn decimal(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

/// What follows the digits that it begins with; there has to be one.
fn after_digits(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| &text[digits..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_that_fit() {
        for value in [0, 7, -7, i64::MAX, i64::MIN, 1_000_000_000_000] {
            assert_eq!(integer(value.to_string().as_bytes()), Some(value));
        }
        for other in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "1 ",
            " 1",
            "1.0",
            "0x1",
            "1_000",
            "9223372036854775808",
            "99999999999999999999",
        ] {
            assert_eq!(integer(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn floats_that_the_server_would_refuse_or_spell_otherwise_are_none() {
        for value in ["0", "-0", "1.5", "1e+300", "2.2250738585072014e-308", "5e-324", "-Infinity", "Infinity"] {
            assert_eq!(float::<f64>(value.as_bytes()).map(f64::to_bits), Some(value.parse::<f64>().unwrap().to_bits()));
        }
        assert_eq!(float::<f64>(b"NaN").map(f64::to_bits), Some(0x7ff8_0000_0000_0000));
        for other in
            ["", "-", "-NaN", "nan", "inf", "1e400", "1e-400", "1e5", "1.e+5", ".5", "1.", "0x1p+3", "1e+", " 1", "007"]
        {
            assert_eq!(float::<f64>(other.as_bytes()), None, "{other}");
        }
        for (digits, exponent) in [("1", "e-700000"), ("0.", "1e+700000")] {
            assert_eq!(
                float::<f64>(format!("{digits}{}{exponent}", "0".repeat(70_000)).as_bytes()),
                None,
                "{exponent}"
            );
        }
        assert_eq!(float::<f32>(b"1e+39"), None, "too large for four bytes");
        assert_eq!(float::<f32>(b"0.1"), Some(0.1_f32));
    }

    #[test]
    fn numerics_are_groups_of_four_digits() {
        let put = |text: &str| {
            let mut to = Vec::new();
            numeric(text.as_bytes(), &mut to)
                .map(|()| to.chunks(2).map(|two| i16::from_be_bytes([two[0], two[1]])).collect::<Vec<_>>())
        };
        for (text, groups) in [
            ("0", &[0, 0, 0, 0][..]),
            ("0.000", &[0, 0, 0, 3]),
            ("1", &[1, 0, 0, 0, 1]),
            ("-12345.678", &[3, 1, 0x4000, 3, 1, 2345, 6780]),
            ("0.00001", &[1, -2, 0, 5, 1000]),
            ("10000", &[1, 1, 0, 0, 1]),
            ("100000000.0", &[1, 2, 0, 1, 1]),
        ] {
            assert_eq!(put(text).as_deref(), Some(groups), "{text}");
        }
        for other in ["", "-", "-0", "-0.00", "NaN", "Infinity", "1.", ".1", "01", "1e5", "1,5", "1.2.3", " 1"] {
            assert_eq!(put(other), None, "{other}");
        }
        assert_eq!(put(&"9".repeat(NUMERIC_MAX + 1)), None);
        assert!(put(&"9".repeat(NUMERIC_MAX)).is_some());
        assert!(put(&format!("9.{}", "9".repeat(NUMERIC_MAX - 2))).is_some());
    }
}
