//! A failed or cut-short dump is never a backup.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::Shop;
use crate::support::cluster::Cluster;
use crate::support::wait::until;
use crate::support::workdir::WorkDir;

/// A directory of client programs where `name` is replaced by a script; `$REAL` is the real one.
pub(super) fn clients_with(shop: &Shop, name: &str, script: &str) -> PathBuf {
    let directory = shop.work.dir("clients");
    let real = Cluster::client_bin(shop.cluster.major());
    for program in ["pg_dump", "pg_dumpall", "psql"] {
        let path = directory.join(program);
        let script = if program == name { script } else { "exec $REAL \"$@\"" };
        // Asked for its version it is always the real one, or it would not be taken.
        let text = format!(
            "#!/bin/sh\nREAL={}\ncase \"$1\" in --version) exec $REAL --version;; esac\n{script}\n",
            real.join(program).display()
        );
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an executable");
    }
    directory
}

fn no_backup_comes_of(name: &str, script: &str, said: &str) {
    let shop = Shop::open();
    let clients = clients_with(&shop, name, script);
    shop.bkp(["backup"]).env("BKP_PG_BIN", &clients).run().fails_with(1).says(said);
    assert!(shop.dumps().is_empty(), "{:?}", shop.dumps());
    shop.bkp(["list"]).run().ok().says("no backups yet");
    assert_eq!(
        fs::read_dir(shop.bucket()).map_or(0, |entries| entries.flatten().filter(|e| e.path().is_file()).count()),
        0,
        "nothing half-done"
    );
}

#[test]
fn pg_dump_exiting_1_after_all_its_output_is_no_backup() {
    no_backup_comes_of("pg_dump", "$REAL \"$@\"; echo 'pg_dump: error: lost' >&2; exit 1", "lost");
}

#[test]
fn pg_dump_killed_midway_is_no_backup() {
    no_backup_comes_of("pg_dump", "$REAL \"$@\" | head -c 3000; kill -9 $$", "killed by signal 9");
}

#[test]
fn pg_dump_ending_well_without_its_trailer_is_no_backup() {
    no_backup_comes_of("pg_dump", "$REAL \"$@\" | head -n -5; exit 0", "complete");
}

#[test]
fn pg_dump_ending_well_inside_a_table_is_no_backup() {
    no_backup_comes_of(
        "pg_dump",
        "$REAL \"$@\" | awk '{ print } /^COPY public.orders/ { inside = 1 } inside && ++lines > 20 { exit }'; exit 0",
        "complete",
    );
}

/// As a server of 17 says it of a bytea of 600 MB.
#[test]
fn a_row_that_is_too_long_for_any_dump_is_no_backup_and_it_is_said_what_to_do() {
    let said = "pg_dump: detail: Error message from server: ERROR:  invalid memory alloc request size 1200000003";
    no_backup_comes_of("pg_dump", &format!("echo '{said}' >&2; exit 1"), "octet_length");
}

#[test]
fn pg_dumpall_failing_is_no_backup() {
    no_backup_comes_of("pg_dumpall", "echo 'permission denied for table pg_authid' >&2; exit 1", "permission denied");
}

#[test]
fn pg_dumpall_without_its_trailer_is_no_backup() {
    no_backup_comes_of("pg_dumpall", "$REAL \"$@\" | head -n 12", "complete");
}

#[test]
fn a_server_that_stops_in_the_middle_leaves_no_backup() {
    let mut shop = Shop::open();
    shop.cluster
        .psql("shop", "CREATE TABLE much AS SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 200000) i");
    let clients = clients_with(
        &shop,
        "pg_dump",
        "$REAL \"$@\" | { head -c 2000000; touch \"$(dirname \"$0\")/half\"; sleep 1; cat; }; exit 0",
    );
    let running = shop.bkp(["backup"]).env("BKP_PG_BIN", &clients).spawn();
    until("half of the dump", || clients.join("half").exists());
    shop.cluster.stop_immediate();
    let out = running.wait();
    assert_eq!(out.code, 1, "{out:?}");
    assert!(shop.dumps().is_empty());
    shop.cluster.start_again();
    shop.bkp(["backup"]).run().ok();
}

#[test]
fn a_backup_never_makes_a_repository_and_says_so() {
    let shop = Shop::open();
    let typo = shop.work.join("bukcet");
    shop.bkp(["backup"]).bucket(&typo).run().fails_with(10).says("bkp init");
    assert!(!typo.exists());
}

#[test]
fn a_full_bucket_leaves_nothing_behind() {
    let shop = Shop::open();
    shop.cluster.psql(
        "shop",
        "CREATE TABLE noise AS SELECT md5(random()::text) || md5(random()::text) n FROM generate_series(1, 200000)",
    );
    let small = shop.work.dir("small");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(&small)
        .status()
        .expect("mount runs")
        .success();
    assert!(
        mounted,
        "this test mounts a small file system: run the tests as root, or in a user namespace (unshare -rm)"
    );
    let out = shop.bkp(["backup"]).bucket(&small).run();
    let left = super::dumps(&small);
    let bytes = fs::read_dir(&small).map_or(0, |all| all.flatten().filter(|e| e.path().is_file()).count());
    std::process::Command::new("umount").arg("-l").arg(&small).status().expect("umount runs");
    out.fails_with(1).says("space");
    assert!(left.is_empty() && bytes == 0, "{left:?}");
}

/// Client programs that note what they are given, and then do what they do.
pub(super) struct Recording {
    /// For `BKP_PG_BIN`.
    pub directory: PathBuf,
}

/// Makes such programs in `work`.
pub(super) fn recording_clients(work: &WorkDir) -> Recording {
    let directory = work.dir("recording");
    let real = Cluster::client_bin(15);
    for program in ["pg_dump", "pg_dumpall", "psql"] {
        let real = real.join(program);
        // The list of arguments as every user of the machine can read it, not as the shell has it.
        let text = format!(
            "#!/bin/sh\nout={0}/{program}.$$\ntr '\\0' '\\n' < /proc/$$/cmdline > $out.args\ntr '\\0' '\\n' < /proc/$$/environ > $out.env\nexec {1} \"$@\"\n",
            directory.display(),
            real.display()
        );
        let path = directory.join(program);
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an executable");
    }
    Recording { directory }
}

impl Recording {
    /// What was noted: (program, `args` or `env`, text).
    pub fn notes(&self) -> Vec<(String, String, String)> {
        let mut notes = Vec::new();
        for entry in fs::read_dir(&self.directory).expect("the directory").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let [program, _, kind] = name.split('.').collect::<Vec<_>>()[..] {
                let text = String::from_utf8_lossy(&fs::read(entry.path()).expect("a note")).into_owned();
                notes.push((program.to_owned(), kind.to_owned(), text));
            }
        }
        notes
    }

    /// The environment of a program that was given a server, which a mere `--version` is not.
    ///
    /// # Panics
    /// When it never ran so.
    pub fn environment_of(&self, program: &str) -> String {
        let with_server =
            |note: &&(String, String, String)| note.0 == program && note.1 == "env" && note.2.contains("PGHOST=");
        let note = self.notes().iter().find(with_server).cloned();
        note.unwrap_or_else(|| panic!("{program} never ran")).2
    }
}
