//! Names and passwords of every kind.

use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::compare::{Snapshot, assert_same};
use crate::support::workdir::WorkDir;

const PASSWORD: &str = r#" p:a\ss'w"o$rd%&{}[]|;<>`~!@#ü€ "#;

#[test]
fn odd_names_and_passwords_work_in_every_address_form() {
    let cluster = Cluster::start(15);
    cluster.psql(
        "postgres",
        &format!("CREATE ROLE \"o'd \"\"d\" SUPERUSER LOGIN PASSWORD '{}'", PASSWORD.replace('\'', "''")),
    );
    cluster.psql("postgres", "CREATE DATABASE \"S'hop \"\";\\ ü\"");
    let name = "S'hop \";\\ ü";
    let fill = "CREATE TABLE \"CREATE ROLE shop;\" AS SELECT i FROM generate_series(1, 10) i";
    // psql's own -d takes a connection string: our helper escapes it.
    cluster.psql(name, fill);
    let before = Snapshot::of_databases(&cluster, &[name]);
    let work = WorkDir::new();
    let secret = work.file("password", format!("{PASSWORD}\n"));
    let bucket = work.join("bucket");
    let forms: [&[(&str, String)]; 4] = [
        &[("POSTGRES_HOST", format!("127.0.0.1:{}", cluster.port()))],
        &[
            ("POSTGRES_SERVICE", "127.0.0.1".into()),
            ("POSTGRES_PORT", cluster.port().to_string()),
            ("POSTGRES_HOST", "nowhere.invalid:1".into()),
        ],
        &[("PGHOST", "127.0.0.1".into()), ("PGPORT", cluster.port().to_string())],
        &[("PGHOST", cluster.socket_dir()), ("PGPORT", cluster.port().to_string())],
    ];
    for form in forms {
        let bkp = |arguments: &[&str]| {
            let mut bkp = Bkp::new(&cluster)
                .bucket(&bucket)
                .without("POSTGRES_HOST")
                .without("POSTGRES_PORT")
                .without("POSTGRES_PASSWORD")
                .env("POSTGRES_USER", "o'd \"d")
                .env("POSTGRES_PASSWORD_FILE", &secret)
                .env("POSTGRES_DB", name)
                .args(arguments);
            for (key, value) in form {
                bkp = bkp.env(key, value);
            }
            bkp.run().never_says("p:a")
        };
        bkp(&["init"]).ok();
        bkp(&["backup"]).ok();
        cluster.psql(name, "DROP TABLE \"CREATE ROLE shop;\"");
        bkp(&["restore"]).ok();
        assert_same(&before, &Snapshot::of_databases(&cluster, &[name]));
    }
}
