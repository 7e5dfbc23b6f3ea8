//! From names to settings: reads everything, then tells every fault at once.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::names::*;
use super::postgres::Databases;
use super::reader::{Overrides, Reader};
use super::{
    ClientDirs, Drill, DrillServer, Environment, Faults, KeepReplaced, Log, Notify, Restore, Roles, SafetyBackup,
    SavedRoles, Settings, Standby,
};
use super::{bucket, files, notify, pause, postgres, restic, retention, span, unknown};

/// No migration that belongs there takes longer, and an hour later the night is not over.
const TABLE_WAIT: Duration = Duration::from_secs(3600);

/// What loses more than half overnight has mostly lost it by mistake.
const SHRINK_PERCENT: u8 = 50;

const APP_LIMIT_BYTES: usize = 63;

/// The compressor is the limit of a dump that several sessions read. Of a mixed database level 1 makes 0.8 % less than
/// `gzip -6` at 740 MB/s a core (of text 10 % more, of bytea 6 % less), level 2 makes 6 % less at 190, and gzip has some 40.
const GZIP_LEVEL: u8 = 1;

/// More sessions than this take the application's server away from it, unless somebody says so.
const USUAL_JOBS: usize = 4;

/// Reads all settings. `overrides` are the values of flags.
///
/// # Errors
/// Every fault there is, by name and reason.
pub fn resolve(environment: &dyn Environment, overrides: &Overrides) -> Result<Settings, Faults> {
    let (settings, faults) = inspect(environment, overrides);
    if faults.0.is_empty() { Ok(settings) } else { Err(faults) }
}

/// The same for whoever only looks: in the place of what is faulty stands its default, or nothing. Nobody may act on that.
pub fn inspect(environment: &dyn Environment, overrides: &Overrides) -> (Settings, Faults) {
    let mut reader = Reader::new(environment, overrides);
    let files = files::resolve(&mut reader);
    let postgres = match only_files(&mut reader, files.is_some()) {
        true => None,
        false => postgres::resolve(&mut reader),
    };
    let bucket = bucket::resolve(&mut reader);
    let gzip_level = reader.parsed(BKP_GZIP_LEVEL, |text| whole(text, 1..=12)).unwrap_or(GZIP_LEVEL);
    let jobs = reader.parsed(BKP_JOBS, |text| whole(text, 1..=64)).map_or_else(default_jobs, usize::from);
    let retention = retention::resolve(&mut reader);
    let shrink_limit = reader.parsed(BKP_SHRINK_LIMIT, shrink_limit).unwrap_or(Some(SHRINK_PERCENT));
    let app = app(&mut reader, postgres.as_ref().map(|postgres| &postgres.databases));
    let restic = restic::resolve(&mut reader, &app);
    if files.is_some() && reader.value(RESTIC_REPOSITORY).is_none() {
        reader.fault(RESTIC_REPOSITORY, format!("not set, but {BKP_FILES} is: files are saved by restic"));
    }
    let saved_roles = saved_roles(&mut reader, postgres.as_ref().map(|postgres| &postgres.databases));
    let pause = pause::resolve(&mut reader);
    let state_dir = reader.value(BKP_STATE_DIR).unwrap_or_else(|| bucket::DEFAULT_DIRECTORY.to_owned());
    let restore = Restore {
        roles: reader
            .choice(BKP_RESTORE_ROLES, &[("missing", Roles::Missing), ("all", Roles::All), ("none", Roles::None)]),
        keep_replaced: reader.choice(
            BKP_KEEP_REPLACED,
            &[
                ("until-backup", KeepReplaced::UntilBackup),
                ("always", KeepReplaced::Always),
                ("never", KeepReplaced::Never),
            ],
        ),
        safety_backup: reader.choice(
            BKP_SAFETY_BACKUP,
            &[("in-place", SafetyBackup::InPlace), ("0", SafetyBackup::Never), ("1", SafetyBackup::Always)],
        ),
    };
    let drill = Drill {
        checks: reader.value(BKP_DRILL_SQL),
        evidence: reader.value(BKP_DRILL_EVIDENCE).map(PathBuf::from),
        scratch: reader.value(BKP_DRILL_SCRATCH).map(PathBuf::from),
        server: reader.parsed(BKP_DRILL_SERVER, DrillServer::parse),
    };
    let notify = notify::resolve(&mut reader);
    let lock_wait = reader.parsed(BKP_LOCK_WAIT, span::duration).unwrap_or(Duration::ZERO);
    let table_wait = reader.parsed(BKP_TABLE_WAIT, table_wait).unwrap_or(Some(TABLE_WAIT));
    let standby = reader
        .choice(BKP_STANDBY, &[("pause", Standby::Pause), ("feedback", Standby::Feedback), ("none", Standby::None)]);
    let log = log(&mut reader);
    let client_dirs = ClientDirs {
        named: reader.parsed(BKP_PG_BIN, directories).unwrap_or_default(),
        path: std::env::split_paths(&environment.get("PATH").unwrap_or_default())
            .filter(|path| path.is_absolute())
            .collect(),
    };
    for name in unknown::among(&environment.names()) {
        reader.warn(name);
    }
    let warnings = std::mem::take(&mut reader.warnings);
    let settings = Settings {
        app,
        postgres,
        saved_roles,
        files,
        bucket,
        gzip_level,
        jobs,
        restic,
        pause,
        state_dir: state_dir.into(),
        retention,
        shrink_limit,
        restore,
        drill,
        notify,
        lock_wait,
        table_wait,
        standby,
        log,
        client_dirs,
        warnings,
    };
    (settings, reader.into_faults())
}

/// How lines are written, whatever else is wrong: the faults themselves are told in this form.
pub fn log_form(environment: &dyn Environment) -> Log {
    log(&mut Reader::new(environment, &Overrides::default()))
}

/// Who is told that the settings are wrong: what of them can be read, and the application's name, if that is right.
pub fn notify_at_least(environment: &dyn Environment) -> (Notify, Option<String>) {
    let overrides = Overrides::default();
    let mut reader = Reader::new(environment, &overrides);
    let notify = notify::resolve(&mut reader);
    // Its faults are told by whoever needs it; here a name that is not known is none.
    let mut reader = Reader::new(environment, &overrides);
    let postgres = postgres::resolve(&mut Reader::new(environment, &overrides));
    let app = app(&mut reader, postgres.as_ref().map(|postgres| &postgres.databases));
    (notify, reader.into_faults().0.is_empty().then_some(app))
}

fn log(reader: &mut Reader<'_>) -> Log {
    reader.choice(BKP_LOG, &[("text", Log::Text), ("json", Log::Json)])
}

/// Whether there is no database to save: said so, or files named and no word of a server.
fn only_files(reader: &mut Reader<'_>, files: bool) -> bool {
    if reader.value(BKP_DATABASES).as_deref() == Some("none") {
        return true;
    }
    let server = [BKP_DATABASES, POSTGRES_DB, POSTGRES_USER, POSTGRES_HOST, POSTGRES_SERVICE, DB_HOST];
    let libpq = [PGHOST, PGHOSTADDR, PGUSER, PGDATABASE];
    files && !server.iter().chain(&libpq).any(|name| reader.value(name).is_some())
}

/// Nothing is no limit. Not to wait at all would fail a night for every ALTER TABLE.
fn table_wait(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "forever" => Ok(None),
        _ => match span::duration(text).map_err(|why| format!("{why}; or forever"))? {
            Duration::ZERO => Err("must be a second or more, or forever".into()),
            limit => Ok(Some(limit)),
        },
    }
}

/// All of it may go by `100%`.
fn shrink_limit(text: &str) -> Result<Option<u8>, String> {
    if matches!(text, "off" | "100%") {
        return Ok(None);
    }
    let percent = text.strip_suffix('%').unwrap_or(text).parse().ok().filter(|percent| (1..100).contains(percent));
    percent.map(Some).ok_or_else(|| "must be from 1% to 100%, or off".to_owned())
}

fn saved_roles(reader: &mut Reader<'_>, databases: Option<&Databases>) -> SavedRoles {
    let said = reader.parsed(BKP_ROLES, |text| match text {
        "used" => Ok(SavedRoles::Used),
        "all" => Ok(SavedRoles::All),
        "none" => Ok(SavedRoles::None),
        _ => match text.strip_prefix("prefix:") {
            Some(prefix) if !prefix.is_empty() => Ok(SavedRoles::Prefix(prefix.to_owned())),
            _ => Err("must be used, all, none, or prefix: and the beginning of their names".into()),
        },
    });
    said.unwrap_or(match databases {
        Some(Databases::Named(_)) => SavedRoles::Used,
        _ => SavedRoles::All,
    })
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

fn whole(text: &str, range: RangeInclusive<u8>) -> Result<u8, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(USUAL_JOBS)
}

fn directories(text: &str) -> Result<Vec<PathBuf>, String> {
    let directories: Vec<_> = text.split(':').filter(|part| !part.is_empty()).map(PathBuf::from).collect();
    match directories.iter().all(|directory| directory.is_absolute()) {
        true => Ok(directories),
        false => Err("must be absolute directories with colons between them".into()),
    }
}
