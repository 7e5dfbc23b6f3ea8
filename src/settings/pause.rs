//! How the application is brought to rest, and when.

use std::path::PathBuf;
use std::time::Duration;

use super::names::*;
use super::reader::Reader;
use super::scaled::{self, Object};
use super::{span, words};

/// Longer than the grace that Kubernetes gives a pod usually, several times.
const WAIT: Duration = Duration::from_secs(300);

/// Where the kubelet puts a service account.
const ACCOUNT_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What is paused, and for which commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pause {
    /// What is scaled to zero, in this order.
    pub scaled: Vec<Object>,
    /// How long its pods may take to go.
    pub scaled_wait: Duration,
    /// Where the API is that scales.
    pub cluster: Cluster,
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

/// The cluster that this pod is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The API's address or name; none outside of a cluster.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// Who we are there: a directory with `token`, `ca.crt` and `namespace`.
    pub account_dir: PathBuf,
}

fn cluster(reader: &mut Reader<'_>) -> Cluster {
    let port = |text: &str| text.parse().ok().filter(|port| *port > 0).ok_or_else(|| "must be a port".to_owned());
    Cluster {
        host: reader.value(KUBERNETES_SERVICE_HOST),
        port: reader.parsed(KUBERNETES_SERVICE_PORT, port).unwrap_or(443),
        account_dir: reader.value(BKP_SERVICE_ACCOUNT_DIR).unwrap_or_else(|| ACCOUNT_DIR.to_owned()).into(),
    }
}

pub(super) fn resolve(reader: &mut Reader<'_>) -> Pause {
    let file = reader.value(BKP_MAINTENANCE_FILE).map(PathBuf::from);
    let content = reader.value(BKP_MAINTENANCE_CONTENT);
    if file.as_ref().is_some_and(|file| !file.is_absolute()) {
        reader.fault(BKP_MAINTENANCE_FILE, "must be an absolute path");
    }
    let is_set = [BKP_PAUSE_COMMAND, BKP_RESUME_COMMAND].map(|name| reader.value(name).is_some());
    let pause_command = reader.parsed(BKP_PAUSE_COMMAND, command);
    let resume_command = reader.parsed(BKP_RESUME_COMMAND, command);
    match is_set {
        [true, false] => {
            reader.fault(BKP_RESUME_COMMAND, format!("not set, but {BKP_PAUSE_COMMAND} is: nothing would go on again"));
        }
        [false, true] => {
            reader.fault(BKP_PAUSE_COMMAND, format!("not set, but {BKP_RESUME_COMMAND} is: nothing would rest"));
        }
        _ => {}
    }
    let (on_backup, on_restore) = reader.parsed(BKP_QUIESCE_ON, when).unwrap_or((false, true));
    let scaled = reader.parsed(BKP_QUIESCE, scaled::parse).unwrap_or_default();
    Pause {
        // What stands there is none of our business otherwise.
        cluster: if scaled.is_empty() { Cluster::default() } else { cluster(reader) },
        scaled,
        scaled_wait: reader.parsed(BKP_QUIESCE_WAIT, span::duration).unwrap_or(WAIT),
        maintenance: file.map(|file| (file, content.unwrap_or_default())),
        pause_command,
        resume_command,
        on_backup,
        on_restore,
    }
}

/// A line that has words; it may hold a secret, and so it is not in the reason.
fn command(text: &str) -> Result<String, String> {
    match words::split(text) {
        Ok(words) if words.is_empty() => Err("must be a command; it is blank".into()),
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("must be a command as a shell would split it: {error}")),
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
