//! Two nights that were saved, and the accident after them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::items::{App, quick, tree};
use crate::support::bkp::{Bkp, Output};
use crate::support::compare::Snapshot;
use crate::support::run::run;
use crate::support::wait::until;

/// Where it is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Bucket,
    Restic,
}

/// What the application sees: rows and names of its databases, and its files.
pub type State = (String, Vec<String>);

/// An application of two databases and, with restic, files.
pub struct World {
    pub app: App,
    pub store: Store,
    /// The runs of both nights.
    pub runs: [String; 2],
    /// What a restore calls them by: in a bucket the objects, because the run stands in what is damaged.
    pub names: [String; 2],
    /// What each night had.
    pub nights: [State; 2],
    /// What is live since the accident.
    pub live: State,
    /// Every byte of it, and of the roles, as pg_dump sees it.
    whole: Snapshot,
}

/// All that counts of one database, and nothing that takes long.
const ROWS: &str =
    "SELECT current_database(), (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
    md5(coalesce(query_to_xml('SELECT * FROM things ORDER BY 1', true, true, '')::text, ''))";

impl World {
    /// Saves another application once, and this one in both nights; lets the accident happen.
    pub fn saved(store: Store) -> World {
        let app = App::open();
        for (database, rows) in [("shop", 300), ("blog", 40)] {
            if database != "shop" {
                app.cluster.psql("postgres", &format!("CREATE DATABASE {database} OWNER shop"));
            }
            app.cluster.psql(database, &format!("SET ROLE shop; CREATE TABLE things (id int PRIMARY KEY, what text); INSERT INTO things SELECT n, 'thing ' || n FROM generate_series(1, {rows}) n"));
        }
        let empty = Snapshot::of_databases::<&str>(&app.cluster, &[]);
        let none = || (String::new(), Vec::new());
        let mut world = World {
            app,
            store,
            runs: Default::default(),
            names: Default::default(),
            nights: [none(), none()],
            live: none(),
            whole: empty,
        };
        match store {
            Store::Bucket => drop(world.bkp(&["init"]).run().ok()),
            Store::Restic => quick::lay_repository(&world.place()),
        }
        world.bkp(&["backup"]).env("BKP_APP", "wiki").run().ok();
        for night in 0..2 {
            for database in ["shop", "blog"] {
                world.app.cluster.psql(database, &format!("UPDATE things SET what = 'of night {night}' WHERE id < 4"));
            }
            world.app.work.file("files/data/a/photo.jpg", format!("the photo of night {night}"));
            world.nights[night] = world.state();
            let before = jiff::Timestamp::now().as_second();
            until("another second", || jiff::Timestamp::now().as_second() > before);
            world.bkp(&["backup"]).run().ok();
            let newest = &quick::listed(world.bkp(&["list", "--json"]))[0];
            world.runs[night] = newest["run"].as_str().expect("a run").to_owned();
            world.names[night] = newest["object"].as_str().map_or_else(|| world.runs[night].clone(), str::to_owned);
        }
        world.app.cluster.psql("shop", "DELETE FROM things WHERE id > 2; CREATE TABLE since (i int)");
        world.app.cluster.psql("blog", "UPDATE things SET what = 'of the accident'");
        fs::remove_file(world.app.files().join("config/app.php")).expect("removed");
        world.live = world.state();
        world.whole = Snapshot::of(&world.app.cluster);
        copy(&world.app.files(), &world.app.work.join("live-files"));
        world
    }

    /// bkp with the settings of the application.
    pub fn bkp(&self, arguments: &[&str]) -> Bkp {
        let bkp = self.app.bkp([]).without("POSTGRES_DB").env("BKP_DATABASES", "shop,blog");
        // A cache would hide what the repository has lost.
        let bkp = bkp.without("RESTIC_CACHE_DIR").args(arguments);
        match self.store {
            Store::Restic => bkp,
            Store::Bucket => bkp
                .bucket(&self.place())
                .without("RESTIC_REPOSITORY")
                .without("RESTIC_PASSWORD_FILE")
                .without("BKP_FILES"),
        }
    }

    /// The directory of the store.
    pub fn place(&self) -> PathBuf {
        match self.store {
            Store::Bucket => self.app.work.join("bucket"),
            Store::Restic => self.app.repository(),
        }
    }

    /// What is live.
    pub fn state(&self) -> State {
        let databases = self.app.cluster.databases().join(" ");
        let rows = ["shop", "blog"].map(|database| self.app.cluster.psql(database, ROWS));
        let files = match self.store {
            Store::Bucket => Vec::new(),
            Store::Restic => tree(&self.app.files()),
        };
        (format!("{}\n{databases}", rows.join("\n")), files)
    }

    /// What was live after the accident, as [`World::content`] has it.
    pub fn before(&self) -> State {
        content(self.live.clone())
    }

    /// What is live without the names of databases that a restore put aside.
    pub fn content(&self) -> State {
        content(self.state())
    }

    /// The night whose content is live now.
    pub fn night(&self) -> Option<usize> {
        let now = self.content();
        self.nights.iter().position(|night| content(night.clone()) == now)
    }

    /// Remembers the store as it is.
    pub fn keep(&self) {
        copy(&self.place(), &self.app.work.join("whole-store"));
    }

    /// Brings back the store that was remembered.
    pub fn mend(&self) {
        copy(&self.app.work.join("whole-store"), &self.place());
    }

    /// After a restore: what was live before is live again.
    pub fn take_back(&self) {
        let mut script = String::new();
        for name in self.app.cluster.databases() {
            if let Some((database, _)) = name.split_once("__was_") {
                script.push_str(&format!(
                    "DROP DATABASE {database} WITH (FORCE); ALTER DATABASE \"{name}\" RENAME TO {database};
                     COMMENT ON DATABASE {database} IS NULL; ALTER DATABASE {database} CONNECTION LIMIT -1;"
                ));
            }
        }
        self.app.cluster.psql("postgres", &script);
        copy(&self.app.work.join("live-files"), &self.app.files());
        assert_eq!(self.state(), self.live, "the scene is not as it was");
    }

    /// At the end of all: nothing live changed by a byte.
    pub fn is_untouched(&self) {
        crate::support::compare::assert_same(&self.whole, &Snapshot::of(&self.app.cluster));
    }

    /// Runs a command on the store as it is.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.bkp(arguments).run()
    }
}

fn content((rows, files): State) -> State {
    (rows.lines().take(2).collect::<Vec<_>>().join("\n"), files)
}

/// Makes `to` what `from` is.
pub fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let ran = run(Command::new("cp").arg("-a").arg(from).arg(to), b"");
    assert!(ran.success, "{}", ran.stderr);
}
