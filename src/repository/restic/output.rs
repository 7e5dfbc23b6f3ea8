//! What restic says, as data. Fields that are not known are passed over: each version adds some.

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::error;

/// One stored state, as restic lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Snapshot {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The first eight of them, as people type them.
    pub short_id: String,
    /// When it was made, or is said to have been.
    #[serde(deserialize_with = "time")]
    pub time: Timestamp,
    /// The host it was made for.
    #[serde(rename = "hostname", default)]
    pub host: String,
    /// The account it was made by.
    #[serde(default)]
    pub username: String,
    /// What was given to restic to save, absolute.
    #[serde(default, deserialize_with = "list")]
    pub paths: Vec<String>,
    /// Its tags.
    #[serde(default, deserialize_with = "list")]
    pub tags: Vec<String>,
    /// The snapshot that unchanged files were taken from.
    pub parent: Option<String>,
    /// Figures; those before restic 0.17 have none.
    pub summary: Option<Summary>,
}

/// Figures of a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Files in it.
    #[serde(rename = "total_files_processed")]
    pub files: u64,
    /// Their size.
    #[serde(rename = "total_bytes_processed")]
    pub bytes: u64,
    /// What was new, before compression.
    #[serde(rename = "data_added")]
    pub added_bytes: u64,
    /// What was new, as it is stored.
    #[serde(rename = "data_added_packed")]
    pub stored_bytes: u64,
}

/// One file or directory in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its path from the snapshot's root: `/stdin`.
    pub path: String,
    /// `file`, `dir`, `symlink` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Size of a file; a stream of restic 0.14 and before has none.
    pub size: Option<u64>,
}

/// Messages of `backup`, `restore` and `check`; those that say nothing that we need are [`Message::Other`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "message_type", rename_all = "snake_case")]
pub(super) enum Message {
    Summary(Box<Finished>),
    Error(Trouble),
    ExitError {
        message: String,
    },
    #[serde(other)]
    Other,
}

/// The summary of any command: each fills its own fields.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Finished {
    pub snapshot_id: Option<String>,
    #[serde(flatten)]
    pub figures: Summary,
    pub files_restored: u64,
    pub bytes_restored: u64,
    pub suggest_prune: bool,
}

/// An error of one item, or of the whole.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Trouble {
    pub item: String,
    error: Option<Inner>,
    message: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Inner {
    #[serde(default)]
    message: String,
}

impl Trouble {
    /// What it says.
    pub fn words(&self) -> &str {
        self.error.as_ref().map_or(&self.message, |inner| &inner.message).trim()
    }
}

/// A line of restic's as a message, if it is one.
pub(super) fn message(line: &[u8]) -> Option<Message> {
    line.starts_with(b"{").then(|| serde_json::from_slice(line).ok()).flatten()
}

/// How far restic is, in bytes, and how far it goes, if it knows: what it saves without counting first, it does not.
pub fn status(line: &[u8]) -> Option<(u64, Option<u64>)> {
    #[derive(Deserialize)]
    struct Status {
        #[serde(default, alias = "bytes_restored")]
        bytes_done: u64,
        total_bytes: Option<u64>,
    }
    let status: Status = serde_json::from_slice(line).ok()?;
    Some((status.bytes_done, status.total_bytes))
}

/// What `snapshots --json` prints.
pub fn snapshots(said: &[u8]) -> Result<Vec<Snapshot>> {
    serde_json::from_slice::<Option<Vec<Snapshot>>>(said)
        .map(Option::unwrap_or_default)
        .context("restic's list of snapshots is none")
}

/// What `ls --json` prints: the snapshot, then a line for each entry.
pub fn entries(said: &[u8]) -> Result<Vec<Entry>> {
    let lines = said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.skip(1).map(|line| serde_json::from_slice(line).context("restic's list of files is none")).collect()
}

/// Words for people out of what restic printed for machines: a line each, and each once.
pub fn plain(said: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in said.lines().map(|line| line.trim_start_matches("\u{1b}[2K").trim()) {
        let words = match message(line.as_bytes()) {
            Some(Message::ExitError { message }) => message,
            Some(Message::Error(trouble)) => trouble.words().to_owned(),
            Some(Message::Summary(_) | Message::Other) => continue,
            None => line.to_owned(),
        };
        // Names of files are in it, which hold anything, and it goes to a terminal.
        for line in words.lines().map(|line| error::plain(line.trim().trim_start_matches("Fatal: "))) {
            // Advice for somebody who typed the command.
            let advice = line.is_empty()
                || line.starts_with("signal ")
                || line.starts_with("the `unlock` command")
                || line.starts_with("storage ID ");
            if !advice && !is_frame(&line) && !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    // The beginning is the cause, the end the result.
    if lines.len() > 12 {
        let left_out = lines.len() - 10;
        lines.splice(5..lines.len() - 5, [format!("({left_out} more lines)")]);
    }
    lines.join("\n")
}

/// A line of the Go stack that restic prints behind some errors: a function, or a file and its line.
fn is_frame(line: &str) -> bool {
    let starts = ["github.com/", "golang.org/", "runtime.", "runtime/", "main."];
    !line.contains(' ') && starts.iter().any(|start| line.starts_with(start))
}

pub(super) fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// A list that may be null.
fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Option::<Vec<String>>::deserialize(from).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_of_new_and_old_restic_are_read() {
        let said = br#"[{"time":"2026-11-21T09:45:39.211038822+01:00","tree":"b64a","paths":["/shop.sql"],"hostname":"h",
            "username":"root","tags":["a","run=1"],"program_version":"restic 0.18.0","summary":{"backup_start":"x",
            "files_new":1,"data_added":290,"data_added_packed":341,"total_files_processed":1,"total_bytes_processed":6},
            "id":"b9b3290ee33a","short_id":"b9b3290e"},
            {"time":"2023-01-02T03:04:05Z","parent":"b9b3","tree":"c","paths":["/stdin"],"hostname":"pod-x","username":"root",
            "uid":1,"id":"ff","short_id":"ff","tags":null}]"#;
        let found = snapshots(said).unwrap();
        assert_eq!(found[0].time, "2026-11-21T08:45:39.211038822Z".parse().unwrap());
        assert_eq!(found[0].summary, Some(Summary { files: 1, bytes: 6, added_bytes: 290, stored_bytes: 341 }));
        assert_eq!((found[0].host.as_str(), found[0].tags.len()), ("h", 2));
        assert_eq!((found[1].summary, found[1].parent.as_deref()), (None, Some("b9b3")));
        assert_eq!(snapshots(b"null").unwrap(), []);
        assert!(snapshots(b"").is_err());
    }

    #[test]
    fn messages_are_told_apart() {
        let summary =
            br#"{"message_type":"summary","files_new":1,"data_blobs":1,"total_bytes_processed":6,"snapshot_id":"b9"}"#;
        let Some(Message::Summary(done)) = message(summary) else { panic!("no summary") };
        assert_eq!((done.snapshot_id.as_deref(), done.figures.bytes), (Some("b9"), 6));
        let error = br#"{"message_type":"error","error":{"message":"/t/a: open a: permission denied"},"during":"archival","item":"/t/a"}"#;
        let Some(Message::Error(trouble)) = message(error) else { panic!("no error") };
        assert_eq!((trouble.item.as_str(), trouble.words()), ("/t/a", "/t/a: open a: permission denied"));
        let check = br#"{"message_type":"error","message":"pack 11aa: does not exist\n"}"#;
        let Some(Message::Error(trouble)) = message(check) else { panic!("no error") };
        assert_eq!(trouble.words(), "pack 11aa: does not exist");
        assert_eq!(message(br#"{"message_type":"status","percent_done":0.5}"#), Some(Message::Other));
        assert_eq!(message(b"Load(<data/11>) failed"), None);
    }

    #[test]
    fn people_see_words_and_no_braces() {
        let said = "{\"message_type\":\"exit_error\",\"code\":11,\"message\":\"unable to create lock in backend: repository is already locked by PID 2451 on vm by root (UID 0, GID 0)\\nlock was created at 2026-11-21 09:45:46 (2.5s ago)\\nstorage ID e15d1a13\\nthe `unlock` command can be used to remove stale locks\"}\n";
        assert_eq!(
            plain(said),
            "unable to create lock in backend: repository is already locked by PID 2451 on vm by root (UID 0, GID 0)\nlock was created at 2026-11-21 09:45:46 (2.5s ago)"
        );
        let stack = "Fatal: open /r/data/3c: no such file\ngithub.com/restic/restic/internal/backend.ReadAt\n\t\
                     github.com/restic/restic/internal/backend/readerat.go:38\nruntime.goexit\n\truntime/asm_amd64.s:1700\n";
        assert_eq!(plain(stack), "open /r/data/3c: no such file");
        assert_eq!(plain("\u{1b}[2Ksignal terminated received, cleaning up\nFatal: x\nFatal: x\n"), "x");
        assert_eq!(plain("Fatal: open /srv/\u{1b}]0;x\u{7}: permission denied"), "open /srv/?]0;x?: permission denied");
        let many: String = (0..100).map(|n| format!("line {n}\n")).collect();
        assert_eq!(plain(&many).lines().count(), 11);
    }

    #[test]
    fn entries_follow_the_snapshot() {
        let said = br#"{"time":"x","struct_type":"snapshot"}
{"name":"shop.sql","type":"file","path":"/shop.sql","uid":0,"size":6,"struct_type":"node"}
{"name":"sub","type":"dir","path":"/sub","struct_type":"node"}
"#;
        let found = entries(said).unwrap();
        assert_eq!((found[0].path.as_str(), found[0].size), ("/shop.sql", Some(6)));
        assert_eq!((found[1].kind.as_str(), found[1].size), ("dir", None));
    }

    #[test]
    fn how_far_restic_is_is_read_of_saving_and_of_restoring() {
        let saving =
            br#"{"message_type":"status","percent_done":0,"files_done":3,"bytes_done":1234,"current_files":["/x"]}"#;
        assert_eq!(status(saving), Some((1234, None)));
        let restoring = br#"{"message_type":"status","percent_done":0.5,"total_bytes":20,"bytes_restored":10}"#;
        assert_eq!(status(restoring), Some((10, Some(20))));
        assert_eq!(status(br#"{"message_type":"status","percent_done":0}"#), Some((0, None)));
    }
}
