//! Databases to back up: small ones for a question, and one cluster with everything that a dump can contain.

use std::fs;
use std::path::PathBuf;

use super::cluster::Cluster;

/// The fixture's main database; the others have odder names.
pub const SHOP: &str = "shop";

/// A file of `tests/fixtures`.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Loads every kind of object that the server's major knows: roles, databases, and all that `shop` holds.
pub fn everything(cluster: &Cluster) {
    load(cluster, "postgres", "roles.sql");
    load(cluster, "postgres", "databases.sql");
    for part in ["types.sql", "tables.sql", "code.sql", "odd_names.sql", "rows.sql", "rights.sql"] {
        load(cluster, SHOP, part);
    }
    for major in 14..=cluster.major() {
        load(cluster, SHOP, &format!("from_{major}.sql"));
    }
    // Last, as nobody can connect from here on.
    cluster.psql("postgres", "CREATE DATABASE locked TEMPLATE template0 ALLOW_CONNECTIONS false CONNECTION LIMIT 0");
}

/// Loads one file of `tests/fixtures` as superuser.
///
/// # Panics
/// At the first statement that fails.
pub fn load(cluster: &Cluster, database: &str, name: &str) {
    let script = fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let ran = cluster.psql_bytes(database, &script);
    assert!(ran.success, "{name}: {}", ran.stderr);
}

/// An ordinary application: the database `shop` owned by the role `shop`, with a few related tables, a view and 1,000 orders.
pub fn shop(cluster: &Cluster) {
    load(cluster, "postgres", "shop_role.sql");
    load(cluster, SHOP, "shop.sql");
}
