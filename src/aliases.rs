//! The old names: called by one of them, bkp behaves as that program did, less its defects.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The arguments that the old names mean. Nothing for a name that is not old.
///
/// `init.bb`, `backup.sh` and the like stand on PATH or in `/`; only the file's name counts. `restore.*` took up to three
/// snapshots, of roles, database and files, each `latest` when it was not given; what a snapshot holds is told by itself.
pub fn arguments(program: &OsStr, given: &[OsString]) -> Option<Vec<OsString>> {
    let name = Path::new(program).file_name()?.to_str()?;
    let command: &[&str] = match name {
        // An image of before must be able to go on with what was made.
        "init.bb" | "init.sh" => &["init", "--split"],
        "backup.bb" | "backup.sh" | "entrypoint.sh" => &["backup"],
        "restore.bb" | "restore.sh" => &["restore", "--yes"],
        "list-snapshots.bb" | "list-snapshots.sh" | "restic-snapshots.sh" => &["list"],
        "change-password.bb" | "change-password.sh" => &["change-password"],
        "wait.bb" | "entrypoint-start-and-wait.sh" => &["wait"],
        _ => return None,
    };
    let mut arguments: Vec<OsString> = vec!["bkp".into()];
    arguments.extend(command.iter().map(OsString::from));
    match command[0] {
        "restore" => arguments.extend(snapshots(given)),
        _ => arguments.extend(given.iter().cloned()),
    }
    Some(arguments)
}

/// Ids in their old places; options, and whatever else says which backup is meant, pass as they are.
fn snapshots(given: &[OsString]) -> Vec<OsString> {
    let is_id = |text: &&str| text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut arguments = Vec::new();
    for argument in given {
        match argument.to_str() {
            Some("latest") => {}
            Some(text) if is_id(&text) => arguments.extend(["--snapshot".into(), argument.clone()]),
            _ => arguments.push(argument.clone()),
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(name: &str, given: &[&str]) -> Option<String> {
        let given: Vec<OsString> = given.iter().map(OsString::from).collect();
        arguments(OsStr::new(name), &given).map(|all| all[1..].join(OsStr::new(" ")).into_string().unwrap())
    }

    #[test]
    fn old_names_mean_commands_wherever_they_stand() {
        assert_eq!(means("/backup.sh", &[]).as_deref(), Some("backup"));
        assert_eq!(means("/usr/local/bin/restore.bb", &[]).as_deref(), Some("restore --yes"));
        assert_eq!(means("/entrypoint-start-and-wait.sh", &[]).as_deref(), Some("wait"));
        assert_eq!(means("change-password.bb", &[]).as_deref(), Some("change-password"));
        assert_eq!(means("/usr/local/bin/bkp", &[]), None);
    }

    #[test]
    fn a_restore_takes_snapshots_in_their_old_places() {
        let restored = means("restore.sh", &["latest", "0a1b2c3d", "latest", "--dry-run"]);
        assert_eq!(restored.as_deref(), Some("restore --yes --snapshot 0a1b2c3d --dry-run"));
        assert_eq!(means("restore.bb", &["2026-11-20"]).as_deref(), Some("restore --yes 2026-11-20"));
    }
}
