//! Whatever the environment holds: all faults are told by name and reason, no value is in them, and no secret in anything that is printed.

use bkp::settings::environment::{Environment, Made};
use bkp::settings::names::VARIABLES;
use bkp::settings::{BucketAddress, Overrides, Settings, inspect, notify_at_least, resolve};

/// Put into what must not be shown. No name, path or number of a valid setting has it.
const SECRET: &str = "Zq7-S3cr3t_%";
/// Put into other values, which no fault repeats.
const VALUE: &str = "Vq7-V4lue_%";

/// What no message and no `Debug` may show.
const SECRETS: [&str; 11] = [
    "POSTGRES_PASSWORD",
    "PGPASSWORD",
    "RESTIC_PASSWORD",
    "RESTIC_REPOSITORY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "BKP_PUSHGATEWAY_URL",
    "BKP_HEARTBEAT_URL",
    "BKP_DRILL_HEARTBEAT_URL",
];

/// Where a file is found, with the text of the line that is the file's.
const FILE: &str = "/file";

/// Lines: which variable, how it is given, where in its value the mark is put, and the value.
pub fn holds(input: &[u8]) {
    let mut made = Made::of(&[]);
    for line in input.split(|byte| *byte == b'\n') {
        if let [which, how, at, value @ ..] = line {
            give(&mut made, usize::from(*which), *how, usize::from(*at), &String::from_utf8_lossy(value));
        }
    }
    let overrides = Overrides::default();
    let (seen, faults) = inspect(&made, &overrides);
    let told = [faults.to_string(), format!("{faults:?}"), seen.warnings.join("\n")].concat();
    for mark in [SECRET, VALUE] {
        assert!(!told.contains(mark), "a fault shows a value: {told}");
    }
    let (notify, app) = notify_at_least(&made);
    let debug = format!("{seen:?} {notify:?}");
    assert!(!debug.contains(SECRET), "a secret is shown: {debug}");
    assert!(app.is_none_or(|app| is_app(&app)), "an application's name that is none");
    match resolve(&made, &overrides) {
        Ok(settings) => {
            assert!(faults.0.is_empty() && settings == seen, "two readings differ");
            sound(&settings);
        }
        Err(again) => assert!(again == faults && !faults.0.is_empty(), "two readings differ"),
    }
}

/// What every command relies on.
fn sound(settings: &Settings) {
    assert!(is_app(&settings.app), "an application's name that is none: {:?}", settings.app);
    assert!((1..=12).contains(&settings.gzip_level) && (1..=64).contains(&settings.jobs));
    assert!(settings.bucket.is_some() || settings.restic.is_some(), "nowhere to save to");
    assert!(settings.postgres.is_some() || settings.files.is_some(), "nothing to save");
    assert!(settings.files.is_none() || settings.restic.is_some(), "files without restic");
    if let Some(bucket) = &settings.bucket {
        let text = bucket.address.to_string();
        assert_eq!(text.parse::<BucketAddress>().as_ref(), Ok(&bucket.address), "{text}");
    }
    for root in settings.files.iter().flat_map(|files| &files.roots) {
        assert!(root.is_absolute() && root.components().count() > 1, "{}", root.display());
    }
    for object in &settings.pause.scaled {
        assert!(!object.name.contains(['/', '%', '?', '#']) && !object.name.contains(".."), "{object}");
    }
}

fn is_app(app: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=63).contains(&app.len()) && !app.starts_with(['.', '_', '-']) && app.bytes().all(plain)
}

fn give(made: &mut Made, which: usize, how: u8, at: usize, text: &str) {
    let variable = &VARIABLES[which % VARIABLES.len()];
    let secret = SECRETS.contains(&variable.name);
    // Paths are told: without them nobody could mend a mount. No zero byte can be in an environment.
    let is_path = ["_FILE", "_DIR", "_BIN", "_CREDENTIALS", "ROOTCERT", "SSLCERT", "SSLKEY", "PASSFILE"]
        .iter()
        .any(|end| variable.name.ends_with(end));
    let mut value = text.replace('\0', "");
    let mark = if secret { SECRET } else { VALUE };
    // Of most values half are given as they are, so that there are valid ones.
    if !value.is_empty() && !is_path && (secret || how & 1 == 1) {
        value.insert_str(value.floor_char_boundary(at % (value.len() + 1)), mark);
    }
    match how >> 1 & 3 {
        1 if variable.has_file => {
            let path = format!("{FILE}-{which}");
            made.variables.insert(format!("{}_FILE", variable.name), path.clone().into());
            made.files.insert(path.into(), (value.into_bytes(), 0o600));
        }
        2 if is_path => {
            // The file is there, and what it holds is nobody's business.
            let path = format!("{FILE}-{which}");
            made.variables.insert(variable.name.to_owned(), path.clone().into());
            made.files.insert(path.into(), (format!("{value}{SECRET}").into_bytes(), 0o600));
        }
        _ => {
            made.variables.insert(variable.name.to_owned(), value.into());
        }
    }
    debug_assert!(!made.names().is_empty());
}
