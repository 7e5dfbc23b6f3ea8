//! A server that admits nobody without TLS, and operators who want to know whom they talk to.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::producers::recording_clients;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::compare::{Snapshot, assert_same};
use crate::support::workdir::WorkDir;
use crate::support::{fixtures, parts};

/// A server whose certificate bears `localhost`, its authority `root.crt`, and another authority `other.crt`.
struct Sealed {
    cluster: Cluster,
    work: WorkDir,
}

const CERTIFICATES: &str = r#"set -e
for name in root other; do
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$name of a test" -keyout $name.key -out $name.crt
done
openssl req -newkey rsa:2048 -nodes -subj /CN=wrong.example -keyout server.key -out server.csr
printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' > san
openssl x509 -req -in server.csr -days 2 -CA root.crt -CAkey root.key -CAcreateserial -extfile san -out server.crt"#;

impl Sealed {
    fn start() -> Self {
        let work = WorkDir::new();
        let made = Command::new("sh").args(["-c", CERTIFICATES]).current_dir(work.path()).output().expect("sh runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let key = work.join("server.key");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        parts::give_to_server_user(&key);
        let options = Cluster::options(15).conf("ssl = on").conf(format!("ssl_key_file = '{}'", key.display()));
        let options = options.conf(format!("ssl_cert_file = '{}'", work.join("server.crt").display()));
        let cluster = options.hba("hostssl all all 127.0.0.1/32 scram-sha-256").hba("host all all all reject").start();
        fixtures::shop(&cluster);
        Self { cluster, work }
    }

    /// bkp that verifies the server by this authority.
    fn bkp<const N: usize>(&self, authority: &Path, arguments: [&str; N]) -> Bkp {
        let bkp = Bkp::new(&self.cluster).bucket(&self.work.join("bucket")).env("POSTGRES_DB", "shop").args(arguments);
        bkp.env("POSTGRES_HOST", "localhost").env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", authority)
    }

    fn root(&self) -> std::path::PathBuf {
        self.work.join("root.crt")
    }
}

#[test]
fn a_verified_server_is_saved_and_restored_by_us_and_by_the_client_programs() {
    let sealed = Sealed::start();
    let clients = recording_clients(&sealed.work);
    let bkp = |arguments| sealed.bkp(&sealed.root(), arguments).env("BKP_PG_BIN", &clients.directory);
    let before = Snapshot::of_databases(&sealed.cluster, &["shop"]);
    sealed.bkp(&sealed.root(), ["init"]).run().ok();
    bkp(["backup"]).run().ok();
    sealed.cluster.psql("shop", "DROP VIEW spent; DROP TABLE orders");
    bkp(["restore"]).run().ok();
    assert_same(&before, &Snapshot::of_databases(&sealed.cluster, &["shop"]));
    for program in ["pg_dump", "pg_dumpall", "psql"] {
        let environment = clients.environment_of(program);
        assert!(environment.contains("PGSSLMODE=verify-full"), "{program}: {environment}");
        assert!(
            environment.contains(&format!("PGSSLROOTCERT={}", sealed.root().display())),
            "{program}: {environment}"
        );
    }
}

#[test]
fn an_authority_that_did_not_sign_is_refused_before_a_password_is_sent() {
    let sealed = Sealed::start();
    sealed.bkp(&sealed.root(), ["init"]).run().ok();
    let other = sealed.work.join("other.crt");
    for command in ["backup", "restore"] {
        if command == "restore" {
            sealed.bkp(&sealed.root(), ["backup"]).run().ok();
        }
        let orders = sealed.cluster.psql("shop", "SELECT count(*) FROM orders");
        let out = sealed.bkp(&other, [command]).run().fails_with(1);
        out.says("PGSSLROOTCERT").says("hint:").says("certificate").never_says(crate::support::cluster::PASSWORD);
        assert_eq!(sealed.cluster.psql("shop", "SELECT count(*) FROM orders"), orders);
    }
    let missing = sealed.work.join("nothing.crt");
    sealed.bkp(&missing, ["backup"]).run().fails_with(1).says("nothing.crt").says("PGSSLROOTCERT");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let sealed = Sealed::start();
    sealed.bkp(&sealed.root(), ["init"]).run().ok();
    let by_number = sealed.bkp(&sealed.root(), ["backup"]).env("POSTGRES_HOST", "127.0.0.1");
    by_number.run().fails_with(1).says("the name that the certificate bears must be the one in POSTGRES_HOST");
    // Less than verify-full does not look at the name.
    let by_number = sealed.bkp(&sealed.root(), ["backup"]).env("POSTGRES_HOST", "127.0.0.1");
    by_number.env("PGSSLMODE", "verify-ca").run().ok();
}

#[test]
fn a_server_that_wants_tls_is_met_without_any_setting_and_refuses_who_will_not() {
    let sealed = Sealed::start();
    sealed.bkp(&sealed.root(), ["init"]).run().ok();
    sealed.bkp(&sealed.root(), ["backup"]).without("PGSSLMODE").without("PGSSLROOTCERT").run().ok();
    let plain = sealed.bkp(&sealed.root(), ["backup"]).env("PGSSLMODE", "disable");
    plain.run().fails_with(1).says("pg_hba.conf").says("hint:");
}
