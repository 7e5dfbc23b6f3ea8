//! What a pod does in a history, by the real steps of the commands: their locks, their store, their order.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use crate::commands::backup::bucket;
use crate::commands::catalog::proofs;
use crate::commands::repositories::Repositories;
use crate::commands::{Context, Run, forget};
use crate::repository::bucket::faults::Faults;
use crate::repository::bucket::store::Store;
use crate::sources::files::lock;
use crate::sources::postgres::seal::{FORMAT, Seal, rows_of};
use crate::sources::postgres::survey::Surveyor;

/// A pod of one application.
pub struct Pod<'a> {
    pub context: &'a Context,
    pub store: Store,
    /// What is locked: one for each application.
    pub root: PathBuf,
}

/// What a backup sets out to save.
pub struct Wanted {
    pub rows: u64,
    pub safety: bool,
    /// Told as soon as it is known.
    pub run: std::rc::Rc<std::cell::RefCell<Option<String>>>,
}

/// What a run says at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Done,
    Failed,
    RetentionFailed,
    Locked,
}

/// A dump as pg_dumpall writes it, with so many rows.
pub fn sql(rows: u64) -> String {
    let rows: String = (0..rows).map(|row| format!("{row}\n")).collect();
    format!(
        "--\n-- PostgreSQL database cluster dump\n--\n\n\\connect shop\n\nCREATE TABLE public.t (a integer);\n\nCOPY public.t (a) FROM stdin;\n{rows}\\.\n\n\n\
         --\n-- PostgreSQL database dump complete\n--\n\n--\n-- PostgreSQL database cluster dump complete\n--\n\n"
    )
}

impl Pod<'_> {
    /// Of the same application, with these faults between it and the store.
    pub fn meeting(self, faults: &Faults) -> Self {
        Self { store: self.store.with(faults), ..self }
    }

    fn repositories(&self) -> Repositories {
        Repositories { bucket: Some(self.store.clone()), restic: None }
    }

    /// As `bkp backup` does; as a restore does where it saves what it replaces, which applies no retention.
    pub async fn backup(self, wanted: Wanted) -> Said {
        let Ok(_held) = lock::acquire(&self.root, Duration::ZERO).await else { return Said::Locked };
        let saved = async {
            let run = Run::begin()?;
            *wanted.run.borrow_mut() = Some(run.id.clone());
            bucket::reachable(&self.store).await?;
            self.save(&run, &wanted).await?;
            Ok::<Run, anyhow::Error>(run)
        };
        let Ok(run) = saved.await else { return Said::Failed };
        if wanted.safety {
            return Said::Done;
        }
        match forget::apply(self.context, &self.repositories(), Some(&run.id), false).await {
            Ok(_) => Said::Done,
            Err(_) => Said::RetentionFailed,
        }
    }

    async fn save(&self, run: &Run, wanted: &Wanted) -> Result<()> {
        let sql = sql(wanted.rows);
        let mut seal = seal(run, &self.context.settings.app, wanted, &sql)?;
        for attempt in 0..5 {
            let mut pump = bucket::begin(run, &self.store, 1, attempt).await?;
            if let Err(error) = pump.write(sql.as_bytes()).await {
                pump.abort().await;
                return Err(error);
            }
            if bucket::commit(pump, &mut seal).await?.is_some() {
                return Ok(());
            }
        }
        bail!("other runs took every name of this second")
    }

    /// As `bkp forget` does.
    pub async fn forget(self) -> Said {
        let Ok(_held) = lock::acquire(&self.root, Duration::ZERO).await else { return Said::Locked };
        match forget::apply(self.context, &self.repositories(), None, false).await {
            Ok(_) => Said::Done,
            Err(_) => Said::Failed,
        }
    }

    /// What a drill remembers of a dump that it has proven.
    pub async fn remember(self, dump: &str, run: &str) -> Said {
        match proofs::remember(&self.store, dump, run, b"{}").await {
            Ok(()) => Said::Done,
            Err(_) => Said::Failed,
        }
    }

    /// What an older script does: no lock, no seal.
    pub async fn old_script(self, now: Timestamp, rows: u64) -> Result<Option<String>> {
        let name = crate::repository::bucket::layout::dump_name(now, 0);
        let Ok(mut upload) = self.store.upload(&name).await else { return Ok(None) };
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(sql(rows).as_bytes())?;
        upload.write(gzip.finish()?.into()).await?;
        upload.commit().await?;
        Ok(Some(name))
    }
}

fn seal(run: &Run, app: &str, wanted: &Wanted, sql: &str) -> Result<Seal> {
    let mut surveyor = Surveyor::new();
    surveyor.push(sql.as_bytes())?;
    let survey = surveyor.finish()?;
    Ok(Seal {
        format: FORMAT,
        run: run.id.clone(),
        app: app.to_owned(),
        server: "17.6".to_owned(),
        client: "17.6".to_owned(),
        databases: rows_of(&survey).into_iter().collect::<BTreeMap<_, _>>(),
        skipped: Vec::new(),
        files: Vec::new(),
        safety: wanted.safety,
        measure: None,
        database_bytes: BTreeMap::new(),
        bytes: sql.len() as u64,
        digest: format!("blake3:{}", blake3::hash(sql.as_bytes()).to_hex()),
        stored: None,
    })
}
