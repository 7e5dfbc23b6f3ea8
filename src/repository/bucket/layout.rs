//! Names in a bucket: `db/db_dump-YYYYmmdd_HHMMSS.bak.gz` in UTC, as the scripts before bkp wrote them, so that old and new
//! dumps sit side by side and in order.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};

/// The folder of the dumps.
pub const FOLDER: &str = "db/";

/// The object that rights are tried with, and that is removed again. Not in the folder of the dumps, because older scripts take whatever is
/// newest there for one; always the same name, so that an account that may not delete leaves one and not one a day.
pub const PROBE: &str = ".bkp-doctor";

const FORMAT: &str = "%Y%m%d_%H%M%S";

/// The name of a dump taken at `when`; `taken` counts the dumps that have the same second already.
pub fn dump_name(when: Timestamp, taken: u32) -> String {
    let stamp = when.to_zoned(TimeZone::UTC).strftime(FORMAT).to_string();
    let suffix = if taken == 0 { String::new() } else { format!("-{}", taken + 1) };
    format!("{FOLDER}db_dump-{stamp}{suffix}.bak.gz")
}

/// The time in a dump's name, or nothing when it is no dump's name.
pub fn time_of(name: &str) -> Option<Timestamp> {
    read(name).map(|(time, _)| time)
}

/// How many dumps had the same second before this one, by its name: what orders the dumps of one second. None for other files.
pub fn taken(name: &str) -> u32 {
    read(name).map_or(0, |(_, taken)| taken)
}

/// Reads nothing but what [`dump_name`] writes, and the same without `.gz`: what is forgotten goes by these names, so a file that
/// somebody called nearly so is not ours.
fn read(name: &str) -> Option<(Timestamp, u32)> {
    let stem = name.strip_prefix(FOLDER)?.strip_prefix("db_dump-")?;
    let stem = stem.strip_suffix(".bak.gz").or_else(|| stem.strip_suffix(".bak"))?;
    let (stamp, suffix) = stem.split_at_checked(15)?;
    let civil: DateTime = strtime::parse(FORMAT, stamp).ok()?.to_datetime().ok()?;
    let time = civil.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let taken = match suffix.strip_prefix('-') {
        Some(count) => count.parse::<u32>().ok()?.checked_sub(1)?,
        None => 0,
    };
    let written = dump_name(time, taken);
    (written.strip_suffix(".gz")? == name.strip_suffix(".gz").unwrap_or(name)).then_some((time, taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_its_time() {
        let when: Timestamp = "2026-11-21T23:10:04Z".parse().unwrap();
        assert_eq!(dump_name(when, 0), "db/db_dump-20261121_231004.bak.gz");
        assert_eq!(dump_name(when, 1), "db/db_dump-20261121_231004-2.bak.gz");
        assert_eq!(time_of(&dump_name(when, 0)), Some(when));
        assert_eq!(time_of(&dump_name(when, 3)), Some(when));
    }

    #[test]
    fn a_name_says_which_of_its_second_it_is() {
        let when: Timestamp = "2026-11-21T23:10:04Z".parse().unwrap();
        for count in [0, 1, 9, 10, u32::MAX - 1] {
            assert_eq!(taken(&dump_name(when, count)), count);
        }
        assert_eq!(taken("shop.sql"), 0);
    }

    #[test]
    fn other_files_are_no_dumps() {
        for name in [
            "db/readme.txt",
            "db/db_dump-2026.bak.gz",
            "db_dump-20261121_231004.bak.gz",
            "db/db_dump-20261321_231004.bak.gz",
            "db/db_dump-20261121_231004x.bak.gz",
            "db/db_dump-20261121_231004-.bak.gz",
            // No dump was ever called so: a count begins with 2, and is a number.
            "db/db_dump-20261121_231004-1.bak.gz",
            "db/db_dump-20261121_231004-02.bak.gz",
            "db/db_dump-20261121_231004-99999999999.bak.gz",
        ] {
            assert_eq!(time_of(name), None, "{name}");
        }
    }
}
