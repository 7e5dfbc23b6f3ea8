//! What a restic snapshot of ours says of itself: its tags. Pure.
//!
//! `bkp`, `run=…`, `app=…`, `item=…`, and `plan=…` with all items that the run set out to save, so that a run that lacks one can
//! be told from a whole one. restic splits tags at commas; names are percent-encoded.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::sources::Item;

const OURS: &str = "bkp";

/// The tags of what a restore saved before it replaced it: the first for people, the second for us, since anybody may use that word.
const SAFETY: [&str; 2] = ["safety", "kind=safety"];

/// The tag of what was held against the ones before it: too small, it is no measure for those after it.
const GUARDED: &str = "guard=shrink";

/// The tag of a snapshot that proves a password and holds nothing else: no backup, wherever backups are looked for.
pub const PROOF: &str = "bkp-password-proof";

/// The tags of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags {
    /// The run that saved it.
    pub run: String,
    /// The application.
    pub app: String,
    /// What it holds.
    pub item: Item,
    /// Everything that the run meant to save.
    pub plan: Vec<Item>,
    /// Whether a restore took it of what it was about to replace.
    pub safety: bool,
    /// Whether it was held against the ones before it.
    pub guarded: bool,
}

impl Tags {
    /// As restic takes them.
    pub fn write(&self) -> Vec<String> {
        let plan: Vec<String> = self.plan.iter().map(write_item).collect();
        let mut tags = vec![
            OURS.to_owned(),
            format!("run={}", encode(&self.run)),
            format!("app={}", encode(&self.app)),
            format!("item={}", write_item(&self.item)),
            format!("plan={}", plan.join("+")),
        ];
        tags.extend(Some(GUARDED.to_owned()).filter(|_| self.guarded));
        tags.extend(SAFETY.iter().filter(|_| self.safety).map(|tag| (*tag).to_owned()));
        tags
    }

    /// Reads a snapshot's tags; nothing when it is none of ours.
    pub fn read(tags: &[String]) -> Option<Tags> {
        let value = |name: &str| tags.iter().find_map(|tag| tag.strip_prefix(name)?.strip_prefix('='));
        if !tags.iter().any(|tag| tag == OURS) {
            return None;
        }
        Some(Tags {
            run: decode(value("run")?)?,
            app: decode(value("app")?)?,
            item: read_item(value("item")?)?,
            plan: value("plan").unwrap_or_default().split('+').filter_map(read_item).collect(),
            safety: tags.iter().any(|tag| tag == SAFETY[1]),
            guarded: tags.iter().any(|tag| tag == GUARDED),
        })
    }
}

fn write_item(item: &Item) -> String {
    match item {
        Item::Roles => "roles".to_owned(),
        Item::Dump => "dump".to_owned(),
        Item::Database(name) => format!("database:{}", encode(name)),
        Item::Files(root) => format!("files:{}", encode(&root.to_string_lossy())),
    }
}

fn read_item(text: &str) -> Option<Item> {
    match text.split_once(':') {
        None if text == "roles" => Some(Item::Roles),
        None if text == "dump" => Some(Item::Dump),
        Some(("database", name)) => Some(Item::Database(decode(name)?)),
        Some(("files", root)) => Some(Item::Files(PathBuf::from(decode(root)?))),
        _ => None,
    }
}

/// Leaves what every tool shows well; everything else as `%XX` of its UTF-8.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' => encoded.push(char::from(byte)),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Reads what [`encode`] wrote; nothing when it is not that.
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(name in ".{1,63}", root in "/.{1,40}", app in "[a-z0-9._-]{1,20}", safety: bool, guarded: bool) {
            let plan = vec![Item::Roles, Item::Database(name.clone()), Item::Files(root.into()), Item::Dump];
            for item in plan.clone() {
                let tags = Tags { run: "20261121T231004Z-7f3a9c".into(), app: app.clone(), item, plan: plan.clone(), safety, guarded };
                let written = tags.write();
                prop_assert!(written.iter().all(|tag| !tag.contains([',', ' ', '\n'])));
                prop_assert_eq!(Tags::read(&written), Some(tags));
            }
        }

        #[test]
        fn rubbish_is_none_of_ours(tags in prop::collection::vec(".{0,20}", 0..5)) {
            prop_assert_eq!(Tags::read(&tags), None);
        }
    }
}
