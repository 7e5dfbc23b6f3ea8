//! How further sessions are opened, and what all that load set for themselves.

use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::replay::Target;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::load::{Broken, Loader, Twin};

/// Set in every session that loads a side database beside others; anybody may. A database of 307 tables is at its first rows after
/// 1.8 s instead of 4.1 s: each of 2,000 small statements waits for the disk else. More `maintenance_work_mem` gains little, and is the
/// server's to say: it knows what it has.
///
/// What is committed before a crash may be lost with this, in order: the side database counts for nothing before the swap, whose COMMIT
/// is a usual one and waits for all that was written before it.
pub const FASTER: &str = "SET synchronous_commit = off;\n";

/// Set in them as well where they have a core of the server's each: workers of an index would only take it from the other sessions. The
/// indexes of 1.5 GB of tables take a tenth less of both cores. Servers before 11 know no such workers.
const NO_WORKERS: &str = "SET max_parallel_maintenance_workers = 0;\n";

/// What so many sessions set besides, when the server is asked by this one.
///
/// # Errors
/// When it cannot be asked.
pub async fn crowded(session: &Session, sessions: usize) -> Result<&'static str> {
    let asked = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('max_parallel_maintenance_workers', true) IS NOT NULL";
    let row = session.query_one(asked, &[]).await.context("asking for the server's own process")?;
    let cores = std::thread::available_parallelism().map_or(usize::MAX, usize::from);
    let is_crowded = sessions >= cores && row.get(1) && is_here(row.get(0));
    Ok(if is_crowded { NO_WORKERS } else { "" })
}

/// Whether the server is on this machine, by the title that it gives the process of a session. Of a server in another container it is not
/// seen, nor whether that has more cores.
fn is_here(process: i32) -> bool {
    std::fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|title| title.starts_with(b"postgres: "))
}

/// Opens a session that is as the first one is.
///
/// # Errors
/// When it cannot be opened, or takes not what the first one has taken.
pub async fn open(target: &Target, session: &[u8]) -> Result<Loader> {
    let mut loader = Loader::start(&target.postgres, &target.client, &target.database, &target.session_name).await?;
    match set(&mut loader, target.blocks, session).await {
        Ok(()) => Ok(loader),
        Err(Broken) => Err(loader.failure().await),
    }
}

async fn set(loader: &mut Loader, blocks: usize, session: &[u8]) -> Result<(), Broken> {
    loader.collect(blocks).await?;
    loader.write(&set_by(session)).await?;
    loader.settled().await
}

/// How to open one without psql; nothing where the dump's text is not in that one's encoding.
pub fn twin(target: &Target, session: &[u8]) -> Option<Arc<Twin>> {
    let Target { postgres, database, session_name, encoding, .. } = target;
    let session = String::from_utf8(set_by(session)).ok().filter(|_| encoding.as_deref() == Some("UTF8"))?;
    Some(Arc::new(Twin { opened: (postgres.clone(), database.clone(), session_name.clone()), session }))
}

fn set_by(session: &[u8]) -> Vec<u8> {
    [FASTER.as_bytes(), session].concat()
}
