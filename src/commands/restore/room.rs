//! Room on the server for what is loaded beside the live databases, as far as it can honestly be known: how much is needed about, and,
//! where the server's directory is on this machine and may be looked at, how much is free.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::preflight::Wanted;
use crate::report;
use crate::sources::files::volume;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::survey::Survey;

/// With less than this part of the SQL free, nothing can help. Values that compress well may take a third of their text; more often
/// indexes make it more than the text, so between the two it is only said.
pub const HOPELESS: u64 = 4;

/// What is needed, and what there is, in bytes.
pub struct Room {
    needed: u64,
    free: Option<u64>,
}

impl Room {
    /// Asks the server where it lies, and the file system there.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn ask(session: &Session, port: u16, survey: &Survey, wanted: &[Wanted]) -> Result<Room> {
        Room::ask_for(session, port, wanted.iter().map(|wanted| survey.sections[wanted.section].bytes).sum()).await
    }

    /// The same for so many bytes.
    ///
    /// # Errors
    /// As there.
    pub async fn ask_for(session: &Session, port: u16, needed: u64) -> Result<Room> {
        // Without a row for accounts that may not know.
        let asked = session
            .query_opt("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'", &[])
            .await
            .context("asking where the server's data is")?;
        let directory = asked.and_then(|row| row.get::<_, Option<String>>(0)).map(PathBuf::from);
        let free = directory.filter(|at| is_served_from(at, port)).and_then(|at| volume::free_bytes(&at).ok());
        Ok(Room { needed, free })
    }

    /// What is free, where that can be seen.
    pub fn free(&self) -> Option<u64> {
        self.free
    }

    /// Why it cannot work.
    pub fn fault(&self) -> Option<String> {
        let free = self.free.filter(|free| *free < self.needed / HOPELESS)?;
        let (free, needed) = (report::size(free), report::size(self.needed));
        Some(format!(
            "the server's disk has {free} free, and the databases, {needed} as SQL, are loaded beside the live ones"
        ))
    }

    /// Tells how much it is.
    pub fn say(&self) {
        let needed = report::size(self.needed);
        match self.free {
            None => tracing::info!(
                "plan: needs about {needed} more on the server; how much is free there cannot be seen from here"
            ),
            Some(free) if free < self.needed => tracing::warn!(
                "the server's disk has {} free, and about {needed} are needed: it may become full, which ends the restore and leaves the live databases as they are",
                report::size(free)
            ),
            Some(free) => {
                tracing::info!("plan: needs about {needed} more on the server, which has {} free", report::size(free))
            }
        }
    }
}

/// Whether the directory of that name is that server's, and not another container's: its note of who serves it tells the port.
fn is_served_from(directory: &std::path::Path, port: u16) -> bool {
    let note = std::fs::read_to_string(directory.join("postmaster.pid"));
    note.is_ok_and(|note| note.lines().nth(3) == Some(port.to_string().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_work_is_a_fault() {
        let room = |needed, free| Room { needed, free };
        assert!(room(4_000, Some(999)).fault().is_some_and(|told| told.contains("999 B") && told.contains("4.0 kB")));
        assert_eq!(room(4_000, Some(1_000)).fault(), None);
        assert_eq!(room(4_000, None).fault(), None);
    }
}
