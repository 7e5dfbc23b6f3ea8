//! Space, where it can be seen: for what a restore makes beside what is live, and for the next dump.

use std::path::Path;

use anyhow::Result;

use super::finding::{Area, Finding};
use crate::commands::restore::room::{HOPELESS, Room};
use crate::report::size;
use crate::settings::Postgres;
use crate::sources::files::volume;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server;

/// Room for a second copy of the databases on the server.
pub async fn on_server(session: &Session, postgres: &Postgres, databases: &[String]) -> Result<Vec<Finding>> {
    let mut here = server::databases(session).await?;
    server::measure(session, &mut here, |database| databases.contains(&database.name)).await?;
    let needed: u64 =
        here.iter().filter_map(|database| database.bytes).map(|bytes| u64::try_from(bytes).unwrap_or(0)).sum();
    let room = Room::ask_for(session, postgres.port, needed).await?;
    let Some(free) = room.free() else {
        let what = format!(
            "a restore needs about {} more on the server; how much is free there cannot be seen from here",
            size(needed)
        );
        return Ok(vec![Finding::ok(Area::Room, what)]);
    };
    let mend = "enlarge the server's volume, or restore one database at a time with --only";
    Ok(vec![judged("a restore of the databases", needed, free, "the server's disk", mend)])
}

/// Room for a second copy of a directory beside it.
pub fn of_files(root: &Path, needed: u64) -> Result<Finding> {
    let free = volume::free_bytes(root)?;
    let what = format!("a restore of {}", root.display());
    Ok(judged(&what, needed, free, "its volume", "enlarge the volume, or restore elsewhere with --to"))
}

/// Room for one more like the last dump, in a directory.
pub fn of_dumps(directory: &Path, needed: u64) -> Result<Finding> {
    let free = volume::free_bytes(directory)?;
    if needed == 0 {
        let said = format!("there is no dump yet to measure by, and the volume of the bucket has {} free", size(free));
        return Ok(Finding::ok(Area::Room, said));
    }
    let mend = format!("enlarge the volume of {}, or let BKP_KEEP_DAILY and the like keep less", directory.display());
    Ok(judged("the next dump", needed, free, "the volume of the bucket", &mend))
}

/// Room in a repository that is a directory. What the next backup adds is not known before.
pub fn of_repository(directory: &Path) -> Result<Finding> {
    let free = volume::free_bytes(directory)?;
    let said = format!("the volume of {} has {} free", directory.display(), size(free));
    Ok(match free {
        0 => Finding::fault(Area::Room, said, "enlarge it, or let BKP_KEEP_DAILY and the like keep less"),
        _ => Finding::ok(Area::Room, said),
    })
}

/// By the same measure as a restore: below a part of it nothing can help, between the two it may.
fn judged(what: &str, needed: u64, free: u64, place: &str, mend: &str) -> Finding {
    let said = format!("{what} needs about {}, and {place} has {} free", size(needed), size(free));
    match () {
        () if free < needed / HOPELESS => Finding::fault(Area::Room, said, mend),
        () if free < needed => Finding::warning(Area::Room, said, mend),
        () => Finding::ok(Area::Room, said),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn what_cannot_fit_is_a_fault_and_what_may_not_a_warning() {
        let verdict = |free| judged("it", 4_000, free, "there", "mend").verdict;
        assert_eq!(
            [999, 1_000, 3_999, 4_000].map(verdict),
            [Verdict::Fault, Verdict::Warning, Verdict::Warning, Verdict::Ok]
        );
    }
}
