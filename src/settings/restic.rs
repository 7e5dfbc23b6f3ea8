//! A restic repository: where it is, how it opens, and the variables that restic and its backends read themselves.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::bucket;
use super::names::*;
use super::reader::Reader;
use super::secret::Secret;

/// A repository, or the base of several, and how to drive restic.
#[derive(Clone, PartialEq, Eq)]
pub struct Restic {
    /// The address as restic takes it; it may hold an account and its password.
    pub repository: Secret,
    /// What opens it.
    pub password: Password,
    /// The file of the password that is to come; it need not exist.
    pub new_password: Option<PathBuf>,
    /// Under which host new snapshots are saved: stable, whatever the pod is called.
    pub host: String,
    /// One repository for everything, or one for each kind of item.
    pub layout: Layout,
    /// The program; none: looked for.
    pub program: Option<PathBuf>,
    /// Certificate authorities that the repository is trusted by, besides the usual ones, PEM.
    pub certificate_file: Option<PathBuf>,
    /// What the restic program is given of our environment.
    pub environment: Vec<(String, OsString)>,
}

/// Values of variables are no one's business.
impl fmt::Debug for Restic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restic").field("host", &self.host).field("layout", &self.layout).finish_non_exhaustive()
    }
}

/// What opens a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// A file that restic reads itself.
    File(PathBuf),
    /// The password.
    Secret(Secret),
    /// A command line of restic's own that prints it.
    Command(String),
}

/// How items lie in repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// What is there decides; what is made anew is one repository.
    Auto,
    /// One repository for everything.
    One,
    /// `files`, `pg-database` and `pg-role` under one base, as older backup scripts have them.
    Split,
}

/// Names that begin like this are read by restic or by one of its backends.
const PASSED_ON: [&str; 11] =
    ["RESTIC_", "AWS_", "AZURE_", "B2_", "GOOGLE_", "OS_", "ST_", "SWIFT_", "RCLONE_", "XDG_", "KRB5"];

/// And these, by their whole names.
const PASSED_ON_WHOLE: [&str; 15] = [
    "HOME",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "GOMAXPROCS",
];

/// Ours to say, by flags or by names of their own.
const NOT_PASSED_ON: [&str; 8] = [
    RESTIC_REPOSITORY,
    "RESTIC_REPOSITORY_FILE",
    RESTIC_PASSWORD,
    RESTIC_PASSWORD_FILE,
    RESTIC_PASSWORD_COMMAND,
    RESTIC_NEW_PASSWORD_FILE,
    RESTIC_DAYS_TO_KEEP,
    RESTIC_MONTHS_TO_KEEP,
];

/// Variables that our own files may say, which restic knows only as values.
const FROM_FILES: [&str; 5] =
    [AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_DEFAULT_REGION];

pub(super) fn resolve(reader: &mut Reader<'_>, app: &str) -> Option<Restic> {
    let repository = reader.secret(RESTIC_REPOSITORY);
    let layout =
        reader.choice(BKP_RESTIC_LAYOUT, &[("auto", Layout::Auto), ("one", Layout::One), ("split", Layout::Split)]);
    let program = reader.value(BKP_RESTIC_BIN).map(PathBuf::from);
    let repository = repository?;
    let password = password(reader)?;
    Some(Restic {
        repository,
        password,
        new_password: reader.value(RESTIC_NEW_PASSWORD_FILE).map(PathBuf::from),
        host: reader.value(RESTIC_HOST).unwrap_or_else(|| app.to_owned()),
        layout,
        program,
        certificate_file: bucket::path(reader, CERTIFICATE_FILE),
        environment: environment(reader),
    })
}

fn password(reader: &mut Reader<'_>) -> Option<Password> {
    let file = reader.value(RESTIC_PASSWORD_FILE).map(PathBuf::from);
    let secret = reader.secret(RESTIC_PASSWORD);
    let command = reader.value(RESTIC_PASSWORD_COMMAND);
    match (file, secret, command) {
        (Some(path), None, None) => match reader.environment.read(&path) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => {
                reader.fault(RESTIC_PASSWORD_FILE, format!("{} is empty", path.display()));
                None
            }
            Ok(_) => Some(Password::File(path)),
            Err(error) => {
                reader.fault(RESTIC_PASSWORD_FILE, format!("cannot read {}: {error}", path.display()));
                None
            }
        },
        (None, Some(secret), None) => Some(Password::Secret(secret)),
        (None, None, Some(command)) => Some(Password::Command(command)),
        (None, None, None) => {
            reader.fault(RESTIC_PASSWORD_FILE, format!("not set, but {RESTIC_REPOSITORY} is"));
            None
        }
        _ => {
            let names = [RESTIC_PASSWORD_FILE, RESTIC_PASSWORD, RESTIC_PASSWORD_COMMAND].join(", ");
            reader.fault(RESTIC_PASSWORD, format!("more than one of {names} is set; only one may be"));
            None
        }
    }
}

fn environment(reader: &mut Reader<'_>) -> Vec<(String, OsString)> {
    let mut given = Vec::new();
    for name in reader.environment.names() {
        let Some(name) = name.to_str() else { continue };
        let known = PASSED_ON.iter().any(|start| name.starts_with(start)) || PASSED_ON_WHOLE.contains(&name);
        let from_file = name.strip_suffix("_FILE").is_some_and(|stem| FROM_FILES.contains(&stem));
        if known
            && !from_file
            && !NOT_PASSED_ON.contains(&name)
            && let Some(value) = reader.environment.get(name)
        {
            given.push((name.to_owned(), value));
        }
    }
    for name in FROM_FILES {
        if !given.iter().any(|(given, _)| given == name)
            && let Some(value) = reader.value(name)
        {
            given.push((name.to_owned(), value.into()));
        }
    }
    given
}
