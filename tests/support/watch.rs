//! The end of tests that hang: named, with every process that still runs, so that the log of a machine that nobody can look at
//! says what happened.

use std::collections::HashMap;
use std::io::Write;
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any test takes, with all that it waits for; but for the whole matrices of faults and damages, which have limits of their own.
fn limit() -> Duration {
    let is_matrix = ["BKP_FAULTS", "BKP_TEST_ALL_DAMAGE"].into_iter().any(|whole| std::env::var_os(whole).is_some());
    Duration::from_secs(if is_matrix { 4 * 3600 } else { 8 * 60 })
}

/// How many handles each test holds, and since when.
type Held = HashMap<String, (usize, Instant)>;

fn held() -> &'static Mutex<Held> {
    static HELD: OnceLock<Mutex<Held>> = OnceLock::new();
    HELD.get_or_init(|| {
        thread::spawn(watch);
        Mutex::default()
    })
}

/// Lives as long as what it watches.
pub struct Watched(String);

impl Watched {
    /// Watches the test whose thread this is.
    pub fn begin() -> Self {
        let name = thread::current().name().unwrap_or("a thread without a name").to_owned();
        let mut held = held().lock().expect("the watch");
        held.entry(name.clone()).or_insert_with(|| (0, Instant::now())).0 += 1;
        Self(name)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let Ok(mut held) = held().lock() else { return };
        let last = held.get_mut(&self.0).is_some_and(|(count, _)| {
            *count -= 1;
            *count == 0
        });
        if last {
            held.remove(&self.0);
        }
    }
}

fn watch() {
    loop {
        thread::sleep(Duration::from_secs(1));
        let late: Vec<String> = held()
            .lock()
            .map(|held| {
                held.iter().filter(|(_, (_, since))| since.elapsed() > limit()).map(|(name, _)| name.clone()).collect()
            })
            .unwrap_or_default();
        if !late.is_empty() {
            let running = Command::new("ps").args(["-eo", "pid,ppid,stat,etimes,wchan:24,args", "--forest"]).output();
            let running =
                running.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            // Past the capture of the test that started us.
            let mut err = std::io::stderr();
            let _ = writeln!(err, "{running}\nhangs for more than {:?}: {}", limit(), late.join(", "));
            std::process::exit(1);
        }
    }
}
