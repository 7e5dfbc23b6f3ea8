//! A snapshot's directories, all of them read: that they can be, and what is in them. The content of the files is not read.

use anyhow::Result;
use serde::Deserialize;

use super::call::{Answer, Call};
use super::repo::Repository;
use crate::process::{self, How, Line};

/// What is kept of restic's complaints: they repeat themselves.
const KEPT_BYTES: usize = 64 << 10;

/// What a snapshot, or a part of it, holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    /// Entries of all kinds.
    pub entries: u64,
    /// Size of the files, each counted under every name that it has.
    pub bytes: u64,
}

#[derive(Deserialize)]
struct Node {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    size: u64,
}

impl Weight {
    /// Takes in a line of `ls --json`; those that are of no entry do not count.
    fn add(&mut self, line: &[u8]) {
        // The snapshot itself has no `type`. Before 0.17 entries are not otherwise told from it.
        let Ok(node) = serde_json::from_slice::<Node>(line) else { return };
        if !node.kind.is_empty() {
            self.entries += 1;
            self.bytes += if node.kind == "file" { node.size } else { 0 };
        }
    }
}

impl Repository {
    /// Reads every directory of a snapshot, or of what is below one place in it, and says what is there.
    ///
    /// # Errors
    /// When one cannot be read: a restore of it cannot work.
    pub async fn weigh(&self, snapshot: &str, below: Option<&str>) -> Result<Weight> {
        let below = below.map(|path| format!("/{}", path.trim_matches('/')));
        let call = Call::new(
            "read the directories of a snapshot",
            ["ls", "--json", "--no-lock", "--recursive", "--", snapshot],
        )
        .with(below);
        let (mut weight, mut err) = (Weight::default(), Vec::new());
        // As it comes: a million entries are no text to be held.
        let keep = |line: Line<'_>| match line {
            Line::Out(bytes) => weight.add(bytes),
            Line::Err(bytes) if err.len() < KEPT_BYTES => {
                err.extend_from_slice(bytes);
                err.push(b'\n');
            }
            Line::Err(_) => {}
        };
        let status = process::run(&self.program(&call.arguments), How::default(), keep).await?;
        if status.success() {
            return Ok(weight);
        }
        let answer = Answer { status, out: Vec::new(), err: String::from_utf8_lossy(&err).into_owned() };
        Err(self.failure(&call, &answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entries_count_and_only_files_weigh() {
        let mut weight = Weight::default();
        for line in [
            r#"{"time":"x","tree":"y","struct_type":"snapshot"}"#,
            r#"{"name":"a","type":"dir","path":"/a","size":4096,"struct_type":"node"}"#,
            r#"{"name":"b","type":"file","path":"/a/b","size":6,"struct_type":"node"}"#,
            r#"{"name":"c","type":"file","path":"/c"}"#,
            "words",
        ] {
            weight.add(line.as_bytes());
        }
        assert_eq!(weight, Weight { entries: 3, bytes: 6 });
    }
}
