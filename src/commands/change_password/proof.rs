//! The proof of a password: something is written with it, and read back.
//!
//! It is a snapshot of one line, gone again at once. What a killed call leaves of it has a tag by which it is no backup to
//! anything of bkp's, and the next call removes it. restic reads the repository's config and index on the way, which others wrote
//! with other keys: so the new key is also known to open what is there.

use anyhow::{Result, bail};
use bytes::BytesMut;

use crate::commands::Run;
use crate::commands::catalog::tags::{PROOF, Tags};
use crate::error::Failure;
use crate::exit::Exit;
use crate::repository::restic::{Repository, Saving};

const NAME: &str = "bkp-password-proof";

/// Writes and reads.
///
/// # Errors
/// When either fails, or something else is read than was written.
pub async fn prove(repository: &Repository, run: &Run, host: &str) -> Result<()> {
    // The run's tag tells this snapshot from one that a killed call left; its id in the line makes for bytes that are not there yet.
    let tags = vec![PROOF.to_owned(), format!("run={}", run.id)];
    let line = format!("bkp change-password {}\n", run.id);
    let mut stream = repository.save_stream(&Saving { host: host.to_owned(), tags, ..Saving::default() }, NAME)?;
    stream.write(line.as_bytes()).await?;
    let saved = stream.commit().await?;

    let mut reading = repository.read(&saved.id, &format!("/{NAME}"))?;
    let mut read = BytesMut::new();
    while reading.read(&mut read).await? > 0 {}
    if read != line.as_bytes() {
        bail!(
            Failure::new(format!("{} gives back something else than was written", repository.address()))
                .hint("see what is wrong with the store: bkp check --read-data")
                .exit(Exit::ProofFailed)
        );
    }
    Ok(())
}

/// Removes the snapshots of this and of earlier proofs.
///
/// # Errors
/// When they cannot be listed or removed.
pub async fn remove_all(repository: &Repository) -> Result<()> {
    let all = repository.snapshots().await?;
    // Not a backup that somebody has given this tag, too.
    let is_proof = |tags: &[String]| tags.iter().any(|tag| tag == PROOF) && Tags::read(tags).is_none();
    let proofs = all.into_iter().filter(|snapshot| is_proof(&snapshot.tags));
    let ids: Vec<String> = proofs.map(|snapshot| snapshot.id).collect();
    repository.forget(&ids).await
}
