//! The main job, against real servers: what an operator does, and what happens to them.

mod beside;
mod between;
mod binary_rows;
pub(crate) mod bucket;
mod damage;
mod drill;
mod drill_damage;
mod endurance;
mod failures;
mod foreign;
mod fresh;
mod last_words;
mod managed;
mod many_tables;
mod members;
mod names;
mod odd_servers;
mod output;
mod parallel;
mod parallel_order;
mod past_psql;
mod preflight;
mod produced;
mod produced_any;
mod produced_odd;
mod producers;
mod retention;
mod round_trip;
mod runs;
mod secrets;
mod signals;
mod standby;
mod statistics;
mod stretches;
mod swap;
mod table_accidents;
mod tables;
mod targets;
mod throwaway;
mod tls;
mod undo;
mod waits;
mod writes;

pub(crate) use self::failures::old_clients;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::fixtures;
use crate::support::wait::until;
use crate::support::workdir::WorkDir;

/// A server with the shop, and a bucket that was made.
pub(crate) struct Shop {
    pub cluster: Cluster,
    pub work: WorkDir,
}

impl Shop {
    pub fn open() -> Self {
        Self::open_on(15)
    }

    pub fn open_on(major: u32) -> Self {
        Self::on(Cluster::start(major))
    }

    pub fn on(cluster: Cluster) -> Self {
        fixtures::shop(&cluster);
        let shop = Self { cluster, work: WorkDir::new() };
        shop.bkp(["init"]).run().ok();
        shop
    }

    pub fn bucket(&self) -> PathBuf {
        self.work.join("bucket")
    }

    /// bkp for the one database `shop`.
    pub fn bkp<const N: usize>(&self, arguments: [&str; N]) -> Bkp {
        Bkp::new(&self.cluster).bucket(&self.bucket()).env("POSTGRES_DB", "shop").args(arguments)
    }

    pub(crate) fn dumps(&self) -> Vec<PathBuf> {
        dumps(&self.bucket())
    }

    /// The orders, as the application sees them.
    pub(crate) fn orders(&self) -> String {
        self.cluster.psql("shop", "SELECT count(*), md5(string_agg(o::text, '' ORDER BY o::text)) FROM orders o")
    }

    /// What an accident does.
    pub(crate) fn lose_orders(&self) {
        self.cluster.psql("shop", "DELETE FROM orders WHERE true");
    }

    /// A session that holds the orders, so that pg_dump waits for them until it ends.
    fn hold_orders(&self) -> Child {
        let mut psql = self.cluster.client("psql");
        let mut holder =
            psql.args(["-X", "-d", "shop"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("psql");
        let lock = b"BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;\n";
        holder.stdin.as_mut().expect("a pipe").write_all(lock).expect("written");
        let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND database <> 0";
        until("the lock", || self.cluster.psql("postgres", held).trim() != "0");
        holder
    }

    /// Databases that bkp made or put aside.
    pub(crate) fn databases_of_ours(&self) -> Vec<String> {
        self.cluster.databases().into_iter().filter(|name| name.contains("__bkp_") || name.contains("__was_")).collect()
    }

    /// Puts a file into the bucket as a dump of a given night.
    pub(crate) fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let folder = self.bucket().join("db");
        fs::create_dir_all(&folder).expect("the bucket's folder");
        let path = folder.join(name);
        fs::write(&path, content).expect("a dump in the bucket");
        path
    }
}

/// The dumps in the order in which they were made: within one second they are numbered.
fn dumps(bucket: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(bucket.join("db")) else { return Vec::new() };
    let mut names: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()).collect();
    let stamp_bytes = "db_dump-20261121_231004".len();
    names.sort_by_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name.chars().take(stamp_bytes).collect::<String>(), name.len(), name)
    });
    names
}

pub(crate) fn gunzip(stored: &[u8]) -> Vec<u8> {
    let mut sql = Vec::new();
    flate2::read::MultiGzDecoder::new(stored).read_to_end(&mut sql).expect("gzip");
    sql
}

pub(crate) fn gzip(sql: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    flate2::read::GzEncoder::new(sql, flate2::Compression::fast()).read_to_end(&mut stored).expect("gzip");
    stored
}
