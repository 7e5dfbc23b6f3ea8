//! The old names: called by one of them, bkp behaves as that program did, less its defects.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The arguments that the old names mean. Nothing for a name that is not old.
///
/// `init.bb`, `backup.sh` and the like stand on PATH or in `/`; only the file's name counts.
pub fn arguments(program: &OsStr, given: &[OsString]) -> Option<Vec<OsString>> {
    let name = Path::new(program).file_name()?.to_str()?;
    let command: &[&str] = match name {
        "init.bb" | "init.sh" => &["init"],
        "backup.bb" | "backup.sh" | "entrypoint.sh" => &["backup"],
        "restore.bb" | "restore.sh" => &["restore", "--yes"],
        "list-snapshots.bb" | "list-snapshots.sh" | "restic-snapshots.sh" => &["list"],
        "wait.bb" | "entrypoint-start-and-wait.sh" => &["wait"],
        _ => return None,
    };
    let mut arguments: Vec<OsString> = vec!["bkp".into()];
    arguments.extend(command.iter().map(OsString::from));
    arguments.extend(given.iter().cloned());
    Some(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_mean_commands_wherever_they_stand() {
        let means = |name: &str| {
            arguments(OsStr::new(name), &[])
                .map(|arguments| arguments[1..].join(OsStr::new(" ")).into_string().unwrap())
        };
        assert_eq!(means("/backup.sh").as_deref(), Some("backup"));
        assert_eq!(means("/usr/local/bin/restore.bb").as_deref(), Some("restore --yes"));
        assert_eq!(means("/entrypoint-start-and-wait.sh").as_deref(), Some("wait"));
        assert_eq!(means("/usr/local/bin/bkp"), None);
    }
}
