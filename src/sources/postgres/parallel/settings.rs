//! How further sessions are opened, and what all that load set for themselves.

use std::sync::Arc;

use anyhow::Result;

use super::replay::Target;
use crate::sources::postgres::load::{Broken, Loader, Twin};

/// Set in every session that loads a side database beside others; anybody may. A database of 307 tables is at its first rows after
/// 1.8 s instead of 4.1 s: each of 2,000 small statements waits for the disk else. More `maintenance_work_mem` (256 MB) and no parallel
/// workers for an index gained nothing beyond noise, so they are the server's to say.
///
/// What is committed before a crash may be lost with this, in order: the side database counts for nothing before the swap, whose COMMIT
/// is a usual one and waits for all that was written before it.
pub const FASTER: &str = "SET synchronous_commit = off;\n";

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
