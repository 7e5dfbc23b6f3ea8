//! Which of all backups are shown. Pure.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use jiff::Timestamp;

use super::Request;
use crate::commands::catalog::{Dump, Saved};
use crate::commands::when::bound;
use crate::error::Failure;
use crate::exit::Exit;
use crate::sources::Item;

/// What a backup has to be to be shown; everything is, where nothing is said.
#[derive(Debug, Default)]
pub struct Filter {
    since: Option<Timestamp>,
    before: Option<Timestamp>,
    item: Option<String>,
    said: Vec<String>,
    host: bool,
}

impl Filter {
    /// What the operator said, at `now`.
    ///
    /// # Errors
    /// Exit code 2 for what is no time, and for bounds with nothing between them.
    pub fn of(request: &Request, now: Timestamp) -> Result<Filter> {
        let time = |option: &str, text: &Option<String>| {
            text.as_ref().map(|text| bound(option, text, now)).transpose().map_err(anyhow::Error::from)
        };
        let (since, before) = (time("--since", &request.since)?, time("--before", &request.before)?);
        if let (Some(since), Some(before)) = (since, before)
            && since >= before
        {
            bail!(
                Failure::new(format!("--since {} is not earlier than --before {}", utc(since), utc(before)))
                    .hint("--since is the older end, --before the newer one")
                    .exit(Exit::Usage)
            );
        }
        let options = [("--since", &request.since), ("--before", &request.before), ("--item", &request.item)];
        let said = options.iter().filter_map(|(name, text)| Some(format!("{name} {}", text.as_ref()?))).collect();
        Ok(Filter { since, before, item: request.item.clone(), said, host: request.host.is_some() })
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.said.is_empty() && !self.host
    }

    /// Whether it is shown. `--since` is the first moment that counts, `--before` the first that does not.
    pub fn takes(&self, one: &Saved) -> bool {
        self.since.is_none_or(|since| one.time >= since)
            && self.before.is_none_or(|before| one.time < before)
            && self.item.as_ref().is_none_or(|item| items(one).iter().any(|its| is_called(its, item)))
    }

    /// Refuses when none of `saved`, newest first, is shown.
    ///
    /// # Errors
    /// Naming what there is.
    pub fn refuse_nothing(&self, saved: &[Saved]) -> Result<()> {
        let (Some(newest), Some(oldest)) = (saved.first(), saved.last()) else { return Ok(()) };
        if saved.iter().any(|one| self.takes(one)) {
            return Ok(());
        }
        let named: BTreeSet<String> = saved.iter().flat_map(items).map(|item| item.to_string()).collect();
        let named: Vec<String> = named.into_iter().collect();
        let there = match saved.len() {
            1 => format!("there is one, of {}", utc(newest.time)),
            many => format!("there are {many}, from {} to {}", utc(oldest.time), utc(newest.time)),
        };
        bail!(
            Failure::new(format!("no backup fits {}; {there}, with: {}", self.said.join(" "), named.join(", ")))
                .hint("see all of them: bkp list")
        )
    }
}

/// What is in it: a dump in a bucket has databases and, where we made it, the roles.
fn items(one: &Saved) -> BTreeSet<Item> {
    let mut items: BTreeSet<Item> = one.snapshots.iter().map(|snapshot| snapshot.item.clone()).collect();
    match one.dump.as_ref().map(Dump::summary) {
        Some(Some(seal)) => {
            items.insert(Item::Roles);
            items.extend(seal.databases.keys().cloned().map(Item::Database));
        }
        Some(None) => _ = items.insert(Item::Dump),
        None => {}
    }
    items
}

/// Whether an item is meant: by its name in a list (`database shop`, `files /media`), as for `restore --only` (`shop`, `database:shop`,
/// `files`, `roles`), by its file's name in restic (`database-shop`), or by a directory.
fn is_called(item: &Item, text: &str) -> bool {
    let text = text.trim();
    let after = |kind: &str| text.strip_prefix(kind).and_then(|rest| rest.strip_prefix([' ', ':', '-']));
    match item {
        Item::Roles => text == "roles",
        Item::Dump => text == "dump",
        Item::Database(name) => {
            let file = after("database").map(|rest| rest.strip_suffix(".sql").unwrap_or(rest));
            text == name || after("database") == Some(name) || file == Some(name)
        }
        Item::Files(root) => {
            let is_root = |path: &str| path.starts_with('/') && root.as_path() == std::path::Path::new(path);
            text == "files" || is_root(text) || after("files").is_some_and(is_root)
        }
    }
}

fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_called_as_a_list_a_restore_or_restic_calls_it() {
        let shop = Item::Database("shop".into());
        for name in ["shop", "database shop", "database:shop", "database-shop", "database-shop.sql"] {
            assert!(is_called(&shop, name), "{name}");
        }
        for name in ["database", "shop2", "databaseshop", "roles", "files", ""] {
            assert!(!is_called(&shop, name), "{name}");
        }
        let media = Item::Files("/srv/media".into());
        for name in ["files", "/srv/media", "/srv/media/", "files /srv/media"] {
            assert!(is_called(&media, name), "{name}");
        }
        assert!(!is_called(&media, "/srv") && !is_called(&media, "media"));
        assert!(is_called(&Item::Database("files".into()), "database:files"));
    }
}
