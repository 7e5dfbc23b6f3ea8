//! Days and times in ISO's order, which every dump has (`SET DateStyle` of pg_dump), of the years 1 to 9999: before, after and beyond all
//! of them other spellings begin.

use super::numbers::decimal;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Days since 2000-01-01.
pub fn date(text: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let year = i32::from(two(*y1, *y2)?) * 100 + i32::from(two(*y3, *y4)?);
    let (month, day) = (two(*m1, *m2)?, two(*d1, *d2)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || !(1..=days).contains(&day) {
        return None;
    }
    // Years begin in March, so that a leap day is their last; 153 days are five of their months.
    let (month, day) = (i32::from(month), i32::from(day));
    let year = if month > 2 { year } else { year - 1 };
    let days = year * 365 + year / 4 - year / 100 + year / 400;
    let since_march = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    // The first of March of the year 0 is so many days before.
    Some(days + since_march - 730_425)
}

/// Microseconds since 2000-01-01 00:00:00.
pub fn timestamp(text: &[u8]) -> Option<i64> {
    let (day, rest) = text.split_at_checked(10)?;
    let [b' ', time @ ..] = rest else { return None };
    Some(i64::from(date(day)?) * DAY + clock(time)?)
}

/// The same in UTC.
pub fn timestamp_tz(text: &[u8]) -> Option<i64> {
    // Behind the day, whose signs are others.
    let sign = 10 + text.get(10..)?.iter().rposition(|byte| matches!(byte, b'+' | b'-'))?;
    let (local, zone) = text.split_at(sign);
    let (hours, rest) = zone[1..].split_at_checked(2)?;
    let part = |part: &[u8]| match part {
        [b':', tens, ones] => two(*tens, *ones).filter(|value| *value < 60),
        _ => None,
    };
    let (minutes, seconds) = match rest.len() {
        0 => (0, 0),
        3 => (part(rest)?, 0),
        _ => (part(rest.get(..3)?)?, part(&rest[3..])?),
    };
    let hours = two(hours[0], hours[1]).filter(|hours| *hours < 16)?;
    let east = (i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds)) * SECOND;
    let local = timestamp(local)?;
    Some(if zone[0] == b'+' { local - east } else { local + east })
}

/// Microseconds since midnight.
fn clock(text: &[u8]) -> Option<i64> {
    let (time, fraction) = text.split_at_checked(8)?;
    let [h1, h2, b':', m1, m2, b':', s1, s2] = time else { return None };
    let hours = two(*h1, *h2).filter(|hours| *hours < 24)?;
    let minutes = two(*m1, *m2).filter(|minutes| *minutes < 60)?;
    let seconds = two(*s1, *s2).filter(|seconds| *seconds < 60)?;
    let micros = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            let mut micros = 0;
            for at in 0..6 {
                micros = micros * 10 + i64::from(digits.get(at).map_or(Some(0), |digit| decimal(*digit))?);
            }
            micros
        }
        _ => return None,
    };
    Some((i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds)) * SECOND + micros)
}

fn two(tens: u8, ones: u8) -> Option<u8> {
    Some(decimal(tens)? * 10 + decimal(ones)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_2000_on() {
        for (text, days) in [
            ("2000-01-01", 0),
            ("1999-12-31", -1),
            ("2000-03-01", 60),
            ("2024-02-29", 8825),
            ("0001-01-01", -730_119),
            ("9999-12-31", 2_921_939),
        ] {
            assert_eq!(date(text.as_bytes()), Some(days), "{text}");
        }
        for other in [
            "2023-02-29",
            "1900-02-29",
            "2023-13-01",
            "2023-00-01",
            "2023-01-00",
            "2023-04-31",
            "0000-01-01",
            "10000-01-01",
            "infinity",
            "01/02/2023",
            "2023-1-1",
            "0001-01-01 BC",
        ] {
            assert_eq!(date(other.as_bytes()), None, "{other}");
        }
    }

    /// Every day, against a calendar of others.
    #[test]
    fn every_day_is_the_next_one() {
        let (mut day, mut count) = (jiff::civil::date(1, 1, 1), -730_119);
        while let Ok(next) = day.tomorrow() {
            assert_eq!(date(day.to_string().as_bytes()), Some(count), "{day}");
            (day, count) = (next, count + 1);
        }
        assert_eq!(count, 2_921_939);
    }

    #[test]
    fn times_have_microseconds_and_a_distance_to_utc() {
        assert_eq!(timestamp(b"2000-01-02 00:00:01.5"), Some(DAY + 1_500_000));
        assert_eq!(timestamp(b"1999-12-31 23:59:59.999999"), Some(-1));
        let hours = |text: &str| timestamp_tz(text.as_bytes()).map(|micros| micros as f64 / 3600e6);
        for (zone, east) in
            [("+00", 0.0), ("+02", 2.0), ("-11:30", -11.5), ("+05:45", 5.75), ("-00:25:12", -0.42), ("-03", -3.0)]
        {
            assert_eq!(hours(&format!("2000-01-01 00:00:00{zone}")), Some(-east), "{zone}");
        }
        for other in [
            "2000-01-01",
            "2000-01-01 24:00:00",
            "2000-01-01 00:60:00",
            "2000-01-01 00:00:60",
            "2000-01-01 00:00:00.",
            "2000-01-01 00:00:00.1234567",
            "2000-01-01T00:00:00",
            "2000-01-01 00:00:00 BC",
            "2000-01-01 00:00",
        ] {
            assert_eq!(timestamp(other.as_bytes()), None, "{other}");
            assert_eq!(timestamp_tz(format!("{other}+00").as_bytes()), None, "{other}");
        }
        for zone in ["", "Z", "+2", "+16", "+02:60", "+0200", "+02:00:00:00", " UTC", "+02:0", "-"] {
            assert_eq!(timestamp_tz(format!("2000-01-01 00:00:00{zone}").as_bytes()), None, "{zone}");
        }
    }
}
