//! Pauses in real directories, with real programs.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

const CONTENT: &str = "<?php $CONFIG = ['maintenance' => true];\n";

struct Bench {
    dir: tempfile::TempDir,
    config: Config,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("config")).unwrap();
        let config = Config {
            app: "cloud/eins".to_owned(),
            maintenance: None,
            commands: None,
            scaled: None,
            state: dir.path().join("state"),
            limit: Duration::from_secs(20),
            environment: vec![("BENCH".to_owned(), dir.path().into())],
        };
        Bench { dir, config }
    }

    fn with_file() -> Bench {
        let mut bench = Bench::new();
        let path = bench.path("config/bkp.config.php");
        bench.config.maintenance = Some(Maintenance { path, content: CONTENT.to_owned() });
        bench
    }

    /// Both write what they did into `log`.
    fn commands(mut self, pause: &str, resume: &str) -> Bench {
        let line = |script: &str| vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
        self.config.commands = Some(Commands { pause: line(pause), resume: line(resume) });
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// All files but the log.
    fn left(&self) -> Vec<String> {
        let names = |name: &str| {
            let listed = std::fs::read_dir(self.path(name)).into_iter().flatten();
            listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        names("config").into_iter().chain(names("state")).collect()
    }
}

const PAUSE: &str = "echo pause $BKP_APP $BKP_RUN >> $BENCH/log";
const RESUME: &str = "echo resume >> $BENCH/log";

/// A process that dies: nothing of it is dropped.
fn die(pause: Pause<'_>) {
    std::mem::forget(pause);
}

#[tokio::test]
async fn a_file_is_there_while_paused_and_gone_after() {
    let bench = Bench::with_file();
    let mut pause = Pause::new(&bench.config, "r1");
    pause.pause().await.unwrap();
    let file = bench.path("config/bkp.config.php");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), CONTENT);
    let (metadata, directory) = (file.metadata().unwrap(), bench.path("config").metadata().unwrap());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o644);
    assert_eq!((metadata.uid(), metadata.gid()), (directory.uid(), directory.gid()));
    for own in bench.config.own_files() {
        assert!(own.exists(), "{}", own.display());
    }
    pause.resume().await.unwrap();
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_dead_run_left_paused_is_given_back() {
    let bench = Bench::with_file().commands(PAUSE, RESUME);
    let mut pause = Pause::new(&bench.config, "r1");
    pause.pause().await.unwrap();
    die(pause);
    let left = left_paused(&bench.config).unwrap();
    assert_eq!(left.iter().map(|left| left.run.as_str()).collect::<Vec<_>>(), ["r1"]);
    resume_left(&bench.config, &left[0]).await.unwrap();
    assert_eq!(bench.log(), "pause cloud/eins r1\nresume\n");
    assert_eq!(bench.left(), Vec::<String>::new());
    assert_eq!(left_paused(&bench.config).unwrap(), []);
}

#[tokio::test]
async fn a_pause_that_died_before_it_made_its_file_is_no_obstacle() {
    let bench = Bench::with_file();
    let mut pause = Pause::new(&bench.config, "r1");
    pause.pause().await.unwrap();
    die(pause);
    std::fs::remove_file(bench.path("config/bkp.config.php")).unwrap();
    let left = left_paused(&bench.config).unwrap();
    resume_left(&bench.config, &left[0]).await.unwrap();
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn another_pause_takes_over_what_a_dead_run_left() {
    let bench = Bench::with_file();
    let mut dead = Pause::new(&bench.config, "r1");
    dead.pause().await.unwrap();
    die(dead);
    let mut pause = Pause::new(&bench.config, "r2");
    pause.pause().await.unwrap();
    pause.resume().await.unwrap();
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_that_somebody_else_made_stays() {
    let bench = Bench::with_file();
    let file = bench.path("config/bkp.config.php");
    std::fs::write(&file, CONTENT).unwrap();
    let mut pause = Pause::new(&bench.config, "r1");
    pause.pause().await.unwrap();
    pause.resume().await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), CONTENT);

    std::fs::write(&file, "something else").unwrap();
    let mut pause = Pause::new(&bench.config, "r1");
    assert!(pause.pause().await.unwrap_err().to_string().contains("not overwritten"));
    pause.resume().await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "something else");
}

#[tokio::test]
async fn a_file_that_was_changed_meanwhile_stays_and_is_told() {
    let bench = Bench::with_file();
    let mut pause = Pause::new(&bench.config, "r1");
    pause.pause().await.unwrap();
    std::fs::write(bench.path("config/bkp.config.php"), "mine now").unwrap();
    assert!(pause.resume().await.unwrap_err().to_string().contains("was changed"));
    assert!(bench.has("config/bkp.config.php"));
}

#[tokio::test]
async fn a_file_that_went_with_the_old_tree_is_made_again() {
    let bench = Bench::with_file();
    let mut pause = Pause::new(&bench.config, "r1");
    pause.pause().await.unwrap();
    std::fs::rename(bench.path("config"), bench.path("old")).unwrap();
    std::fs::create_dir(bench.path("config")).unwrap();
    pause.renew().unwrap();
    assert!(bench.has("config/bkp.config.php"));
    pause.resume().await.unwrap();
    assert_eq!(bench.left(), Vec::<String>::new());
    // Should the old tree come back, its pause is known and can be given back.
    std::fs::remove_dir(bench.path("config")).unwrap();
    std::fs::rename(bench.path("old"), bench.path("config")).unwrap();
    let left = left_paused(&bench.config).unwrap();
    resume_left(&bench.config, &left[0]).await.unwrap();
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn an_empty_volume_has_no_application_to_pause() {
    let bench = Bench::with_file();
    std::fs::remove_dir(bench.path("config")).unwrap();
    let mut pause = Pause::new(&bench.config, "r1");
    pause.pause().await.unwrap();
    std::fs::create_dir(bench.path("config")).unwrap();
    pause.renew().unwrap();
    assert!(bench.has("config/bkp.config.php"));
    pause.resume().await.unwrap();
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn every_step_is_resumed_even_if_another_fails() {
    let bench = Bench::with_file().commands(PAUSE, "echo resume >> $BENCH/log; echo broken >&2; test -e $BENCH/mended");
    let mut pause = Pause::new(&bench.config, "r1");
    pause.pause().await.unwrap();
    let error = pause.resume().await.unwrap_err().to_string();
    assert!(error.contains("broken") && error.contains("still paused"), "{error}");
    assert!(!bench.has("config/bkp.config.php"));
    std::fs::write(bench.path("mended"), "").unwrap();
    let left = left_paused(&bench.config).unwrap();
    resume_left(&bench.config, &left[0]).await.unwrap();
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pause_that_failed_halfway_is_resumed_too() {
    let bench = Bench::with_file().commands("echo half >> $BENCH/log; exit 3", RESUME);
    let stop = Stop::on_signals().unwrap();
    let error = during(&bench.config, "r1", &stop, async |_| -> Result<()> { panic!("no work without a pause") })
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("status 3"), "{error:#}");
    assert_eq!(bench.log(), "half\nresume\n");
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn work_that_fails_is_followed_by_the_resume() {
    let bench = Bench::with_file().commands(PAUSE, RESUME);
    let stop = Stop::on_signals().unwrap();
    let error = during(&bench.config, "r1", &stop, async |_| -> Result<()> {
        assert!(bench.has("config/bkp.config.php"));
        anyhow::bail!("the work failed")
    })
    .await
    .unwrap_err();
    assert_eq!(error.to_string(), "the work failed");
    assert_eq!(bench.left(), Vec::<String>::new());
    assert_eq!(during(&bench.config, "r2", &stop, async |_| Ok(7)).await.unwrap(), 7);
}

#[tokio::test]
async fn work_that_panics_is_followed_by_the_resume() {
    let bench = Bench::with_file().commands(PAUSE, RESUME);
    let stop = Stop::on_signals().unwrap();
    let work = during(&bench.config, "r1", &stop, async |_| -> Result<()> { panic!("a library is out of memory") });
    assert!(AssertUnwindSafe(work).catch_unwind().await.is_err(), "it is still a panic");
    assert_eq!(bench.log(), "pause cloud/eins r1\nresume\n");
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_with_all_it_started() {
    let mut bench =
        Bench::new().commands("(sleep 600; echo late >> $BENCH/log) & echo $! > $BENCH/child; wait", RESUME);
    bench.config.limit = Duration::from_millis(300);
    let mut pause = Pause::new(&bench.config, "r1");
    let error = format!("{:#}", pause.pause().await.unwrap_err());
    assert!(error.contains("took longer"), "{error}");
    pause.resume().await.unwrap();
    let child = std::fs::read_to_string(bench.path("child")).unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
    assert_eq!(bench.log(), "resume\n");
}

#[tokio::test]
async fn a_pause_that_is_cancelled_is_given_back() {
    let bench = Bench::with_file().commands("echo begun >> $BENCH/log; exec sleep 600", RESUME);
    let mut pause = Pause::new(&bench.config, "r1");
    let cancelled = tokio::time::timeout(Duration::from_millis(300), pause.pause()).await;
    assert!(cancelled.is_err());
    assert!(bench.has("config/bkp.config.php"));
    pause.resume().await.unwrap();
    assert_eq!(bench.log(), "begun\nresume\n");
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_written_does_not_keep_commands_from_pausing() {
    let mut bench = Bench::new().commands(PAUSE, RESUME);
    std::fs::write(bench.path("file"), "").unwrap();
    bench.config.state = bench.path("file/state");
    let mut pause = Pause::new(&bench.config, "r1");
    pause.pause().await.unwrap();
    pause.resume().await.unwrap();
    assert_eq!(bench.log(), "pause cloud/eins r1\nresume\n");
}

#[test]
fn commands_come_in_pairs_and_do_not_print_their_arguments() {
    assert_eq!(Commands::parse(None, None).unwrap(), None);
    assert!(Commands::parse(Some("a"), None).is_err());
    assert!(Commands::parse(None, Some("a")).is_err());
    assert!(Commands::parse(Some(" "), Some("a")).is_err());
    let commands = Commands::parse(Some("stop --password hunter2"), Some("start")).unwrap();
    assert!(!format!("{commands:?}").contains("hunter2"));
}
