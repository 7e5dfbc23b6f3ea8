//! Settings and secret files: all that is wrong with them, at once, and never their values.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Told;
use crate::support::bkp::Bkp;
use crate::support::cluster::{Cluster, PASSWORD};
use crate::support::workdir::WorkDir;

fn with_secret(cluster: &Cluster, work: &WorkDir, bytes: &[u8], mode: u32) -> Bkp {
    let path = work.file("password", bytes);
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
    by_tcp(cluster, &path).bucket(&work.dir("dumps"))
}

fn by_tcp(cluster: &Cluster, password: &Path) -> Bkp {
    Bkp::new(cluster).without("POSTGRES_PASSWORD").without("PGPASSWORD").env("POSTGRES_PASSWORD_FILE", password)
}

#[test]
fn what_an_editor_left_in_a_secret_is_told_with_the_command_that_mends_it() {
    let (cluster, work) = (Cluster::start(15), WorkDir::new());
    for (bytes, mode, code, verdict, says, mend) in [
        (format!("{PASSWORD}\n"), 0o600, 0, "ok", "all settings are understood", ""),
        (format!("{PASSWORD}\n"), 0o644, 0, "warning", "can read", "chmod o="),
        (format!("{PASSWORD}\r\n"), 0o600, 0, "warning", "CRLF", "sed -i"),
        (format!("{PASSWORD} \n"), 0o600, 2, "warning", "ends with a blank", "printf %s"),
        (format!("\u{feff}{PASSWORD}\n"), 0o600, 2, "fault", "byte order mark", "printf %s"),
    ] {
        let told = Told::by(with_secret(&cluster, &work, bytes.as_bytes(), mode), code);
        told.has(verdict, "settings", &[says, mend]).output.never_says(PASSWORD);
    }
}

#[test]
fn every_fault_is_told_at_once_and_what_they_are_not_about_is_looked_at() {
    let (cluster, work) = (Cluster::start(15), WorkDir::new());
    let both = by_tcp(&cluster, &work.join("nowhere")).env("POSTGRES_DB", "shop").env("POSTGRES_DB_FILE", "/x");
    let told = Told::by(both.bucket(&work.dir("dumps")).env("BKP_GZIP_LEVEL", "99").env("BKP_KEPP_DAILY", "7"), 2);
    let told = told.has("fault", "settings", &["POSTGRES_PASSWORD_FILE", "cannot read"]);
    let told = told.has("fault", "settings", &["POSTGRES_DB: set together with POSTGRES_DB_FILE"]);
    let told = told.has("fault", "settings", &["BKP_GZIP_LEVEL", "from 1 to 12"]);
    let told = told.has("warning", "settings", &["BKP_KEPP_DAILY is not known"]);
    told.has("warning", "server", &["not looked at"]).all_ok_in(&["bucket"]);

    let told = Told::by(Bkp::new(&cluster).env("BKP_BUCKET", "nonsense"), 2);
    told.has("warning", "bucket", &["not looked at"]).all_ok_in(&["server"]);
}
