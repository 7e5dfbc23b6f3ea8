//! The accounts of `docs/security.md` on Amazon's protocol, with its own policies, on a server that enforces them.

use bkp::repository::bucket::error::StoreError;
use bkp::repository::bucket::options::StoreOptions;
use bkp::repository::bucket::store::Store;
use bkp::settings::secret::Secret;

use crate::documents::page::{blocks, text};
use crate::job::Shop;
use crate::store::servers::{Server, seaweedfs_for};
use crate::support::bkp::Bkp;
use crate::support::workdir::WorkDir;
use crate::support::{parts, quick};

/// The page's policies, for the bucket of the tests: to add, to forget, to read, to add by restic.
fn policies() -> [String; 4] {
    let found = blocks(&text("docs/security.md")).into_iter();
    let of_s3 = found.filter(|block| block.heading == "On Amazon's protocol" && block.kind == "json");
    let mut found: Vec<String> = of_s3.map(|block| block.lines.replace("my-backups", "test-bucket")).collect();
    // Amazon's alone: what SeaweedFS knows no condition of.
    assert!(found.pop().is_some_and(|last| last.contains("s3:if-none-match")));
    found.try_into().expect("four accounts")
}

/// What the store holds, as its owner sees it.
fn objects(server: &Server) -> Vec<String> {
    let store = store(server.options.clone());
    wait(async { store.list("").await }).expect("listed").into_iter().map(|object| object.name).collect()
}

fn store(options: StoreOptions) -> Store {
    Store::open(&"s3://test-bucket/shop".parse().expect("an address"), &options).expect("a store")
}

/// The store as an account sees it.
fn as_account(server: &Server, name: &str) -> Store {
    let mut options = server.options.clone();
    let key = || Some(Secret::new(name.to_owned()));
    (options.s3.access_key, options.s3.secret_key) = (key(), key());
    store(options)
}

fn wait<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(story)
}

fn keyed(bkp: Bkp, server: &Server, name: &str) -> Bkp {
    let endpoint = server.options.s3.endpoint.as_deref().expect("an endpoint");
    bkp.env("AWS_ENDPOINT_URL", endpoint).env("AWS_ACCESS_KEY_ID", name).env("AWS_SECRET_ACCESS_KEY", name)
}

#[test]
fn the_accounts_of_the_page_on_amazons_protocol_do_what_they_are_for_and_no_more() {
    let [adds, forgets, reads, restic] = policies();
    let blind = adds.replace(r#""s3:GetObject", "#, "");
    assert_ne!(blind, adds);
    let elsewhere = adds.replace("test-bucket", "another-bucket");
    let server = seaweedfs_for(&[
        ("adds", adds),
        ("blind", blind),
        ("forgets", forgets),
        ("reads", reads),
        ("restic", restic),
        ("elsewhere", elsewhere),
    ]);
    buckets(&server);
    unfinished_uploads(&server);
    repositories(&server);
}

fn buckets(server: &Server) {
    let shop = Shop::open();
    let bkp = |account: &str, arguments: &[&str]| {
        keyed(shop.bkp([]), server, account).env("BKP_BUCKET", "s3://test-bucket/shop").args(arguments)
    };
    let one = |bkp: Bkp| bkp.env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1");
    let orders = shop.orders();

    bkp("adds", &["backup"]).run().ok().never_says("WARN");
    let metrics = shop.work.join("bkp.prom");
    let out = one(bkp("adds", &["backup"])).env("BKP_METRICS_FILE", &metrics).run().fails_with(4);
    out.says("does not allow to delete").says("0 forgotten");
    let metrics = std::fs::read_to_string(metrics).expect("metrics");
    assert!(metrics.contains("bkp_retention_failing{app=\"shop\"} 1"), "{metrics}");
    assert!(metrics.contains("bkp_last_run_exit_status{app=\"shop\",command=\"backup\"} 4"), "{metrics}");
    one(bkp("adds", &["forget"])).run().fails_with(1).says("does not allow to delete");
    assert_eq!(objects(server).len(), 2);
    bkp("blind", &["doctor"]).run().ok().says("nor restore").says("does not allow to delete");
    bkp("blind", &["backup"]).run().ok().says("cannot be told");
    bkp("blind", &["restore", "--yes"]).run().fails_with(1).says("does not allow to read");
    bkp("blind", &["list"]).run().ok();

    let before = objects(server);
    bkp("reads", &["list"]).run().ok().says("sealed");
    bkp("reads", &["check", "--read-data"]).run().ok();
    bkp("reads", &["drill"]).run().ok().says("does not allow to create");
    shop.lose_orders();
    bkp("reads", &["restore", "--yes"]).run().ok();
    assert_eq!(shop.orders(), orders);
    bkp("reads", &["backup"]).run().fails_with(1).says("does not allow to create");
    one(bkp("reads", &["forget"])).run().fails_with(1).says("does not allow to delete");
    bkp("elsewhere", &["list"]).run().fails_with(1).says("does not allow to list");
    bkp("elsewhere", &["backup"]).run().fails_with(1).says("does not allow to list");
    bkp("nobody", &["list"]).run().fails_with(1).says("does not accept the credentials");
    let wrong = bkp("adds", &["backup"]).env("AWS_SECRET_ACCESS_KEY", "a-canary").run();
    wrong.fails_with(1).says("does not accept the credentials").never_says("canary");
    assert_eq!(objects(server), before, "nothing was changed");

    one(bkp("forgets", &["forget"])).run().ok().says("2 backups forgotten");
    bkp("forgets", &["backup"]).run().fails_with(1).says("does not allow to create");
    bkp("reads", &["list"]).run().ok().says("sealed");
}

/// What a killed run leaves of an upload is removed by who may, and by nobody else.
fn unfinished_uploads(server: &Server) {
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    wait(async {
        let (adds, reads) = (as_account(server, "adds"), as_account(server, "reads"));
        let mut killed = adds.upload("killed").await.expect("begun");
        killed.write(vec![b'x'; 17 << 20].into()).await.expect("written");
        // As kill -9 does it: nothing is given back.
        std::mem::forget(killed);
        let refused = reads.sweep(later, &|_| true).await;
        assert!(matches!(refused, Err(StoreError::Forbidden { .. })), "{refused:?}");
        assert_eq!(adds.sweep(later, &|_| true).await.expect("swept"), 1);
    });
    assert_eq!(server.open_uploads(""), Vec::<String>::new());
}

/// restic ends well where it may remove nothing: bkp does not.
fn repositories(server: &Server) {
    let work = WorkDir::new();
    work.file("files/a", "content");
    let endpoint = server.options.s3.endpoint.as_deref().expect("an endpoint");
    let bkp = |account: &str, arguments: &[&str]| {
        let bkp = Bkp::bare().env("BKP_APP", "shop").env("BKP_FILES", work.join("files")).args(arguments);
        let bkp = bkp.env("RESTIC_REPOSITORY", format!("s3:{endpoint}/test-bucket/restic"));
        let bkp = bkp.env("RESTIC_PASSWORD", "secret").env("BKP_RESTIC_BIN", quick::restic(&work));
        keyed(bkp.env("BKP_STATE_DIR", work.join("state")), server, account)
    };
    let one = |bkp: Bkp| bkp.env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1");
    bkp("KEY", &["init"]).env("AWS_SECRET_ACCESS_KEY", "SECRET").run().ok();
    bkp("restic", &["backup"]).run().ok();
    let out = one(bkp("restic", &["backup"])).run().fails_with(4);
    out.says("0 forgotten").says("Access Denied").says("may add there and not remove");
    one(bkp("restic", &["forget"])).run().fails_with(1).says("may add there and not remove");
    let listed = bkp("restic", &["list", "--json"]).run().ok();
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    assert_eq!(locks(server, &work), "", "its own locks are gone");

    std::fs::remove_file(work.join("files/a")).expect("removed");
    bkp("reads", &["check"]).run().ok().says("takes no lock");
    bkp("reads", &["restore", "--yes"]).run().ok();
    assert_eq!(std::fs::read_to_string(work.join("files/a")).expect("there"), "content");
    bkp("reads", &["backup"]).run().fails_with(1).says("Access Denied");
    // restic would try these for a quarter of an hour, and no test waits for that.
    let wrong = bkp("restic", &["list"]).env("AWS_SECRET_ACCESS_KEY", "a-canary").run();
    wrong.fails_with(1).says("the keys of the account").never_says("canary");
    bkp("nobody", &["list"]).run().fails_with(1).says("the keys of the account");
}

/// What restic says of locks there.
fn locks(server: &Server, work: &WorkDir) -> String {
    let endpoint = server.options.s3.endpoint.as_deref().expect("an endpoint");
    let mut restic = std::process::Command::new(parts::restic("0.18"));
    restic.env_clear().envs(server.keys()).env("RESTIC_PASSWORD", "secret");
    restic.env("RESTIC_REPOSITORY", format!("s3:{endpoint}/test-bucket/restic")).current_dir(work.path());
    let listed = crate::support::run::run(restic.args(["--no-cache", "--no-lock", "list", "locks"]), b"");
    assert!(listed.success, "{}", listed.stderr);
    listed.text()
}
