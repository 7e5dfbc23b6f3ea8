//! What a cluster holds, to tell whether a restore brought everything back.
//!
//! pg_dump says most of it. What it leaves out, and a restore must bring back all the same, is asked of the catalogue:
//! databases that refuse connections, settings of roles in databases, the properties of `template1` and `postgres`.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::cluster::Cluster;
use super::normal::{difference, lines};

/// The content of a cluster as comparable text, part by part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, Vec<String>>);

/// Everything about databases and roles that is no object inside a database. Names of things, never their oids.
const CATALOGUE: &str = r"
SELECT 'database', datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datistemplate,
       datallowconn, datconnlimit, (SELECT spcname FROM pg_tablespace t WHERE t.oid = dattablespace),
       array(SELECT a::text FROM unnest(datacl) a ORDER BY 1), shobj_description(oid, 'pg_database')
FROM pg_database ORDER BY datname;
SELECT 'setting', (SELECT datname FROM pg_database WHERE oid = setdatabase),
       (SELECT rolname FROM pg_roles r WHERE r.oid = setrole), array(SELECT s FROM unnest(setconfig) s ORDER BY 1)
FROM pg_db_role_setting ORDER BY 2, 3;
SELECT 'role', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
       rolbypassrls, rolconnlimit, rolpassword, rolvaliduntil, shobj_description(oid, 'pg_authid')
FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY 2;
";

impl Snapshot {
    /// Takes all databases and the globals.
    ///
    /// # Panics
    /// When something cannot be read.
    pub fn of(cluster: &Cluster) -> Self {
        let refused = cluster.psql(
            "postgres",
            "SELECT encode(convert_to(datname, 'UTF8'), 'hex') FROM pg_database WHERE NOT datallowconn",
        );
        let refused: Vec<String> = refused.lines().map(super::cluster::unhex).collect();
        let open: Vec<String> = cluster.databases().into_iter().filter(|name| !refused.contains(name)).collect();
        let mut snapshot = Self::of_databases(cluster, &open);
        snapshot.0.insert("globals".into(), lines(&cluster.globals()));
        snapshot.0.insert("catalogue".into(), lines(cluster.psql("postgres", CATALOGUE).as_bytes()));
        snapshot
    }

    /// Takes the named databases alone, each with its properties (`pg_dump --create`).
    pub fn of_databases<S: AsRef<str>>(cluster: &Cluster, names: &[S]) -> Self {
        let part = |name: &S| {
            let dump = cluster.pg_dump(name.as_ref(), ["--create"]);
            (format!("database {}", name.as_ref()), lines(&dump))
        };
        Self(names.iter().map(part).collect())
    }

    /// The same without databases that refuse connections: no dump holds them.
    #[must_use]
    pub fn without_refused(mut self) -> Self {
        if let Some(catalogue) = self.0.get_mut("catalogue") {
            catalogue.retain(|line| !line.starts_with("database|") || line.split('|').nth(7) != Some("f"));
        }
        self
    }

    /// The same without the databases that a restore put aside, to compare the rest with what was before it.
    #[must_use]
    pub fn without_replaced(mut self) -> Self {
        self.0.retain(|part, _| !part.contains("__was_"));
        if let Some(catalogue) = self.0.get_mut("catalogue") {
            catalogue.retain(|line| !line.contains("__was_"));
        }
        self
    }

    /// The same without the lines (given with their part's name) that a test does not expect back.
    #[must_use]
    pub fn ignoring(mut self, ignored: impl Fn(&str, &str) -> bool) -> Self {
        for (part, lines) in &mut self.0 {
            lines.retain(|line| !ignored(part, line));
        }
        self
    }

    /// One part's lines: `globals`, `catalogue` or `database NAME`.
    pub fn part(&self, name: &str) -> Option<&[String]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// What differs from another snapshot, for people; `None` when nothing does.
    pub fn difference(&self, after: &Self) -> Option<String> {
        let mut report = String::new();
        let parts: std::collections::BTreeSet<&String> = self.0.keys().chain(after.0.keys()).collect();
        for part in parts {
            let told = match (self.0.get(part), after.0.get(part)) {
                (Some(before), Some(after)) => difference(before, after),
                (Some(_), None) => Some("  is gone\n".to_owned()),
                (None, Some(_)) => Some("  was not there before\n".to_owned()),
                (None, None) => None,
            };
            if let Some(told) = told {
                let _ = write!(report, "{part}:\n{told}");
            }
        }
        (!report.is_empty()).then_some(report)
    }
}

/// Fails when the two differ in anything.
///
/// # Panics
/// With the first differences of each part.
#[track_caller]
pub fn assert_same(before: &Snapshot, after: &Snapshot) {
    if let Some(difference) = before.difference(after) {
        panic!("the content is not the same (- before, + after)\n{difference}");
    }
}
