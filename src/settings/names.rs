//! Every environment variable that bkp reads, in one place.
//!
//! The table in `docs/variables.md` is made from this one and a test compares the two. Names that begin with `BKP_` are bkp's own;
//! the others exist in clusters already and keep their meaning there. Precedence, highest first: flag, `BKP_*`, the name
//! that an older backup script used, libpq's name, the default.

/// One variable: what the document says of it and how it is read.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name, without `_FILE`.
    pub name: &'static str,
    /// What it means, as one line of Markdown.
    pub meaning: &'static str,
    /// What holds when it is not set; empty when nothing does.
    pub default: &'static str,
    /// Whether `NAME_FILE` may name a file that holds the value.
    pub has_file: bool,
}

macro_rules! variables {
    ($( #[doc = $meaning:literal] $name:ident, $default:literal, $file:ident; )*) => {
        $( #[doc = $meaning] pub const $name: &str = stringify!($name); )*

        /// All variables, in the document's order.
        pub const VARIABLES: &[Variable] = &[
            $( Variable { name: $name, meaning: $meaning, default: $default, has_file: variables!(@ $file) }, )*
        ];
    };
    (@ twin) => { true };
    (@ plain) => { false };
}

variables! {
    /// The application's stable name: letters, digits, `.`, `_` and `-`.
    BKP_APP, "the one named database, else `default`", twin;
    /// The databases to save: `all`, `none`, or names with commas between them.
    BKP_DATABASES, "`all`; `none` if only `BKP_FILES` is set", twin;
    /// The database that control sessions use; it cannot be a restore's target.
    BKP_MAINTENANCE_DB, "`postgres`, else `template1`", twin;
    /// Where dumps go: `gs://…`, `s3://…`, `az://…` or `file:///…`.
    BKP_BUCKET, "`file:///var/lib/bkp`, unless a restic repository is named", twin;
    /// How hard dumps are compressed, from `1` (fastest, about as small as `gzip -6`) to `12` (smallest). Another level makes the next dump differ from the last in every byte.
    BKP_GZIP_LEVEL, "`1`", twin;
    /// Cloud KMS key that Google Cloud Storage encrypts new objects with.
    BKP_GCS_KMS_KEY, "", twin;
    /// Directories whose files are saved, commas between them; they need a restic repository.
    BKP_FILES, "", twin;
    /// Save only these of their entries: `export/`, `export/*.zip`.
    BKP_FILES_INCLUDE, "everything", twin;
    /// Leave these out, as restic's `--exclude`; with a slash in it, relative to the directory.
    BKP_FILES_EXCLUDE, "", twin;
    /// Top-level entries that a restore leaves as they are: `config`.
    BKP_FILES_KEEP, "", twin;
    /// To whom a restore gives the files: `UID` or `UID:GID`.
    BKP_FILES_OWNER, "as saved", twin;
    /// What of a snapshot is restored, and where to: `export/*.zip:import/`.
    BKP_FILES_RESTORE, "everything, where it was", twin;
    /// `1`: an empty directory may be saved. Else it counts as one that is not mounted.
    BKP_FILES_ALLOW_EMPTY, "`0`", twin;
    /// The roles to save: `used` (by the saved databases), `all`, `none`, or `prefix:oc_`.
    BKP_ROLES, "`used`; `all` with all databases", twin;
    /// How items lie in restic repositories: `one`, `split` (`files`, `pg-database`, `pg-role` under one base) or `auto`.
    BKP_RESTIC_LAYOUT, "`auto`: as they are there", twin;
    /// The restic program.
    BKP_RESTIC_BIN, "the first `restic` on the usual paths", plain;
    /// What is scaled to zero while the application is paused, through the Kubernetes API: `deployment/NAME` and `statefulset/NAME`, commas between them.
    BKP_QUIESCE, "", twin;
    /// How long the pods of what is scaled to zero may take to be gone; after that the run fails.
    BKP_QUIESCE_WAIT, "`5m`", twin;
    /// The directory with the service account's `token`, `ca.crt` and `namespace`, for `BKP_QUIESCE`.
    BKP_SERVICE_ACCOUNT_DIR, "`/var/run/secrets/kubernetes.io/serviceaccount`", plain;
    /// A file that stands while the application is paused.
    BKP_MAINTENANCE_FILE, "", twin;
    /// What that file holds.
    BKP_MAINTENANCE_CONTENT, "", twin;
    /// A command that pauses the application; no shell reads it.
    BKP_PAUSE_COMMAND, "", twin;
    /// A command that lets it go on; must be safe to repeat.
    BKP_RESUME_COMMAND, "", twin;
    /// Which commands pause the application: `restore`, `backup,restore` or `none`.
    BKP_QUIESCE_ON, "`restore`", twin;
    /// Where it is noted what a run has paused.
    BKP_STATE_DIR, "`/var/lib/bkp`", twin;
    /// Keep this many of the newest runs.
    BKP_KEEP_LAST, "", twin;
    /// Keep the newest run of each of this many hours.
    BKP_KEEP_HOURLY, "", twin;
    /// Keep the newest run of each of this many days.
    BKP_KEEP_DAILY, "", twin;
    /// Keep the newest run of each of this many weeks.
    BKP_KEEP_WEEKLY, "", twin;
    /// Keep the newest run of each of this many months.
    BKP_KEEP_MONTHLY, "", twin;
    /// Keep the newest run of each of this many years.
    BKP_KEEP_YEARLY, "", twin;
    /// Keep every run that is younger than this: `30d`, `2y5m7d3h`.
    BKP_KEEP_WITHIN, "", twin;
    /// Never leave fewer sealed runs than this, whatever else is said.
    BKP_KEEP_MIN, "`3`", twin;
    /// By how much a backup may be smaller than the one before it, in rows and bytes of a database, files and bytes of a directory. Beyond that it is stored, but fails, and nothing is forgotten: `80%`, or `off`.
    BKP_SHRINK_LIMIT, "`50%`", twin;
    /// How many sessions read or load a database at once; `1` leaves all of it to one `pg_dump` or `psql`.
    BKP_JOBS, "the cores, at most `4`", twin;
    /// Which roles a restore brings back: `missing`, `all` or `none`.
    BKP_RESTORE_ROLES, "`missing`", twin;
    /// How long a replaced database stays: `until-backup`, `always` or `never`.
    BKP_KEEP_REPLACED, "`until-backup`", twin;
    /// Whether a restore first saves what it is about to replace, and does nothing without that: `1` always, `0` never, or only when it loads `in-place`.
    BKP_SAFETY_BACKUP, "`in-place`", twin;
    /// What must hold in restored data: SQL queries, each ended by `;`, each giving one row with one column that is true.
    BKP_DRILL_SQL, "", twin;
    /// The file that a drill writes its evidence to, as JSON.
    BKP_DRILL_EVIDENCE, "", plain;
    /// The directory that a drill restores files into and makes its own server in, and removes again what it made; new or empty, outside of `BKP_FILES`.
    BKP_DRILL_SCRATCH, "in `BKP_STATE_DIR`", plain;
    /// Where a drill loads databases: a `throwaway` PostgreSQL of its own, or the `configured` server.
    BKP_DRILL_SERVER, "the configured one; if it cannot be reached, a throwaway one", plain;
    /// The file that metrics are kept in, for the textfile collector of Prometheus' node exporter: `….prom`.
    BKP_METRICS_FILE, "", plain;
    /// The Pushgateway that metrics are sent to: `http://…` or `https://…`; `user:password@` before the host is basic authentication.
    BKP_PUSHGATEWAY_URL, "", twin;
    /// The URL that is called when a backup begins (`/start`), is saved, and fails (`/fail`), as healthchecks.io takes it; a drill that fails calls its `/fail`, too.
    BKP_HEARTBEAT_URL, "", twin;
    /// The same for drills: when one begins, has proven a backup, and fails.
    BKP_DRILL_HEARTBEAT_URL, "", twin;
    /// How long to wait for another run of the same application: `0`, seconds, or `5m`.
    BKP_LOCK_WAIT, "`0`", twin;
    /// How long a backup waits for a table that somebody holds exclusively, before it fails: seconds, `30m`, or `forever`.
    BKP_TABLE_WAIT, "`1h`", twin;
    /// What keeps a standby from cancelling a dump: `pause` its replay, rely on hot standby `feedback`, or `none`.
    BKP_STANDBY, "`pause`", twin;
    /// How lines are written: `text` or `json`.
    BKP_LOG, "`text`", twin;
    /// Which lines are written: `debug`, `bkp=debug,opendal=trace`.
    RUST_LOG, "`warn,bkp=info`", plain;
    /// Not empty: no colours, also on a terminal.
    NO_COLOR, "", plain;
    /// Directories with PostgreSQL's programs, colons between them: clients, and servers for drills.
    BKP_PG_BIN, "", twin;
    /// The database to save, where `BKP_DATABASES` is not set.
    POSTGRES_DB, "", twin;
    /// The account to connect as.
    POSTGRES_USER, "", twin;
    /// The account's password.
    POSTGRES_PASSWORD, "", twin;
    /// The server: `host`, `host:port`, `[v6]:port` or a socket directory.
    POSTGRES_HOST, "a local socket, else `localhost`", twin;
    /// The server's address; when set, it is the real one and `POSTGRES_HOST` is not read.
    POSTGRES_SERVICE, "", twin;
    /// The server's port; it wins over a port in an address. `tcp://…`, as Kubernetes sets it for a service called `postgres`, is understood.
    POSTGRES_PORT, "`5432`", twin;
    /// The server, where neither `POSTGRES_SERVICE` nor `POSTGRES_HOST` is set; may hold a port.
    DB_HOST, "", twin;
    /// libpq: the server's name or its socket directory; one only.
    PGHOST, "", plain;
    /// libpq: the address to connect to; `PGHOST` is then the name that the certificate must bear.
    PGHOSTADDR, "", plain;
    /// libpq: the port.
    PGPORT, "", plain;
    /// libpq: the account.
    PGUSER, "the operating system's account", plain;
    /// libpq: the database.
    PGDATABASE, "", plain;
    /// libpq: the password.
    PGPASSWORD, "", plain;
    /// libpq: a file of passwords, not readable by others.
    PGPASSFILE, "`~/.pgpass`", plain;
    /// libpq: `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`.
    PGSSLMODE, "`prefer`", plain;
    /// libpq: the certificate authorities to trust, or `system`.
    PGSSLROOTCERT, "`~/.postgresql/root.crt`", plain;
    /// libpq: our certificate.
    PGSSLCERT, "`~/.postgresql/postgresql.crt`", plain;
    /// libpq: the key to our certificate.
    PGSSLKEY, "`~/.postgresql/postgresql.key`", plain;
    /// libpq: seconds until an attempt to connect is given up; `0` waits for ever.
    PGCONNECT_TIMEOUT, "`30`", plain;
    /// libpq: a section of a service file. Not supported: bkp says what to use instead.
    PGSERVICE, "", plain;
    /// libpq: revoked certificates. Not supported: bkp refuses rather than trusting one.
    PGSSLCRL, "", plain;
    /// libpq: a directory of revoked certificates. Not supported: bkp refuses rather than trusting one.
    PGSSLCRLDIR, "", plain;
    /// libpq: server parameters for every session.
    PGOPTIONS, "", plain;
    /// libpq: `disable`, `prefer` or `require` channel binding.
    PGCHANNELBINDING, "`prefer`", plain;
    /// libpq: how TLS begins; given to the client programs.
    PGSSLNEGOTIATION, "", plain;
    /// libpq: whether the server's name is sent; given to the client programs.
    PGSSLSNI, "", plain;
    /// libpq: the oldest TLS version; given to the client programs.
    PGSSLMINPROTOCOLVERSION, "", plain;
    /// libpq: the newest TLS version; given to the client programs.
    PGSSLMAXPROTOCOLVERSION, "", plain;
    /// libpq: the account that must own the server's socket; given to the client programs.
    PGREQUIREPEER, "", plain;
    /// libpq: the ways of authentication that are accepted; given to the client programs.
    PGREQUIREAUTH, "", plain;
    /// libpq: GSSAPI encryption; given to the client programs.
    PGGSSENCMODE, "", plain;
    /// libpq: the Kerberos service; given to the client programs.
    PGKRBSRVNAME, "", plain;
    /// Days within which every run is kept, where `BKP_KEEP_WITHIN` is not set.
    RESTIC_DAYS_TO_KEEP, "", twin;
    /// Months of which the newest run is kept, where `BKP_KEEP_MONTHLY` is not set.
    RESTIC_MONTHS_TO_KEEP, "", twin;
    /// restic: its repository. With no bucket named, the only place that anything is saved to.
    RESTIC_REPOSITORY, "", twin;
    /// restic: the path of its password; stays a path.
    RESTIC_PASSWORD_FILE, "", plain;
    /// restic: its password, where no file holds it.
    RESTIC_PASSWORD, "", plain;
    /// restic: a command that prints its password.
    RESTIC_PASSWORD_COMMAND, "", plain;
    /// restic: the path of its next password; stays a path, and need not exist.
    RESTIC_NEW_PASSWORD_FILE, "", plain;
    /// restic: the host that snapshots are saved under.
    RESTIC_HOST, "the application's name", plain;
    /// The bucket, where `BKP_BUCKET` is not set: `gs://bucket`.
    GCP_BACKUP_BUCKET, "", twin;
    /// Google Cloud: the path of the credentials.
    GOOGLE_APPLICATION_CREDENTIALS, "`/conf/credentials.json` if it is there, else the metadata server", plain;
    /// Google Cloud Storage: another endpoint, for tests.
    STORAGE_EMULATOR_HOST, "", plain;
    /// Google Cloud: another metadata server.
    GCE_METADATA_HOST, "", plain;
    /// S3: the access key's id.
    AWS_ACCESS_KEY_ID, "", twin;
    /// S3: the access key.
    AWS_SECRET_ACCESS_KEY, "", twin;
    /// S3: the token of a temporary access key.
    AWS_SESSION_TOKEN, "", twin;
    /// S3: the region.
    AWS_REGION, "", twin;
    /// S3: the region, where `AWS_REGION` is not set.
    AWS_DEFAULT_REGION, "", twin;
    /// S3: the endpoint of a store that is not Amazon's.
    AWS_ENDPOINT_URL, "", twin;
    /// Azure: the storage account.
    AZURE_STORAGE_ACCOUNT, "", twin;
    /// Azure: the account's key.
    AZURE_STORAGE_KEY, "", twin;
    /// Azure: a shared access signature, instead of the key.
    AZURE_STORAGE_SAS_TOKEN, "", twin;
    /// Azure: the endpoint of a store that is not Microsoft's.
    AZURE_STORAGE_ENDPOINT, "", twin;
    /// Kubernetes sets it in every pod: the address of its API.
    KUBERNETES_SERVICE_HOST, "", plain;
    /// Kubernetes sets it in every pod: the port of its API.
    KUBERNETES_SERVICE_PORT, "`443`", plain;
    /// The path of certificate authorities that the store, the Pushgateway and the heartbeat's receiver are trusted by, besides the usual ones.
    CERTIFICATE_FILE, "", plain;
}

/// The variable of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

/// Whether bkp reads a variable of this name, as it is or as a `_FILE` twin.
#[must_use]
pub fn is_known(name: &str) -> bool {
    find(name).is_some() || name.strip_suffix("_FILE").and_then(find).is_some_and(|variable| variable.has_file)
}

/// The table of `docs/variables.md`, as Markdown that ends in a newline.
#[must_use]
pub fn table() -> String {
    let mut table = String::from("| variable | also `_FILE` | meaning | default |\n| --- | --- | --- | --- |\n");
    for Variable { name, meaning, default, has_file } in VARIABLES {
        let twin = if *has_file { "yes" } else { "" };
        table += &format!("| `{name}` | {twin} | {} | {default} |\n", meaning.trim());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        let mut names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn no_twin_is_a_variable_of_its_own() {
        for variable in VARIABLES.iter().filter(|variable| variable.has_file) {
            assert!(find(&format!("{}_FILE", variable.name)).is_none(), "{}", variable.name);
        }
        assert!(is_known("POSTGRES_PASSWORD_FILE") && !is_known("PGHOST_FILE"));
    }
}
