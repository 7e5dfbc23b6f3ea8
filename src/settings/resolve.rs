//! From names to settings: reads everything, then tells every fault at once.

use std::path::PathBuf;
use std::time::Duration;

use super::names::*;
use super::postgres::Databases;
use super::reader::{Overrides, Reader};
use super::{Environment, Faults, KeepReplaced, Log, Restore, Roles, Settings, Standby};
use super::{bucket, postgres, retention, span, unknown};

const APP_LIMIT_BYTES: usize = 63;

/// Reads all settings. `overrides` are the values of flags.
///
/// # Errors
/// Every fault there is, by name and reason.
pub fn resolve(environment: &dyn Environment, overrides: &Overrides) -> Result<Settings, Faults> {
    let mut reader = Reader::new(environment, overrides);
    let postgres = postgres::resolve(&mut reader);
    let bucket = bucket::resolve(&mut reader);
    let retention = retention::resolve(&mut reader);
    let app = app(&mut reader, postgres.as_ref().map(|postgres| &postgres.databases));
    let restore = Restore {
        roles: choice(
            &mut reader,
            BKP_RESTORE_ROLES,
            &[("missing", Roles::Missing), ("all", Roles::All), ("none", Roles::None)],
        ),
        keep_replaced: choice(
            &mut reader,
            BKP_KEEP_REPLACED,
            &[
                ("until-backup", KeepReplaced::UntilBackup),
                ("always", KeepReplaced::Always),
                ("never", KeepReplaced::Never),
            ],
        ),
    };
    let lock_wait = reader.parsed(BKP_LOCK_WAIT, span::duration).unwrap_or(Duration::ZERO);
    let standby = choice(
        &mut reader,
        BKP_STANDBY,
        &[("pause", Standby::Pause), ("feedback", Standby::Feedback), ("none", Standby::None)],
    );
    let log = log(&mut reader);
    let client_dirs = reader.parsed(BKP_PG_BIN, directories).unwrap_or_default();
    for name in unknown::among(&environment.names()) {
        reader.warn(name);
    }
    let warnings = std::mem::take(&mut reader.warnings);
    let settings = postgres.map(|postgres| Settings {
        app,
        postgres,
        bucket,
        retention,
        restore,
        lock_wait,
        standby,
        log,
        client_dirs,
        warnings,
    });
    reader.finish(settings)
}

/// How lines are written, whatever else is wrong: the faults themselves are told in this form.
pub fn log_form(environment: &dyn Environment) -> Log {
    log(&mut Reader::new(environment, &Overrides::default()))
}

fn log(reader: &mut Reader<'_>) -> Log {
    choice(reader, BKP_LOG, &[("text", Log::Text), ("json", Log::Json)])
}

/// One of a few words; the first is the default.
fn choice<T: Copy>(reader: &mut Reader<'_>, name: &'static str, choices: &[(&str, T)]) -> T {
    let chosen = reader.parsed(name, |text| {
        choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            format!("must be one of {}", words.join(", "))
        })
    });
    chosen.unwrap_or(choices[0].1)
}

fn app(reader: &mut Reader<'_>, databases: Option<&Databases>) -> String {
    if let Some(app) = reader.value(BKP_APP) {
        if !is_app_name(&app) {
            reader.fault(
                BKP_APP,
                "must be letters, digits, ., _ and -, begin with a letter or digit, and have at most 63 of them",
            );
        }
        return app;
    }
    match databases {
        Some(Databases::Named(names)) if names.len() == 1 => {
            if !is_app_name(&names[0]) {
                reader.fault(
                    BKP_APP,
                    "not set, and the database's name has characters that an application's name must not have",
                );
            }
            names[0].clone()
        }
        _ => "default".into(),
    }
}

/// Safe in a path, an object's name, a lock's key and a label.
fn is_app_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.len() <= APP_LIMIT_BYTES
        && text.bytes().all(plain)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

fn directories(text: &str) -> Result<Vec<PathBuf>, String> {
    let directories: Vec<_> = text.split(':').filter(|part| !part.is_empty()).map(PathBuf::from).collect();
    match directories.iter().all(|directory| directory.is_absolute()) {
        true => Ok(directories),
        false => Err("must be absolute directories with colons between them".into()),
    }
}
