//! One run at a time on a directory: `flock` on the directory itself. It needs no file, so it works on a read-only mount, and
//! it dies with its holder.
//!
//! On a network file system the lock of a directory may hold on one node only. Between nodes the database's lock holds, where
//! there is a database, and the repository's own.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::Failure;
use crate::exit::Exit;

/// How often a lock that is held is tried again.
const PACE: Duration = Duration::from_millis(100);

/// The lock of a directory, given back when dropped.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    /// By the word and not by closing alone: a child that is being started has a copy of the descriptor until it is another program.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Takes the lock of `root`, waiting up to `wait` for another run to end.
///
/// # Errors
/// Exit code 11 naming the holder, as far as the kernel tells.
pub async fn acquire(root: &Path, wait: Duration) -> Result<Lock> {
    let directory = File::open(root).with_context(|| format!("opening {} to lock it", root.display()))?;
    let (began, mut said) = (Instant::now(), false);
    loop {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Lock(directory)),
            Err(Errno::WOULDBLOCK) => {}
            Err(Errno::INTR) => continue,
            Err(error) => bail!(anyhow::Error::from(error).context(format!("locking {}", root.display()))),
        }
        if began.elapsed() >= wait {
            bail!(
                Failure::new(format!("{} is locked by {}", root.display(), holder(&directory)))
                    .hint("wait for it to end, or set BKP_LOCK_WAIT (for example 10m) to wait for it here")
                    .exit(Exit::Locked)
            );
        }
        if !said {
            tracing::info!("waiting for {} to end, which works on {}", holder(&directory), root.display());
            said = true;
        }
        tokio::time::sleep(PACE.min(wait.saturating_sub(began.elapsed()))).await;
    }
}

fn holder(directory: &File) -> String {
    let unknown = || "another run (on another node, or in another container)".to_owned();
    let Ok(metadata) = directory.metadata() else { return unknown() };
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let Some(process) = holder_in(&locks, metadata.ino()) else { return unknown() };
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    match name.trim() {
        "" => format!("process {process}"),
        name => format!("process {process} ({name})"),
    }
}

/// The process that holds the `flock` on this inode: `1: FLOCK  ADVISORY  WRITE 1234 08:02:131 0 EOF`. The device is not
/// compared, because some file systems tell another one here than to `stat`. A holder outside our process namespace is 0.
fn holder_in(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        if words.next() != Some("FLOCK") {
            return None;
        }
        let process = words.nth(2)?.parse().ok().filter(|process| *process != 0)?;
        let (_, number) = words.next()?.rsplit_once(':')?;
        (number.parse() == Ok(inode)).then_some(process)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_of;

    #[test]
    fn the_kernel_names_the_holder() {
        let locks = "1: POSIX  ADVISORY  WRITE 12 08:02:131 0 EOF\n2: FLOCK  ADVISORY  WRITE 0 08:02:132 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 15 08:02:131 0 EOF\n3: FLOCK  ADVISORY  WRITE 34 08:02:131 0 EOF\n";
        assert_eq!(holder_in(locks, 131), Some(34));
        assert_eq!(holder_in(locks, 132), None);
        assert_eq!(holder_in("", 131), None);
    }

    #[tokio::test]
    async fn a_held_lock_names_its_holder_and_is_free_when_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let held = acquire(dir.path(), Duration::ZERO).await.unwrap();
        let error = acquire(dir.path(), Duration::from_millis(150)).await.unwrap_err();
        assert_eq!(exit_of(&error), Exit::Locked);
        let own = format!("process {}", std::process::id());
        assert!(error.to_string().contains(&own), "{error}");
        let waiting = tokio::spawn({
            let root = dir.path().to_owned();
            async move { acquire(&root, Duration::from_secs(20)).await }
        });
        tokio::task::yield_now().await;
        drop(held);
        waiting.await.unwrap().unwrap();
    }
}
