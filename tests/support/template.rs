//! Freshly initialised data directories, made once per major and arguments, then copied: initdb takes seconds, a copy does not.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::parts;
use super::run::run;

/// Password of the superuser in every cluster: with the characters that shells, `.pgpass`, URLs and conninfo strings escape.
pub const PASSWORD: &str = r#"open:sesame \'%40 /"$x"#;

/// Copies a fresh data directory to `target`, which must not exist.
pub fn copy_to(target: &Path, major: u32, initdb: &[String]) {
    let template = template(major, initdb);
    let mut copy = Command::new("cp");
    let ran = run(copy.arg("-a").arg("--reflink=auto").arg(&template).arg(target), b"");
    assert!(ran.success, "copying {}: {}", template.display(), ran.stderr);
}

/// The template's directory, made when it is not there. A lock file makes concurrent test processes wait for the first.
fn template(major: u32, initdb: &[String]) -> PathBuf {
    let templates = parts::cache().join("templates");
    fs::create_dir_all(&templates).expect("mkdir of the templates");
    let template = templates.join(name(major, initdb));

    let lock = File::create(templates.join(format!("{major}.lock"))).expect("lock file");
    lock.lock().expect("lock of the template");
    if !template.join("data/PG_VERSION").exists() {
        let staged = template.with_extension("staged");
        let _ = fs::remove_dir_all(&staged);
        fs::create_dir_all(&staged).expect("mkdir of a template");
        parts::give_to_server_user(&staged);
        make(&staged, major, initdb);
        fs::rename(&staged, &template).expect("a finished template is moved into place whole");
    }
    template.join("data")
}

/// Templates of another minor or of other arguments are other templates.
fn name(major: u32, initdb: &[String]) -> String {
    let mut hasher = DefaultHasher::new();
    let version = fs::read_to_string(parts::bin(major).with_file_name(".version")).unwrap_or_default();
    (version, initdb, PASSWORD).hash(&mut hasher);
    format!("{major}-{:016x}", hasher.finish())
}

fn make(staged: &Path, major: u32, initdb: &[String]) {
    let password = staged.join("password");
    fs::write(&password, format!("{PASSWORD}\n")).expect("password file");
    parts::give_to_server_user(&password);

    let bin = parts::bin(major);
    let mut words = parts::as_server_user();
    words.push(bin.join("initdb").display().to_string());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command.args(["--no-sync", "--username=postgres", "--auth=scram-sha-256", "--wal-segsize=1"]);
    command.arg("--pwfile").arg(&password).arg("-D").arg(staged.join("data"));
    if initdb.is_empty() {
        command.args(["--encoding=UTF8", "--locale=C.UTF-8"]);
    }
    command.args(initdb).env("LC_ALL", "C").env("LD_LIBRARY_PATH", bin.with_file_name("lib")).current_dir(staged);
    let ran = run(&mut command, b"");
    assert!(ran.success, "initdb of PostgreSQL {major}: {}\n{}", ran.stderr, ran.text());
    fs::remove_file(&password).expect("remove the password file");
}
