//! What only another process shows: one that is killed, a plain user, a mount namespace. The test starts itself again.

use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Output};

use super::super::swap::Step;
use super::*;

const WHAT: &str = "BKP_TEST_CHILD";
const ROOT: &str = "BKP_TEST_ROOT";
const NOBODY: u32 = 65534;

/// Starts this test binary for one deed of [`what_the_other_process_does`].
fn child(before: &[&str], what: &str, root: &Path, user: Option<u32>) -> Output {
    let own = std::env::current_exe().unwrap();
    // An open file, because a plain user may not reach its path; a copy would be busy while another test starts a child.
    let opened = std::fs::File::open(&own).unwrap();
    let reachable = match user {
        Some(_) => PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())),
        None => own,
    };
    let mut words: Vec<&OsStr> = before.iter().map(OsStr::new).collect();
    words.push(reachable.as_os_str());
    let name = "sources::files::exchange::tests::accounts::what_the_other_process_does";
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(["--exact", name, "--nocapture"]).env(WHAT, what).env(ROOT, root);
    if let Some(user) = user.filter(|_| rustix::process::geteuid().is_root()) {
        command.uid(user).gid(user);
    }
    command.output().unwrap()
}

fn succeeded(output: Output) {
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
}

#[test]
fn what_the_other_process_does() {
    let Ok(what) = std::env::var(WHAT) else { return };
    let root = PathBuf::from(std::env::var_os(ROOT).unwrap());
    match what.split_once(' ').unwrap_or((&what, "")) {
        ("die", at) => die(&root, at.parse().unwrap()),
        ("plain", _) => plain(&root),
        ("stranger", _) => stranger(&root),
        ("mounts", _) => mounts(&root),
        other => panic!("{other:?}"),
    }
}

fn die(root: &Path, at: usize) {
    let staging = stage(root, "r1").unwrap();
    fill_staged(staging.target());
    let plan = staging.plan(&keep(), &[]).unwrap();
    let mut steps = 0;
    let mut watch = |_: Step| {
        if steps == at {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
        steps += 1;
        Ok(())
    };
    staging.swap_watched(plan, &mut watch).unwrap();
}

#[test]
fn a_swap_that_is_killed_anywhere_is_recovered() {
    let mut finished = 0;
    for at in 0.. {
        let bench = Bench::filled();
        let output = child(&[], &format!("die {at}"), &bench.root(), None);
        if output.status.signal() != Some(9) {
            succeeded(output);
            assert!(at > 15 && finished > 10, "killed {at} times, {finished} with something begun");
            break;
        }
        match recover(&bench.root(), Way::AsBegun).unwrap().as_slice() {
            [(_, Recovered::Removed)] => assert_eq!((bench.tree(), bench.own()), (expected_old(), vec![])),
            [(_, Recovered::Finished)] => {
                assert_eq!(bench.tree(), expected_new());
                finished += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The owner of the root, who is not root.
fn plain(root: &Path) {
    fill_live(root);
    let mut staging = stage(root, "r1").unwrap();
    fill_staged(staging.target());
    let error = staging.chown(Owner { user: 901, group: None }).unwrap_err();
    assert!(error.to_string().contains("may not give the restored files to 901"), "{error:#}");
    staging.chown(Owner { user: rustix::process::geteuid().as_raw(), group: None }).unwrap();
    let plan = staging.plan(&keep(), &[]).unwrap();
    staging.swap(plan).unwrap();
    assert_eq!(tree(root), expected_new());
    // `data` is read-only to its owner by now, and still goes and comes.
    undo(root, None).unwrap();
    assert_eq!(tree(root), expected_old());
    drop_replaced(root, "r1").unwrap();
    assert_eq!(leftovers(root).unwrap(), []);
}

#[test]
fn a_plain_user_restores_what_is_theirs() {
    let bench = Bench::new();
    std::fs::set_permissions(bench.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(bench.root(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    succeeded(child(&[], "plain", &bench.root(), Some(NOBODY)));
}

/// Somebody whom the root does not belong to.
fn stranger(root: &Path) {
    let error = preflight::check(root, &[], &[]).unwrap_err();
    assert!(error.to_string().contains("may not write to"), "{error:#}");
    assert!(stage(root, "r2").unwrap_err().to_string().contains("may not write to"));
    // They see what is going on, and leave it alone.
    assert_eq!(leftovers(root).unwrap(), [Leftover { run: "r1".into(), found: Found::Replaced }]);
    assert!(std::fs::read_dir(root.join(".bkp-r1/old")).is_err());
    let open = root.with_file_name("open");
    let error = preflight::check(&open, &keep(), &[]).unwrap_err().to_string();
    assert!(error.contains("theirs belongs to somebody else"), "{error}");
}

#[test]
fn a_stranger_is_told_why_not() {
    // Without root there is no second account to be a stranger.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let bench = Bench::filled();
    std::fs::set_permissions(bench.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let staging = bench.staged("r1");
    let plan = staging.plan(&keep(), &[]).unwrap();
    staging.swap(plan).unwrap();
    write(&bench.root().with_file_name("open").join("theirs"), "x");
    std::fs::set_permissions(bench.root().with_file_name("open"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    succeeded(child(&[], "stranger", &bench.root(), Some(NOBODY)));
}

fn mount(arguments: &[&str]) {
    succeeded(Command::new("mount").args(arguments).output().unwrap());
}

/// In a mount namespace of its own.
fn mounts(root: &Path) {
    let within = |name: &str| root.join(name).to_str().unwrap().to_owned();
    mount(&["-t", "tmpfs", "none", &within("data/sub")]);
    let error = preflight::check(root, &keep(), &[]).unwrap_err().to_string();
    assert!(error.contains("a volume is mounted at data/sub"), "{error}");
    let staging = stage(root, "r1").unwrap();
    fill_staged(staging.target());
    assert!(staging.plan(&keep(), &[]).unwrap_err().to_string().contains("mounted at data/sub"));
    let keeping = [keep(), vec![Pattern::parse("data").unwrap()]].concat();
    preflight::check(root, &keeping, &[]).unwrap();
    let to_other_volume = select::parse("fresh/y:data/sub").unwrap();
    assert!(preflight::check(root, &[], &to_other_volume).unwrap_err().to_string().contains("volume of its own"));
    assert!(staging.plan(&[], &to_other_volume).unwrap_err().to_string().contains("volume of its own"));
    // The plan knew nothing of a mount that came later: the kernel refuses, and everything goes back.
    let plan = staging.plan(&keeping, &[]).unwrap();
    mount(&["--bind", &within("gone"), &within("gone")]);
    let error = staging.swap(plan).unwrap_err();
    assert!(format!("{error:#}").contains("gone cannot be moved"), "{error:#}");
    assert!(crate::error::hints_of(&error)[0].contains("BKP_FILES_KEEP"), "{error:#}");
    assert_eq!(leftovers(root).unwrap(), []);
    assert_eq!(std::fs::read_to_string(root.join("index")).unwrap(), "old index");

    let staging = stage(root, "r2").unwrap();
    fill_staged(staging.target());
    mount(&["--bind", &within(""), &within("")]);
    mount(&["-o", "remount,bind,ro", &within("")]);
    let error = stage(root, "r3").unwrap_err().to_string();
    assert!(error.contains("mounted read-only"), "{error}");
    assert_eq!(leftovers(root).unwrap(), [Leftover { run: "r2".into(), found: Found::Staged }]);
    // Told, and no reason not to save.
    assert_eq!(recover(root, Way::AsBegun).unwrap(), [("r2".to_owned(), Recovered::Stays)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(super::super::super::lock::acquire(root, std::time::Duration::ZERO)).unwrap();
}

#[test]
fn mounts_are_found_before_anything_is_touched() {
    let bench = Bench::filled();
    let alone: &[&str] = if rustix::process::geteuid().is_root() {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--mount", "--user", "--map-root-user"]
    };
    succeeded(child(alone, "mounts", &bench.root(), None));
}
