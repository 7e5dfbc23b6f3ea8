//! The restic engine against the real program.

mod damage;
mod engine;
mod keys;
mod locks;
mod streams;
mod trees;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bkp::commands;
use bkp::repository::restic::{Address, Options, Password, Reading, Repository, Restic, Saving, Snapshot};
use bkp::settings::Secret;
use bytes::BytesMut;

use crate::support::run::{Ran, run};
use crate::support::workdir::WorkDir;
use crate::support::{parts, quick};

const PASSWORD: &str = " open sesame'%\"$x ";

/// A repository on this machine and its password.
struct Place {
    work: WorkDir,
    repository: Repository,
}

fn options(work: &Path) -> Options {
    let environment = [("HOME", work.join("home")), ("TMPDIR", work.to_path_buf())];
    Options {
        program: Some(parts::restic("0.18")),
        environment: environment.map(|(name, value)| (name.to_owned(), value.into())).into(),
        cacert: None,
        lock_wait: Duration::ZERO,
        answer_within: Duration::from_secs(60),
        relay: PathBuf::from(env!("CARGO_BIN_EXE_bkp")),
        clock: commands::now,
    }
}

fn password() -> Password {
    Password::Secret(Secret::new(PASSWORD.to_owned()))
}

async fn repository(options: Options, address: &str) -> Repository {
    Repository::new(Restic::find(options).await.expect("restic"), Address::new(address), password())
}

impl Place {
    /// One that is not there yet.
    async fn empty() -> Place {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Options)) -> Place {
        let work = WorkDir::new();
        let mut options = options(work.path());
        change(&mut options);
        let repository = repository(options, &work.join("repo").display().to_string()).await;
        Place { work, repository }
    }

    async fn made() -> Place {
        let place = Self::empty().await;
        let quick = quick::restic(&place.work);
        let maker = place.again(|options| options.program = Some(quick)).await;
        maker.init(None).await.expect("made");
        place
    }

    /// The same repository, asked with other options.
    async fn again(&self, change: impl FnOnce(&mut Options)) -> Repository {
        let mut options = options(self.work.path());
        change(&mut options);
        repository(options, &self.work.join("repo").display().to_string()).await
    }

    async fn snapshots(&self) -> Vec<Snapshot> {
        self.repository.snapshots().await.expect("listed")
    }

    /// What restic itself says, apart from bkp.
    fn restic<I: IntoIterator<Item: AsRef<std::ffi::OsStr>>>(&self, version: &str, arguments: I) -> Ran {
        run(self.command(version).args(arguments), b"")
    }

    fn command(&self, version: &str) -> Command {
        let mut command = Command::new(parts::restic(version));
        command.env_clear().env("HOME", self.work.join("home")).env("RESTIC_PASSWORD", PASSWORD);
        command.env("RESTIC_REPOSITORY", self.work.join("repo")).env("TMPDIR", self.work.path());
        command
    }

    /// Files of the repository that begin with this.
    fn stored(&self, kind: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut left = vec![self.work.join("repo").join(kind)];
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(&directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() { left.push(path) } else { found.push(path) }
            }
        }
        found
    }
}

fn saving() -> Saving {
    Saving { host: "shop".into(), tags: vec!["run=1".into(), "database".into()], ..Saving::default() }
}

/// Bytes that look like nothing, the same at each call.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ length as u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(length)
    .collect()
}

async fn all(mut reading: Reading) -> anyhow::Result<Vec<u8>> {
    let mut content = BytesMut::new();
    while reading.read(&mut content).await? > 0 {}
    Ok(content.to_vec())
}

/// Saves a stream in pieces as a pipe hands them over; gives the snapshot's id.
async fn save(repository: &Repository, name: &str, content: &[u8]) -> anyhow::Result<String> {
    let mut stream = repository.save_stream(&saving(), name)?;
    for piece in content.chunks(300_001) {
        stream.write(piece).await?;
    }
    Ok(stream.commit().await?.id)
}

fn os(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}
