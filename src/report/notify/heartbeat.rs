//! The heartbeat, as healthchecks.io takes it: <https://healthchecks.io/docs/http_api/>. `URL/start` at the beginning, `URL` after success,
//! `URL/fail` after anything else, with what happened in the body, and `rid`, a UUID that ties the two together.

use std::fmt::Write as _;

use reqwest::Url;

use super::Ended;
use crate::error::advice_of;
use crate::exit::Exit;
use crate::settings::{Notify, Secret};

/// What is sent.
pub const KIND: &str = "text/plain; charset=utf-8";

/// healthchecks.io keeps the first 100 kB; nobody reads that much in a mail.
const BODY_CHARS: usize = 10_000;

/// Whom a run calls.
pub struct Beat {
    url: Secret,
    rid: Option<String>,
    /// Whether it is called for failures alone.
    alarm: bool,
}

impl Beat {
    /// Nobody, for commands that nobody waits for. A drill without a heartbeat of its own only ever tells the backups' that it failed:
    /// its success there would say that backups are well.
    pub fn of(notify: &Notify, command: &str) -> Option<Beat> {
        let (url, alarm) = match (command, &notify.drill_heartbeat) {
            ("backup", _) => (notify.heartbeat.as_ref()?, false),
            ("drill", Some(own)) => (own, false),
            ("drill", None) => (notify.heartbeat.as_ref()?, true),
            _ => return None,
        };
        let mut random = [0; 16];
        let is_random = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()) == Ok(random.len());
        Some(Beat { url: url.clone(), rid: (is_random && !alarm).then(|| uuid(random)), alarm })
    }

    /// Where the beginning is told, if it is.
    pub fn start(&self) -> Option<Secret> {
        (!self.alarm).then(|| self.with("start"))
    }

    /// Where the end is told, if it is.
    pub fn end(&self, exit: Exit) -> Option<Secret> {
        match exit {
            Exit::Done if self.alarm => None,
            Exit::Done => Some(self.with("")),
            // Somebody else's run is under way, which is no fault of the backup's that this address is about.
            Exit::Locked if self.alarm => None,
            _ => Some(self.with("fail")),
        }
    }

    /// A segment more on the path; what stands behind a question mark stays there.
    fn with(&self, last: &str) -> Secret {
        // The settings let nothing else through.
        let Ok(mut url) = Url::parse(self.url.expose()) else { return self.url.clone() };
        if !last.is_empty()
            && let Ok(mut path) = url.path_segments_mut()
        {
            path.pop_if_empty().push(last);
        }
        if let Some(rid) = &self.rid {
            url.query_pairs_mut().append_pair("rid", rid);
        }
        Secret::new(url.into())
    }
}

/// A random one (version 4), in its usual form.
fn uuid(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (at, byte) in random.into_iter().enumerate() {
        let dash = if [4, 6, 8, 10].contains(&at) { "-" } else { "" };
        let _ = write!(text, "{dash}{byte:02x}");
    }
    text
}

/// What happened: the exit code, and what the log's last lines say.
pub fn body(ended: &Ended) -> String {
    let app = ended.app.unwrap_or("?");
    let mut text =
        format!("bkp {} of {app}: exit {}, after {:.1} s\n", ended.command, ended.exit.code(), ended.seconds());
    if let Some(run) = &ended.facts.run {
        let _ = writeln!(text, "run {run}");
    }
    if let Some(saved) = &ended.facts.saved {
        let (read, stored) = (super::super::size(saved.bytes), super::super::size(saved.stored_bytes));
        let _ = writeln!(text, "saved {} items, {} rows, {read}; {stored} stored", saved.items.len(), saved.rows);
        if saved.retention_failed == Some(true) {
            text.push_str("old backups could not be forgotten\n");
        }
        if saved.unreadable > 0 {
            let _ = writeln!(text, "{} files could not be read and are not in it", saved.unreadable);
        }
    }
    if let Some(error) = ended.error {
        let _ = writeln!(text, "{}", super::super::said(error));
        for hint in advice_of(error) {
            let _ = writeln!(text, "hint: {hint}");
        }
    }
    text.chars().take(BODY_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notify(heartbeat: Option<&str>, drill: Option<&str>) -> Notify {
        let secret = |url: &str| Secret::new(url.to_owned());
        Notify { heartbeat: heartbeat.map(secret), drill_heartbeat: drill.map(secret), ..Notify::default() }
    }

    fn calls(notify: &Notify, command: &str, exit: Exit) -> Vec<String> {
        let Some(mut beat) = Beat::of(notify, command) else { return Vec::new() };
        beat.rid = beat.rid.map(|_| "R".to_owned());
        [beat.start(), beat.end(exit)].into_iter().flatten().map(|url| url.expose().to_owned()).collect()
    }

    #[test]
    fn a_backup_tells_its_beginning_and_its_end_under_one_id() {
        let url = notify(Some("https://hc.example.org/token"), None);
        let (start, done) = ("https://hc.example.org/token/start?rid=R", "https://hc.example.org/token?rid=R");
        assert_eq!(calls(&url, "backup", Exit::Done), [start, done]);
        for exit in [Exit::Failed, Exit::Usage, Exit::Partial, Exit::RetentionFailed, Exit::Locked, Exit::Terminated] {
            assert_eq!(calls(&url, "backup", exit), [start, "https://hc.example.org/token/fail?rid=R"]);
        }
        assert!(calls(&url, "restore", Exit::Failed).is_empty());
    }

    #[test]
    fn a_drill_never_says_that_backups_are_well() {
        let shared = notify(Some("https://h/b"), None);
        assert!(calls(&shared, "drill", Exit::Done).is_empty());
        assert_eq!(calls(&shared, "drill", Exit::ProofFailed), ["https://h/b/fail"]);
        let own = notify(Some("https://h/b"), Some("https://h/d/"));
        assert_eq!(calls(&own, "drill", Exit::Done), ["https://h/d/start?rid=R", "https://h/d/?rid=R"]);
    }

    #[test]
    fn what_stands_behind_a_question_mark_stays_there() {
        let url = notify(Some("https://h/b/?create=1"), None);
        assert_eq!(calls(&url, "backup", Exit::Failed)[1], "https://h/b/fail?create=1&rid=R");
    }

    #[test]
    fn an_id_is_a_uuid() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
