//! The main job against object stores: what an operator meets when a store refuses, breaks, or gives other bytes.

pub(crate) mod credentials;
mod downloads;
mod others;
mod refusals;
mod uploads;

use super::{Shop, producers};
use crate::support::bkp::Bkp;
use crate::support::compare::{Snapshot, assert_same};
use crate::support::gcs::{Fault, Gcs};

/// A server with the shop, and Google's store with an empty bucket.
pub(crate) struct Cloud {
    pub(super) shop: Shop,
    pub(super) gcs: Gcs,
}

/// Takes a place in the queue of faults and does nothing: for what goes wrong at the second operation of its kind.
const NOTHING: Fault = Fault::KeepOnly(0);

impl Cloud {
    fn open() -> Self {
        Self { shop: Shop::open(), gcs: Gcs::start() }
    }

    /// The same with a dump that goes up in pieces of 8 MiB, most of them before pg_dump ends.
    fn open_with_much() -> Self {
        let cloud = Self::open();
        let noise = "CREATE TABLE noise AS SELECT i, encode(sha512(i::text::bytea), 'base64') AS t FROM generate_series(1, 600000) i";
        cloud.shop.cluster.psql("shop", noise);
        cloud
    }

    /// bkp for the one database `shop`, with a prefix in the bucket.
    fn bkp<const N: usize>(&self, arguments: [&str; N]) -> Bkp {
        let bkp = Bkp::new(&self.shop.cluster).env("POSTGRES_DB", "shop").args(arguments);
        bkp.google(&self.gcs, "/some/prefix")
    }

    /// bkp whose pg_dump is another one.
    fn bkp_with_pg_dump(&self, script: &str) -> Bkp {
        self.bkp(["backup"]).env("BKP_PG_BIN", producers::clients_with(&self.shop, "pg_dump", script))
    }

    fn backed_up() -> Self {
        let cloud = Self::open();
        cloud.bkp(["backup"]).run().ok();
        cloud
    }

    fn count(&self, op: &str) -> usize {
        self.gcs.log().iter().filter(|entry| *entry == op).count()
    }

    /// What a failed backup must leave: no object, nothing that is billed, and nothing that is listed.
    #[track_caller]
    fn holds_nothing(&self) {
        assert_eq!(self.gcs.objects(), Vec::<String>::new());
        assert_eq!(self.gcs.open_uploads(), 0, "an upload stays open: {:?}", self.gcs.log());
        self.bkp(["list"]).run().ok().says("no backups yet");
    }

    /// Does `refused` to a shop that has changed since the backup: what serves must go on serving.
    #[track_caller]
    fn old_data_serves(&self, refused: impl FnOnce()) {
        self.shop.lose_orders();
        let orders = self.shop.orders();
        refused();
        assert_eq!(self.shop.orders(), orders);
        assert!(self.shop.databases_of_ours().is_empty(), "{:?}", self.shop.databases_of_ours());
    }
}

/// Saves, loses, brings back and compares all of the shop's content, with a bkp that knows its store.
fn comes_back(shop: &Shop, bkp: impl Fn(&[&str]) -> Bkp) {
    let before = Snapshot::of_databases(&shop.cluster, &["shop"]);
    bkp(&["init"]).run().ok().says("is there");
    bkp(&["backup"]).run().ok();
    bkp(&["list"]).run().ok().says("sealed");
    bkp(&["check", "--read-data"]).run().ok().says("1 dumps are as sealed");
    shop.cluster.psql("shop", "DROP VIEW spent; DROP TABLE orders; CREATE TABLE rubbish (i int)");
    bkp(&["restore"]).run().ok();
    assert_same(&before, &Snapshot::of_databases(&shop.cluster, &["shop"]));
}
