//! What of the settings is well formed and still looks wrong: what an editor, `echo` or a spreadsheet leaves in a secret, and who can read it.
//! Nothing here keeps a run from starting, since a password may end in a blank; `bkp doctor` tells it.

use std::path::{Path, PathBuf};

use super::Environment;
use super::names::*;

/// One of them. Holds no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The variable.
    pub name: String,
    /// What is odd.
    pub what: String,
    /// What to do.
    pub mend: String,
    /// Whether it cannot be meant.
    pub is_fault: bool,
}

/// What nobody else is to read.
const SECRETS: [&str; 11] = [
    POSTGRES_PASSWORD,
    PGPASSWORD,
    RESTIC_REPOSITORY,
    RESTIC_PASSWORD,
    AWS_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN,
    AZURE_STORAGE_KEY,
    AZURE_STORAGE_SAS_TOKEN,
    BKP_PUSHGATEWAY_URL,
    BKP_HEARTBEAT_URL,
    BKP_DRILL_HEARTBEAT_URL,
];

/// Whose values are paths of such files, without a `_FILE` of ours.
const SECRET_PATHS: [&str; 3] = [RESTIC_PASSWORD_FILE, RESTIC_NEW_PASSWORD_FILE, GOOGLE_APPLICATION_CREDENTIALS];

/// Texts in which blanks and line ends are as good as anything, or are dropped when they are read.
const FREE: [&str; 7] = [
    BKP_MAINTENANCE_CONTENT,
    BKP_DRILL_SQL,
    BKP_FILES,
    BKP_FILES_INCLUDE,
    BKP_FILES_EXCLUDE,
    BKP_FILES_KEEP,
    BKP_FILES_RESTORE,
];

/// The mark that some editors begin a text with.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Looks at all that is set.
pub fn doubts(environment: &dyn Environment) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let given = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    for variable in VARIABLES.iter().filter(|variable| !FREE.contains(&variable.name)) {
        if let Some(value) = given(variable.name).and_then(|value| value.into_string().ok()) {
            doubts.extend(in_value(variable.name, value.as_bytes()));
        }
        let twin = format!("{}_FILE", variable.name);
        let path = given(&twin).map(PathBuf::from).filter(|_| variable.has_file);
        if let Some((path, bytes)) = path.and_then(|path| environment.read(&path).ok().map(|bytes| (path, bytes))) {
            doubts.extend(in_file(&twin, &path, &bytes));
            if SECRETS.contains(&variable.name) {
                doubts.extend(readers(environment, &twin, &path));
            }
        }
    }
    for name in SECRET_PATHS {
        let Some(path) = given(name).map(PathBuf::from) else { continue };
        // restic takes the mark and blanks at both ends off by itself.
        doubts.extend(readers(environment, name, &path));
    }
    doubts
}

/// A value that came by itself is taken as it is.
fn in_value(name: &str, value: &[u8]) -> Option<Doubt> {
    let odd = oddity(value)?;
    Some(Doubt {
        name: name.to_owned(),
        what: format!("{odd}, which is part of the value"),
        mend: format!(
            "write it without; in a Secret of Kubernetes, made by `printf %s`, not by `echo`, if {name} is of one"
        ),
        is_fault: value.starts_with(BOM),
    })
}

/// Of a file, one line end is taken off.
fn in_file(name: &str, path: &Path, bytes: &[u8]) -> Option<Doubt> {
    let shown = path.display();
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let (line, windows) =
        line.strip_suffix(b"\r").filter(|_| line.len() < bytes.len()).map_or((line, false), |line| (line, true));
    if let Some(odd) = oddity(line) {
        return Some(Doubt {
            name: name.to_owned(),
            what: format!("{shown} {odd}, which is part of the value"),
            mend: format!("printf %s 'the value' > {shown}"),
            is_fault: line.starts_with(BOM),
        });
    }
    windows.then(|| Doubt {
        name: name.to_owned(),
        what: format!("{shown} ends its line as Windows does (CRLF); bkp takes that off, other programs may not"),
        mend: format!("sed -i 's/\\r$//' {shown}"),
        is_fault: false,
    })
}

fn oddity(value: &[u8]) -> Option<&'static str> {
    let blank = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
    match value {
        _ if value.starts_with(BOM) => Some("begins with a byte order mark"),
        _ if matches!(value.last(), Some(b'\n' | b'\r')) => Some("ends with a line end"),
        _ if blank(value.last()) => Some("ends with a blank"),
        _ if blank(value.first()) => Some("begins with a blank"),
        _ => None,
    }
}

/// Others who can read it. In a pod nobody else is there: what the kubelet mounts lies beside a link `..data`.
fn readers(environment: &dyn Environment, name: &str, path: &Path) -> Option<Doubt> {
    let mode = environment.stat(path)?.mode;
    let is_mounted = path.parent().is_some_and(|parent| environment.stat(&parent.join("..data")).is_some());
    (mode & 0o007 != 0 && !is_mounted).then(|| Doubt {
        name: name.to_owned(),
        what: format!("every account of this machine can read {}", path.display()),
        mend: format!("chmod o= {}", path.display()),
        is_fault: false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::environment::Made;
    use super::*;

    fn told(environment: &Made) -> Vec<(String, bool)> {
        doubts(environment)
            .into_iter()
            .map(|doubt| (format!("{} {}", doubt.name, doubt.what), doubt.is_fault))
            .collect()
    }

    #[test]
    fn what_editors_leave_in_a_secret_is_told_and_never_the_secret() {
        for (bytes, says, is_fault) in [
            (&b"hunter2\r\n"[..], "CRLF", false),
            (b"hunter2 \n", "ends with a blank", false),
            (b"hunter2\n\n", "ends with a line end", false),
            (b"\xEF\xBB\xBFhunter2\n", "byte order mark", true),
            (b" hunter2", "begins with a blank", false),
        ] {
            let made = Made::of(&[("POSTGRES_PASSWORD_FILE", "/s")]).file("/s", bytes);
            let told = told(&made);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].0.contains(says) && told[0].1 == is_fault && !told[0].0.contains("hunter2"), "{told:?}");
        }
        let made = Made::of(&[("POSTGRES_PASSWORD_FILE", "/s"), ("POSTGRES_USER", "me")]).file("/s", "a b\n");
        assert_eq!(told(&made), []);
    }

    #[test]
    fn a_value_of_the_environment_is_looked_at_as_well() {
        let told = told(&Made::of(&[("POSTGRES_PASSWORD", "x\n"), ("BKP_MAINTENANCE_CONTENT", "x\n")]));
        assert_eq!(told.len(), 1);
        assert!(told[0].0.starts_with("POSTGRES_PASSWORD ends with a line end"), "{told:?}");
    }

    #[test]
    fn a_secret_that_everybody_can_read_is_told_but_not_in_a_pod() {
        let mut made = Made::of(&[("RESTIC_PASSWORD_FILE", "/s/x")]).file("/s/x", "x");
        assert_eq!(told(&made), []);
        made.files.insert("/s/x".into(), (b"x".to_vec(), 0o644));
        assert!(told(&made)[0].0.contains("can read /s/x"));
        made.files.insert("/s/..data".into(), (Vec::new(), 0o755));
        assert_eq!(told(&made), []);
    }
}
