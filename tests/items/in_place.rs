//! A restore in place, where files and database become one: whatever happens around the COMMIT, both are the old ones or both the new.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::App;
use crate::support::bkp::{Bkp, Output};
use crate::support::cluster::Cluster;

/// What stands for psql: the real one, whose input ends at the COMMIT.
enum Fault {
    /// The COMMIT never comes to the server, and bkp is killed.
    KilledBefore,
    /// The COMMIT is done, and bkp is killed before it is told.
    KilledAfter,
    /// The COMMIT never comes to the server, and bkp lives.
    LostBefore,
    /// The COMMIT is done, and its answer is lost.
    LostAfter,
}

impl App {
    fn as_owner<const N: usize>(&self, arguments: [&str; N]) -> Bkp {
        self.bkp(arguments).env("POSTGRES_USER", "shop").env("POSTGRES_PASSWORD", "pw")
    }

    fn restore_with(&self, fault: &Fault) -> Output {
        let (sed, then) = match fault {
            Fault::KilledBefore => ("Q", "kill -KILL $PPID"),
            Fault::KilledAfter => ("q", "kill -KILL $PPID"),
            Fault::LostBefore => ("Q", "exit 2"),
            Fault::LostAfter => ("q", "exit 2"),
        };
        let (bin, real) = (self.work.dir("clients/bin"), Cluster::client_bin(15));
        for name in ["pg_dump", "pg_dumpall"] {
            symlink(real.join(name), bin.join(name)).expect("a link");
        }
        let psql = real.join("psql").display().to_string();
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *--version*|*-V*) exec {psql} \"$@\";; esac\nsed -u '/^COMMIT;$/{sed}' | {psql} \"$@\"\n{then}\n"
        );
        fs::write(bin.join("psql"), script).expect("a script");
        fs::set_permissions(bin.join("psql"), fs::Permissions::from_mode(0o755)).expect("an executable");
        let out = self.as_owner(["restore"]).env("BKP_PG_BIN", &bin).run();
        fs::remove_dir_all(self.work.join("clients")).expect("removed");
        out
    }
}

#[test]
fn around_the_commit_files_and_database_are_old_or_new_together() {
    let mut app = App::quick();
    app.cluster.psql("postgres", "ALTER ROLE shop PASSWORD 'pw'");
    app.cluster.psql("shop", "GRANT ALL ON SCHEMA public TO shop");
    app.bkp(["backup"]).run().ok();
    let saved = app.state();
    let accident = || {
        app.lose_everything();
        app.state()
    };
    let lost = accident();
    assert_ne!(saved, lost);

    app.restore_with(&Fault::LostBefore).fails_with(1);
    assert_eq!(app.state(), lost, "the COMMIT never came");

    app.restore_with(&Fault::KilledBefore).fails_with(137);
    assert_ne!(app.state(), lost, "the files were exchanged already");
    app.as_owner(["resume"]).run().ok().says("brought back what run");
    assert_eq!(app.state(), lost, "the next start takes the files back");

    app.restore_with(&Fault::LostAfter).ok().says("which is done");
    assert_eq!(app.state(), saved, "the COMMIT was done");
    app.as_owner(["restore", "--undo"]).run().fails_with(1);

    let lost = accident();
    app.restore_with(&Fault::KilledAfter).fails_with(137);
    app.as_owner(["resume"]).run().ok();
    assert_eq!(app.state(), saved, "the COMMIT was done, so the files stay: not {lost:?}");
    accident();
    app.cluster.psql("postgres", "CHECKPOINT");
    app.as_owner(["restore"]).run().ok();
    app.cluster.stop_immediate();
    app.cluster.start_again();
    assert_eq!(app.state(), saved, "the COMMIT is on disk, also where the server waits for none");
}
