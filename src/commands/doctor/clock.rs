//! Whether clocks agree: retention counts days, locks count minutes, and stores refuse a signature whose time is off by a quarter of an hour.

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use super::finding::{Area, Finding};
use crate::commands::now;
use crate::commands::when::of_the_future;
use crate::sources::postgres::connect::Session;

/// Less than this is the network, or a clock nobody has to care for.
const NOTICED_SECONDS: i64 = 30;

/// Amazon's and others' limit for a signed request.
const REFUSED_SECONDS: i64 = 15 * 60;

/// Compares the server's clock with ours.
pub async fn of_server(session: &Session) -> Result<Finding> {
    let before = now();
    let row = session
        .query_one("SELECT EXTRACT(epoch FROM pg_catalog.clock_timestamp())::float8", &[])
        .await
        .context("asking for the server's time")?;
    let theirs = Timestamp::from_millisecond((row.get::<_, f64>(0) * 1000.0) as i64)?;
    Ok(verdict("the database server", theirs, before, now()))
}

/// What to say of backups whose newest is of a time that has not come yet; `latest` means it, and retention keeps it before others.
pub fn of_newest<'a>(
    area: Area,
    backups: impl Iterator<Item = (&'a str, Timestamp)>,
    now: Timestamp,
) -> Option<Finding> {
    let (name, time) = backups.max_by_key(|(_, time)| *time)?;
    let what = of_the_future(name, time, now)?;
    Some(Finding::warning(area, what, "set the clock right; name the backup that you mean, or delete this one by hand"))
}

/// What to say of a clock that showed `theirs` at some time between `before` and `after` of ours.
pub fn verdict(whose: &str, theirs: Timestamp, before: Timestamp, after: Timestamp) -> Finding {
    let ahead = theirs.duration_since(after).as_secs().max(0);
    let behind = before.duration_since(theirs).as_secs().max(0);
    let (off, way) = if ahead > 0 { (ahead, "ahead of") } else { (behind, "behind") };
    let what = format!("the clock of {whose} is {off} s {way} ours");
    match off {
        REFUSED_SECONDS.. => Finding::fault(Area::Clock, what, MEND),
        NOTICED_SECONDS.. => Finding::warning(Area::Clock, what, MEND),
        _ => Finding::ok(Area::Clock, format!("the clock of {whose} agrees with ours")),
    }
}

const MEND: &str = "let a time service set both: timedatectl set-ntp true, or chrony on the nodes";

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_by_how_much_and_which_way() {
        let ours: Timestamp = "2026-11-21T23:10:00Z".parse().unwrap();
        let told = |seconds: i64| {
            let later = ours + SignedDuration::from_secs(1);
            verdict("the store", ours + SignedDuration::from_secs(seconds), ours, later)
        };
        for within in [-29, 0, 1, 30] {
            assert_eq!(told(within).verdict, Verdict::Ok, "{within}");
        }
        assert_eq!(told(-60).what, "the clock of the store is 60 s behind ours");
        assert_eq!(told(61).what, "the clock of the store is 60 s ahead of ours");
        assert_eq!((told(61).verdict, told(-900).verdict), (Verdict::Warning, Verdict::Fault));
    }
}
