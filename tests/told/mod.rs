//! Whoever watches is told the truth: heartbeats, and metrics that a real Prometheus reads.

mod alerts;
mod heartbeat;
mod log;
mod metrics;
mod progress;

use std::path::PathBuf;

use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::fixtures;
use crate::support::workdir::WorkDir;

/// A server with the shop, and a bucket that was made.
struct Shop {
    cluster: Cluster,
    work: WorkDir,
}

impl Shop {
    fn open() -> Self {
        let cluster = Cluster::start(15);
        fixtures::shop(&cluster);
        let shop = Self { cluster, work: WorkDir::new() };
        shop.bkp(["init"]).run().ok();
        shop
    }

    fn bkp<const N: usize>(&self, arguments: [&str; N]) -> Bkp {
        Bkp::new(&self.cluster).bucket(&self.bucket()).env("POSTGRES_DB", "shop").args(arguments)
    }

    fn bucket(&self) -> PathBuf {
        self.work.join("bucket")
    }
}
