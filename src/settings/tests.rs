//! Settings as a whole: who wins, what is refused, and that no message holds a value.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use super::environment::Made;
use super::names::*;
use super::postgres::{RootCert, TlsMode};
use super::*;
use proptest::prelude::*;

fn settings(variables: &[(&str, &str)]) -> Settings {
    resolve(&Made::of(variables), &Overrides::default()).unwrap()
}

fn faults(environment: &Made) -> Vec<(String, String)> {
    let faults = resolve(environment, &Overrides::default()).unwrap_err();
    faults.0.into_iter().map(|Fault { name, reason }| (name, reason)).collect()
}

fn faulty(variables: &[(&str, &str)]) -> Vec<String> {
    faults(&Made::of(variables)).into_iter().map(|(name, _)| name).collect()
}

fn address(variables: &[(&str, &str)]) -> (String, u16) {
    let postgres = settings(variables).postgres.unwrap();
    match postgres.host {
        Host::Tcp(host) => (host, postgres.port),
        Host::Socket(directory) => (directory.display().to_string(), postgres.port),
    }
}

#[test]
fn with_nothing_set_the_defaults_hold() {
    let settings = settings(&[]);
    let postgres = settings.postgres.clone().unwrap();
    assert_eq!(settings.app, "default");
    assert_eq!(settings.bucket.as_ref().unwrap().address.to_string(), "file:///var/lib/bkp");
    assert_eq!(postgres.host, Host::Tcp("localhost".into()));
    assert_eq!((postgres.port, postgres.user.as_str()), (5432, "me"));
    assert_eq!(postgres.databases, Databases::All);
    assert_eq!(postgres.tls.mode, TlsMode::Prefer);
    assert!(settings.retention.keeps_everything() && settings.retention.min == 3);
    assert_eq!(settings.lock_wait, Duration::ZERO);
    assert_eq!(settings.table_wait, Some(Duration::from_secs(3600)));
    assert_eq!(settings.standby, Standby::Pause);
    assert_eq!(settings.gzip_level, 1);
    assert!((1..=4).contains(&settings.jobs));
    assert!(settings.warnings.is_empty());
}

#[test]
fn whole_numbers_lie_within_their_limits() {
    assert_eq!(settings(&[(BKP_JOBS, "64"), (BKP_GZIP_LEVEL, "12")]).jobs, 64);
    for (name, value) in
        [(BKP_JOBS, "0"), (BKP_JOBS, "65"), (BKP_JOBS, "many"), (BKP_GZIP_LEVEL, "0"), (BKP_GZIP_LEVEL, "13")]
    {
        assert_eq!(faulty(&[(name, value)]), [name], "{value}");
    }
}

#[test]
fn a_backup_waits_for_tables_as_long_as_it_is_told_and_never_not_at_all() {
    assert_eq!(settings(&[(BKP_TABLE_WAIT, "30m")]).table_wait, Some(Duration::from_secs(1800)));
    assert_eq!(settings(&[(BKP_TABLE_WAIT, "forever")]).table_wait, None);
    for wrong in ["0", "0s", "never", "-1"] {
        assert_eq!(faulty(&[(BKP_TABLE_WAIT, wrong)]), [BKP_TABLE_WAIT], "{wrong}");
    }
}

#[test]
fn what_is_scaled_and_where_the_cluster_is_come_from_the_pod() {
    let pause = settings(&[(BKP_QUIESCE, "deploy/web,sts/queue"), (KUBERNETES_SERVICE_HOST, "fd00::1")]).pause;
    assert_eq!(
        pause.scaled.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["deployment/web", "statefulset/queue"]
    );
    assert_eq!((pause.cluster.host.as_deref(), pause.cluster.port), (Some("fd00::1"), 443));
    assert_eq!(pause.scaled_wait, Duration::from_secs(300));
    assert_eq!(pause.cluster.account_dir, std::path::Path::new("/var/run/secrets/kubernetes.io/serviceaccount"));
    for (name, value) in [(BKP_QUIESCE, "web"), (BKP_QUIESCE_WAIT, "long"), (KUBERNETES_SERVICE_PORT, "0")] {
        let mut variables = vec![(BKP_QUIESCE, "deploy/web")];
        variables.retain(|(other, _)| *other != name);
        variables.push((name, value));
        assert_eq!(faulty(&variables), [name], "{value}");
    }
    // Where nothing is scaled nobody looks.
    settings(&[(KUBERNETES_SERVICE_PORT, "0")]);
}

#[test]
fn the_higher_name_wins() {
    for names in [
        &[POSTGRES_USER, PGUSER][..],
        &[POSTGRES_SERVICE, POSTGRES_HOST, DB_HOST, PGHOST],
        &[BKP_DATABASES, POSTGRES_DB, PGDATABASE],
        &[POSTGRES_PASSWORD, PGPASSWORD],
    ] {
        for first in 0..names.len() {
            let variables: Vec<_> = names[first..].iter().map(|name| (*name, *name)).collect();
            let debug = settings(&variables).postgres.unwrap();
            let password = debug.password.as_ref().map(|secret| secret.expose().to_owned());
            let seen = format!("{debug:?} {password:?}");
            assert!(seen.contains(&format!("\"{}\"", names[first])), "{seen}");
        }
    }
}

#[test]
fn a_flag_wins_over_its_variable_and_what_is_under_it() {
    let overrides = Overrides::default().with(BKP_DATABASES, "shop").with(BKP_APP, "x");
    let settings =
        resolve(&Made::of(&[(BKP_DATABASES, "all"), (BKP_APP, "y"), (POSTGRES_DB, "z")]), &overrides).unwrap();
    assert_eq!(
        (settings.app.as_str(), settings.postgres.unwrap().databases),
        ("x", Databases::Named(vec!["shop".into()]))
    );
}

#[test]
fn the_server_is_found_in_each_form_that_clusters_have() {
    assert_eq!(address(&[(POSTGRES_HOST, "postgresql-service:5433")]), ("postgresql-service".into(), 5433));
    assert_eq!(address(&[(POSTGRES_HOST, "a:1"), (POSTGRES_SERVICE, "b"), (POSTGRES_PORT, "2")]), ("b".into(), 2));
    assert_eq!(address(&[(POSTGRES_HOST, "a:1"), (POSTGRES_PORT, "2")]), ("a".into(), 2));
    assert_eq!(address(&[(DB_HOST, "[fd00::1]:6"), (PGPORT, "7")]), ("fd00::1".into(), 6));
    assert_eq!(address(&[(PGHOST, "/run/postgresql"), (PGPORT, "7")]), ("/run/postgresql".into(), 7));
    assert_eq!(address(&[(PGHOSTADDR, "10.0.0.9")]), ("10.0.0.9".into(), 5432));
    let socket = Made::of(&[(PGPORT, "6000")]).file("/tmp/.s.PGSQL.6000", "");
    assert_eq!(resolve(&socket, &Overrides::default()).unwrap().postgres.unwrap().host, Host::Socket("/tmp".into()));
}

#[test]
fn a_service_link_is_used_where_it_is_the_server_and_ignored_elsewhere() {
    let link = (POSTGRES_PORT, "tcp://10.0.0.1:5433");
    assert_eq!(address(&[link]), ("10.0.0.1".into(), 5433));
    assert_eq!(address(&[link, (POSTGRES_HOST, "postgres")]), ("postgres".into(), 5433));
    let other = settings(&[link, (POSTGRES_HOST, "db")]);
    assert_eq!(other.postgres.unwrap().port, 5432);
    assert_eq!(other.warnings.len(), 1);
}

#[test]
fn a_value_and_its_file_together_are_a_fault() {
    for variable in VARIABLES.iter().filter(|variable| variable.has_file) {
        let twin = format!("{}_FILE", variable.name);
        let environment = Made::of(&[(variable.name, "canary"), (&twin, "/f")]).file("/f", "canary");
        let faults = faults(&environment);
        assert!(faults.iter().any(|(name, reason)| name == variable.name && reason.contains(&twin)), "{faults:?}");
    }
}

#[test]
fn a_file_loses_one_line_end_and_nothing_else() {
    for (text, password) in [
        ("p\n", Some("p")),
        ("p\r\n", Some("p")),
        (" p \n\n", Some(" p \n")),
        ("p\r", Some("p\r")),
        ("\n", None),
        ("", None),
    ] {
        let environment = Made::of(&[("POSTGRES_PASSWORD_FILE", "/f")]).file("/f", text);
        let postgres = resolve(&environment, &Overrides::default()).unwrap().postgres.unwrap();
        assert_eq!(postgres.password.as_ref().map(Secret::expose), password);
    }
}

#[test]
fn an_empty_value_is_unset() {
    let all: Vec<_> = VARIABLES.iter().map(|variable| (variable.name, "")).collect();
    assert_eq!(settings(&all), settings(&[]));
}

#[test]
fn files_that_cannot_be_used_are_told_by_name_and_path() {
    let mut environment = Made::of(&[
        ("POSTGRES_PASSWORD_FILE", "/absent"),
        ("POSTGRES_USER_FILE", "/latin1"),
        ("AWS_REGION_FILE", "/zero"),
    ])
    .file("/latin1", b"\xe9")
    .file("/zero", "a\0b");
    environment.variables.insert(PGDATABASE.into(), OsString::from_vec(vec![0xff]));
    let faults = faults(&environment);
    for (name, part) in [
        ("POSTGRES_PASSWORD_FILE", "/absent"),
        ("POSTGRES_USER_FILE", "/latin1"),
        ("AWS_REGION_FILE", "/zero"),
        (PGDATABASE, "UTF-8"),
    ] {
        assert!(faults.iter().any(|(found, reason)| found == name && reason.contains(part)), "{name}: {faults:?}");
    }
    let directory = resolve(&WithRealFiles(Made::of(&[("BKP_APP_FILE", "/")])), &Overrides::default()).unwrap_err();
    assert!(directory.to_string().starts_with("BKP_APP_FILE: cannot read /"), "{directory}");
}

/// Made-up variables, real files.
struct WithRealFiles(Made);

impl Environment for WithRealFiles {
    fn get(&self, name: &str) -> Option<OsString> {
        self.0.get(name)
    }
    fn names(&self) -> Vec<OsString> {
        self.0.names()
    }
    fn read(&self, path: &std::path::Path) -> std::io::Result<Vec<u8>> {
        environment::Process.read(path)
    }
    fn stat(&self, path: &std::path::Path) -> Option<environment::Kind> {
        environment::Process.stat(path)
    }
    fn account(&self) -> environment::Account {
        self.0.account()
    }
}

#[test]
fn every_fault_is_told_at_once_one_a_line() {
    let environment = Made::of(&[
        (BKP_APP, "no/good"),
        (BKP_BUCKET, "ftp://x"),
        (BKP_KEEP_LAST, "-1"),
        (BKP_KEEP_WITHIN, "soon"),
        (BKP_KEEP_MIN, "0"),
        (BKP_RESTORE_ROLES, "some"),
        (BKP_KEEP_REPLACED, "maybe"),
        (BKP_LOCK_WAIT, "long"),
        (BKP_LOG, "xml"),
        (BKP_PG_BIN, "bin"),
        (BKP_DATABASES, "a,,b"),
        (POSTGRES_HOST, "a,b"),
        (POSTGRES_PORT, "http"),
        (PGSERVICE, "x"),
        (PGSSLMODE, "on"),
        (PGSSLCRL, "/x"),
        (PGCONNECT_TIMEOUT, "x"),
        (GOOGLE_APPLICATION_CREDENTIALS, "/absent"),
    ]);
    let faults = resolve(&environment, &Overrides::default()).unwrap_err();
    assert_eq!(faults.0.len(), environment.variables.len(), "{faults}");
    assert_eq!(faults.to_string().lines().count(), faults.0.len());
}

#[test]
fn no_message_ever_holds_a_value() {
    let canary = "c4n4ry:c4n4ry,\u{1}";
    for variable in VARIABLES {
        // A path may be told; these are paths.
        if [GOOGLE_APPLICATION_CREDENTIALS, CERTIFICATE_FILE].contains(&variable.name) {
            continue;
        }
        let bucket = if variable.name.starts_with("AZ") { "az://bucket" } else { "s3://bucket" };
        let by_value = Made::of(&[(BKP_BUCKET, bucket), (variable.name, canary)]);
        let by_file = Made::of(&[(BKP_BUCKET, bucket), (&format!("{}_FILE", variable.name), "/f")]).file("/f", canary);
        for environment in [by_value, by_file] {
            let text = match resolve(&environment, &Overrides::default()) {
                Ok(settings) => settings.warnings.join("\n"),
                Err(faults) => format!("{faults} {faults:?}"),
            };
            assert!(!text.contains("c4n4ry"), "{}: {text}", variable.name);
        }
    }
    let secret =
        settings(&[(POSTGRES_PASSWORD, "c4n4ry"), (AWS_SECRET_ACCESS_KEY, "c4n4ry"), (AZURE_STORAGE_KEY, "c4n4ry")]);
    assert!(!format!("{secret:?}").contains("c4n4ry"));
}

#[test]
fn the_application_is_named_after_its_only_database() {
    assert_eq!(settings(&[(POSTGRES_DB, "shop")]).app, "shop");
    assert_eq!(settings(&[(BKP_DATABASES, "a, b,a")]).app, "default");
    assert_eq!(faulty(&[(POSTGRES_DB, "sh op")]), [BKP_APP]);
    assert_eq!(settings(&[(POSTGRES_DB, "sh op"), (BKP_APP, "shop")]).app, "shop");
    assert_eq!(settings(&[(POSTGRES_DB, "all")]).postgres.unwrap().databases, Databases::Named(vec!["all".into()]));
}

#[test]
fn old_retention_names_mean_what_they_meant() {
    let old = settings(&[(RESTIC_DAYS_TO_KEEP, "30"), (RESTIC_MONTHS_TO_KEEP, "12")]).retention;
    assert_eq!((old.within, old.monthly), (Some(Span { days: 30, ..Span::default() }), Some(12)));
    let new = settings(&[(RESTIC_DAYS_TO_KEEP, "30"), (BKP_KEEP_WITHIN, "2y"), (BKP_KEEP_LAST, "0")]).retention;
    assert_eq!((new.within, new.last), (Some(Span { years: 2, ..Span::default() }), None));
    assert!(settings(&[(RESTIC_DAYS_TO_KEEP, "0")]).retention.keeps_everything());
}

#[test]
fn a_restic_repository_alone_leaves_no_dumps_in_a_default_directory() {
    let alone = Made::of(&[(RESTIC_REPOSITORY, "s3:x"), (RESTIC_PASSWORD_FILE, "/key")]).file("/key", "secret\n");
    let alone = resolve(&alone, &Overrides::default()).unwrap();
    assert!(alone.bucket.is_none() && alone.restic.is_some() && alone.postgres.is_some());
    let both = settings(&[(RESTIC_REPOSITORY, "s3:x"), (RESTIC_PASSWORD, "x"), (BKP_BUCKET, "gs://bucket")]);
    assert!(both.bucket.is_some() && both.restic.is_some());
}

#[test]
fn a_repository_opens_by_exactly_one_password() {
    assert_eq!(faulty(&[(RESTIC_REPOSITORY, "s3:x")]), [RESTIC_PASSWORD_FILE]);
    assert_eq!(faulty(&[(RESTIC_REPOSITORY, "s3:x"), (RESTIC_PASSWORD_FILE, "/missing")]), [RESTIC_PASSWORD_FILE]);
    let both = [(RESTIC_REPOSITORY, "s3:x"), (RESTIC_PASSWORD, "x"), (RESTIC_PASSWORD_COMMAND, "y")];
    assert_eq!(faulty(&both), [RESTIC_PASSWORD]);
    let empty = Made::of(&[(RESTIC_REPOSITORY, "s3:x"), (RESTIC_PASSWORD_FILE, "/key")]).file("/key", "\n");
    assert_eq!(faults(&empty)[0].0, RESTIC_PASSWORD_FILE);
}

#[test]
fn restic_is_given_its_own_variables_and_no_other() {
    let variables = [
        (RESTIC_REPOSITORY, "rest:https://me:hunter2@host/"),
        (RESTIC_PASSWORD, "hunter3"),
        ("RESTIC_CACHE_DIR", "/cache"),
        ("B2_ACCOUNT_KEY", "key"),
        ("AWS_ACCESS_KEY_ID_FILE", "/aws"),
        (POSTGRES_PASSWORD, "hunter4"),
        (AZURE_STORAGE_ACCOUNT, "me"),
    ];
    let made = Made::of(&variables).file("/aws", "id\n");
    let restic = resolve(&made, &Overrides::default()).unwrap().restic.unwrap();
    let names: Vec<&str> = restic.environment.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [AZURE_STORAGE_ACCOUNT, "B2_ACCOUNT_KEY", "RESTIC_CACHE_DIR", AWS_ACCESS_KEY_ID];
    assert_eq!(names, expected);
    assert!(!format!("{restic:?}").contains("hunter"));
}

#[test]
fn files_alone_need_no_server_and_always_a_repository() {
    let restic = [(RESTIC_REPOSITORY, "s3:x"), (RESTIC_PASSWORD, "x")];
    let only = settings(&[&restic[..], &[(BKP_FILES, "/media/a/, /srv")]].concat());
    assert!(only.postgres.is_none());
    assert_eq!(only.files.unwrap().roots, [PathBuf::from("/media/a"), "/srv".into()]);
    assert!(settings(&[&restic[..], &[(BKP_FILES, "/a"), (POSTGRES_DB, "x")]].concat()).postgres.is_some());
    assert!(
        settings(&[&restic[..], &[(BKP_DATABASES, "none"), (BKP_FILES, "/a"), (PGHOST, "x")]].concat())
            .postgres
            .is_none()
    );
    assert_eq!(faulty(&[(BKP_FILES, "/a")]), [RESTIC_REPOSITORY]);
    let owner = |text: &str| {
        settings(&[&restic[..], &[(BKP_FILES, "/a"), (BKP_FILES_OWNER, text)]].concat()).files.unwrap().owner
    };
    assert_eq!(owner("901:902").map(|owner| (owner.uid, owner.gid)), Some((901, Some(902))));
    assert_eq!(owner("0").map(|owner| (owner.uid, owner.gid)), Some((0, None)));
    for wrong in ["901:", ":901", "901:jira", "-1", "4294967295", "1:2:3"] {
        assert_eq!(faulty(&[&restic[..], &[(BKP_FILES, "/a"), (BKP_FILES_OWNER, wrong)]].concat()), [BKP_FILES_OWNER]);
    }
    for wrong in ["media", "/", "/a,/a/b", "/a/../b"] {
        assert_eq!(faulty(&[&restic[..], &[(BKP_FILES, wrong)]].concat()), [BKP_FILES], "{wrong}");
    }
}

#[test]
fn credentials_are_found_where_the_chart_mounts_them() {
    let mounted = Made::of(&[(GCP_BACKUP_BUCKET, "gs://bucket")]).file(bucket::MOUNTED_CREDENTIALS, "{}");
    let found =
        |environment: &Made| resolve(environment, &Overrides::default()).unwrap().bucket.unwrap().gcs.credentials_file;
    assert_eq!(found(&mounted), Some(bucket::MOUNTED_CREDENTIALS.into()));
    let mut emulated = mounted.clone();
    emulated.variables.insert(STORAGE_EMULATOR_HOST.into(), "x".into());
    assert_eq!(found(&emulated), None);
    assert_eq!(faulty(&[(GCP_BACKUP_BUCKET, "s3://bucket")]), [GCP_BACKUP_BUCKET]);
    assert_eq!(faulty(&[(BKP_BUCKET, "s3://bucket"), (AWS_ACCESS_KEY_ID, "x")]), [AWS_SECRET_ACCESS_KEY]);
}

#[test]
fn keys_for_amazon_need_the_region_or_an_endpoint() {
    let keys = [(BKP_BUCKET, "s3://bucket"), (AWS_ACCESS_KEY_ID, "x"), (AWS_SECRET_ACCESS_KEY, "y")];
    assert_eq!(faulty(&keys), [AWS_REGION]);
    for known in [(AWS_REGION, "here"), (AWS_DEFAULT_REGION, "here"), (AWS_ENDPOINT_URL, "http://s3:9000")] {
        settings(&[keys.as_slice(), &[known]].concat());
    }
}

#[test]
fn a_password_file_is_asked_per_database_and_refused_when_others_can_read_it() {
    let text = "localhost:*:a:me:one\nlocalhost:*:*:me:two\n";
    let mut environment = Made::of(&[(PGHOST, "/var/run/postgresql")]).file("/home/me/.pgpass", text);
    let postgres = resolve(&environment, &Overrides::default()).unwrap().postgres.unwrap();
    assert_eq!(postgres.password_for("a").map(Secret::expose), Some("one"));
    assert_eq!(postgres.password_for("b").map(Secret::expose), Some("two"));
    environment.files.insert("/home/me/.pgpass".into(), (text.into(), 0o640));
    let settings = resolve(&environment, &Overrides::default()).unwrap();
    assert!(settings.postgres.as_ref().unwrap().password_for("a").is_none() && settings.warnings.len() == 1);
}

#[test]
fn trusting_the_system_means_verifying_the_name() {
    let tls = settings(&[(PGSSLROOTCERT, "system")]).postgres.unwrap().tls;
    assert_eq!((tls.mode, tls.root_cert), (TlsMode::VerifyFull, RootCert::System { bundle: None }));
    assert_eq!(faulty(&[(PGSSLROOTCERT, "system"), (PGSSLMODE, "require")]), [PGSSLMODE]);
}

#[test]
fn a_child_is_told_everything_and_each_thing_once() {
    let postgres = settings(&[(PGHOST, "db"), (PGHOSTADDR, "10.0.0.9"), (PGOPTIONS, "-c x=y"), (PGSSLMODE, "require")])
        .postgres
        .unwrap();
    let env = postgres.child_env("sh op", "bkp");
    let names: std::collections::BTreeSet<_> = env.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), env.len());
    for (name, value) in [
        ("PGHOST", "db"),
        ("PGHOSTADDR", "10.0.0.9"),
        ("PGDATABASE", "sh op"),
        ("PGSSLMODE", "require"),
        ("PGOPTIONS", "-c x=y"),
        ("PGCONNECT_TIMEOUT", "30"),
    ] {
        assert!(env.iter().any(|(found, text)| found == name && text == value), "{name}");
    }
    assert!(!names.contains("PGPASSWORD"));
}

proptest! {
    #[test]
    fn a_password_arrives_as_it_was_written(password in "[^\0\n]{0,30}[^\0\n\r]") {
        for environment in [
            Made::of(&[(POSTGRES_PASSWORD, &password)]),
            Made::of(&[(PGPASSWORD, &password)]),
            Made::of(&[("POSTGRES_PASSWORD_FILE", "/f")]).file("/f", format!("{password}\n")),
        ] {
            let postgres = resolve(&environment, &Overrides::default()).unwrap().postgres.unwrap();
            let told = postgres.child_env("d", "bkp").into_iter().find(|(name, _)| name == "PGPASSWORD").map(|(_, value)| value);
            prop_assert_eq!(told, Some(OsString::from(&password)));
        }
    }
}
