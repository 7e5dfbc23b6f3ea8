//! restic: the program, the repositories, the password, the right to write and to remove, and who holds a lock.

use rustix::fs::Access;

use super::finding::{Area, Finding};
use super::{clock, room};
use crate::commands::repositories::Base;
use crate::commands::{Context, now};
use crate::error::exit_of;
use crate::exit::Exit;
use crate::repository::restic::Repository;
use crate::sources::Item;

/// Opens what is there, and takes a lock as a backup would.
pub async fn look(context: &Context, findings: &mut Vec<Finding>) {
    let opened = async {
        match Base::of(context).await? {
            Some(base) => base.open_listed().await.map(Some),
            None => Ok(None),
        }
    };
    let places = match opened.await {
        Ok(Some(places)) => places,
        Ok(None) => return,
        Err(error) => return findings.push(Finding::of(Area::Restic, &error)),
    };
    let listed = places.take_lists();
    let times = listed.values().flatten().map(|one| (one.short_id.as_str(), one.time));
    findings.extend(clock::of_newest(Area::Restic, times, now()).map(|mut found| {
        found.what = format!("snapshot {}", found.what);
        found
    }));
    for (_, repository) in places.each() {
        findings
            .push(Finding::ok(Area::Restic, format!("{} is there and the password opens it", repository.address())));
        locked(repository, findings).await;
        findings.extend(removal(repository, !context.settings.retention.keeps_everything()).await);
    }
    let settings = &context.settings;
    let mut wanted: Vec<Item> =
        settings.files.iter().flat_map(|files| &files.roots).cloned().map(Item::Files).collect();
    if settings.postgres.is_some() {
        wanted.push(Item::Dump);
    }
    for item in wanted.iter().filter(|item| places.for_item(item).is_none()) {
        findings.push(Finding::fault(Area::Restic, format!("there is no repository for {item}"), "bkp init"));
    }
}

async fn locked(repository: &Repository, findings: &mut Vec<Finding>) {
    let before = findings.len();
    if repository.may_be_locked() {
        match repository.locks_and_dead().await {
            Ok(locks) => findings.extend(locks.into_iter().map(|(lock, is_dead)| match is_dead {
                true => Finding::warning(
                    Area::Restic,
                    format!("one who is dead has left a lock: {lock}; the next backup removes it"),
                    format!("restic -r {} unlock", repository.address()),
                ),
                false => Finding::warning(
                    Area::Restic,
                    format!("the repository is locked by {lock}"),
                    "wait for it to end, or set BKP_LOCK_WAIT (for example 10m)",
                ),
            })),
            Err(error) => findings.push(Finding::of(Area::Restic, &error)),
        }
    }
    if let Some(directory) = repository.address().directory() {
        findings.push(room::of_repository(directory).unwrap_or_else(|error| Finding::of(Area::Room, &error)));
        // restic would try for a quarter of an hour.
        if let Err(error) = rustix::fs::access(directory.join("locks"), Access::WRITE_OK | Access::EXEC_OK) {
            let user = rustix::process::geteuid().as_raw();
            return findings.push(Finding::fault(
                Area::Restic,
                format!("user {user} cannot write to {}: {error}", directory.display()),
                "mount it writable (readOnly: false), or run as its owner (securityContext.runAsUser, fsGroup)",
            ));
        }
    }
    match repository.try_lock().await {
        Ok(()) => findings.push(Finding::ok(Area::Restic, "a lock could be taken there, and was given back")),
        // Told above, with its holder.
        Err(error) if exit_of(&error) == Exit::Locked && findings.len() > before => {}
        Err(error) => findings.push(Finding::of(Area::Restic, &error)),
    }
}

/// What it means that a server only appends, where it can be asked. `forgets`: whether a retention is set.
async fn removal(repository: &Repository, forgets: bool) -> Option<Finding> {
    let address = repository.address();
    if !repository.only_appends().await? {
        return Some(Finding::ok(Area::Restic, format!("{address} lets old backups be removed")));
    }
    let only =
        format!("{address} only appends: who takes this account over can remove no backup, and bkp cannot either");
    Some(match forgets {
        true => Finding::fault(
            Area::Restic,
            format!("{only}: every backup ends with exit code 4, because retention removes"),
            "set no BKP_KEEP_* here, and run bkp forget at an address of the repository that lets it",
        ),
        false => Finding::warning(
            Area::Restic,
            format!("{only}: retention, which is not asked for, and a change of the password cannot work here"),
            "run bkp forget and bkp change-password at an address of the repository that lets them",
        ),
    })
}
