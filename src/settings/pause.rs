//! How the application is brought to rest, and when.

use std::path::PathBuf;

use super::names::*;
use super::reader::Reader;

/// What is paused, and for which commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pause {
    /// A file that stands while the application rests, and what it holds.
    pub maintenance: Option<(PathBuf, String)>,
    /// What is run to pause the application: words, as a shell would split them.
    pub pause_command: Option<String>,
    /// What is run to let it go on.
    pub resume_command: Option<String>,
    /// Whether a backup pauses it.
    pub on_backup: bool,
    /// Whether a restore does.
    pub on_restore: bool,
}

pub(super) fn resolve(reader: &mut Reader<'_>) -> Pause {
    let file = reader.value(BKP_MAINTENANCE_FILE).map(PathBuf::from);
    let content = reader.value(BKP_MAINTENANCE_CONTENT);
    if file.as_ref().is_some_and(|file| !file.is_absolute()) {
        reader.fault(BKP_MAINTENANCE_FILE, "must be an absolute path");
    }
    let pause_command = reader.value(BKP_PAUSE_COMMAND);
    let resume_command = reader.value(BKP_RESUME_COMMAND);
    if pause_command.is_some() && resume_command.is_none() {
        reader.fault(BKP_RESUME_COMMAND, format!("not set, but {BKP_PAUSE_COMMAND} is: nothing would go on again"));
    }
    let (on_backup, on_restore) = reader.parsed(BKP_QUIESCE_ON, when).unwrap_or((false, true));
    Pause {
        maintenance: file.map(|file| (file, content.unwrap_or_default())),
        pause_command,
        resume_command,
        on_backup,
        on_restore,
    }
}

fn when(text: &str) -> Result<(bool, bool), String> {
    let (mut backup, mut restore) = (false, false);
    for word in text.split(',').map(str::trim) {
        match word {
            "backup" => backup = true,
            "restore" => restore = true,
            "none" => {}
            _ => return Err("must be backup, restore, both with a comma between them, or none".into()),
        }
    }
    Ok((backup, restore))
}
