//! Loading into the live database itself, for accounts that may not create another: everything in one transaction, which empties the
//! database, takes the dump, is proven, and only then committed. Whatever dies before the COMMIT leaves the database as it was.
//!
//! What goes is found in the catalogue: all that is neither PostgreSQL's own nor an extension's. Extensions stay, with what belongs to
//! them, because their provider owns them; so do `public`, schemas that hold an extension, and the database itself with its owner,
//! rights and settings. What this account may not drop is a fault before anything begins: old and new mixed is no restore.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use tokio_postgres::error::SqlState;

use super::connect::Session;
use super::durable::DURABLE;
use super::load::RETURNED;
use super::name::Name;
use super::server::{self, literal, names, text};
use super::side::{Journal, State};
use crate::sources::act::Since;

/// All objects of a database that are neither the system's nor an extension's, nor a part of another object.
const OBJECTS: &str = "SELECT o.classid, o.objid, o.owner, o.namespace, o.rank FROM (
    SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass::pg_catalog.oid AS classid, oid AS objid, evtowner AS owner, 0::pg_catalog.oid AS namespace, 1 AS rank FROM pg_catalog.pg_event_trigger
    UNION ALL SELECT 'pg_catalog.pg_publication'::pg_catalog.regclass, oid, pubowner, 0, 1 FROM pg_catalog.pg_publication
    UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, oid, relowner, relnamespace, 2 FROM pg_catalog.pg_class
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relpersistence <> 't'
    UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, proowner, pronamespace, 3 FROM pg_catalog.pg_proc
    UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typowner, typnamespace, 4 FROM pg_catalog.pg_type t
        WHERE (typtype IN ('b', 'd', 'e', 'r') AND NOT (typelem <> 0 AND typlen = -1))
           OR (typtype = 'c' AND (SELECT relkind FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid) = 'c')
    UNION ALL SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, oid, 0, 0, 5 FROM pg_catalog.pg_cast
    UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid, oprowner, oprnamespace, 5 FROM pg_catalog.pg_operator
    UNION ALL SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, oid, opcowner, opcnamespace, 5 FROM pg_catalog.pg_opclass
    UNION ALL SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, oid, opfowner, opfnamespace, 6 FROM pg_catalog.pg_opfamily
    UNION ALL SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, oid, collowner, collnamespace, 6 FROM pg_catalog.pg_collation
    UNION ALL SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, oid, conowner, connamespace, 6 FROM pg_catalog.pg_conversion
    UNION ALL SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, oid, cfgowner, cfgnamespace, 6 FROM pg_catalog.pg_ts_config
    UNION ALL SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, oid, dictowner, dictnamespace, 7 FROM pg_catalog.pg_ts_dict
    UNION ALL SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, oid, lanowner, 0, 8 FROM pg_catalog.pg_language
    UNION ALL SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, oid, srvowner, 0, 8 FROM pg_catalog.pg_foreign_server
    UNION ALL SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, oid, fdwowner, 0, 9 FROM pg_catalog.pg_foreign_data_wrapper
    UNION ALL SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid, nspowner, 0, 10 FROM pg_catalog.pg_namespace
        n WHERE nspname <> 'public' AND nspname !~ '^pg_'
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extnamespace = n.oid)
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend i JOIN pg_catalog.pg_depend m ON m.classid = i.classid AND m.objid = i.objid AND m.deptype = 'e'
                           WHERE i.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND i.refobjid = n.oid)) o
  WHERE o.objid >= 16384
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.oid = o.namespace AND n.nspname ~ '^pg_(temp|toast)')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                     WHERE d.classid = o.classid AND d.objid = o.objid AND d.objsubid = 0 AND d.deptype IN ('e', 'i'))";

/// How many objects that we may not drop are named.
const NAMED: usize = 10;

/// A table that belongs to an extension and holds rows of the application's, by `pg_extension_config_dump`: it stays, its rows do not.
#[derive(Debug, Clone)]
pub struct KeptTable {
    /// As a dump's COPY names it.
    pub name: String,
    /// Whether we may replace them.
    pub ours: bool,
}

/// What the live database holds, as far as it decides whether it can be loaded in place.
#[derive(Debug, Default)]
pub struct Live {
    /// Its number.
    pub oid: u32,
    /// Its extensions.
    pub extensions: BTreeSet<Name>,
    /// Of those, the ones that are not ours: the provider's.
    pub provided: BTreeSet<Name>,
    /// Schemas that are not ours: they stay as they are, and so do all that hold an extension.
    pub schemas: BTreeSet<Name>,
    /// Roles that may create schemas in it.
    pub creators: BTreeSet<Name>,
    /// Roles that may create objects in its `public`.
    pub public_creators: BTreeSet<Name>,
    /// Tables of extensions whose rows a dump holds.
    pub kept_tables: Vec<KeptTable>,
    /// How many objects would go.
    pub objects: i64,
    /// What would have to go and is not ours to drop, each with its owner; the first few.
    pub foreign: Vec<String>,
    /// Subscriptions: their end cannot be a part of a transaction.
    pub subscriptions: Vec<String>,
    /// Locks that emptying it takes, about.
    pub locks: i64,
    /// Locks that the server has room for, and its `max_locks_per_transaction`.
    pub lock_room: (i64, i64),
}

/// Looks at the database that the session is in.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn look(session: &Session) -> Result<Live> {
    let foreign = format!(
        "WITH objects AS ({OBJECTS})
         SELECT pg_catalog.textsend(i.type || ' ' || i.identity || ' of ' || pg_catalog.pg_get_userbyid(o.owner)) FROM objects o, pg_catalog.pg_identify_object(o.classid, o.objid, 0) i
          WHERE o.owner <> 0 AND NOT pg_catalog.pg_has_role(o.owner, 'USAGE')
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.oid = o.namespace AND pg_catalog.pg_has_role(n.nspowner, 'USAGE'))
         UNION ALL SELECT pg_catalog.textsend('large object ' || oid || ' of ' || pg_catalog.pg_get_userbyid(lomowner)) FROM pg_catalog.pg_largeobject_metadata WHERE NOT pg_catalog.pg_has_role(lomowner, 'USAGE')
         UNION ALL SELECT DISTINCT pg_catalog.textsend('default privileges of ' || pg_catalog.pg_get_userbyid(defaclrole)) FROM pg_catalog.pg_default_acl WHERE NOT pg_catalog.pg_has_role(defaclrole, 'USAGE')
         LIMIT {NAMED}"
    );
    let room = format!(
        "WITH objects AS ({OBJECTS})
         SELECT (SELECT count(*) FROM objects),
                (SELECT count(*) FROM objects WHERE rank <> 2) + (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata)
                    + (SELECT count(*) FROM pg_catalog.pg_class WHERE oid >= 16384 AND relpersistence <> 't'),
                per::pg_catalog.int8 * (pg_catalog.current_setting('max_connections')::pg_catalog.int8 + pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int8), per,
                (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
           FROM (SELECT pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int8 AS per) s"
    );
    let list = async |query: &str| -> Result<Vec<String>> {
        let rows = session.query(query, &[]).await.context("asking what the live database holds")?;
        Ok(rows.iter().map(|row| text(row.get(0))).collect())
    };
    let row = session.query_one(&room, &[]).await.context("asking how much the live database holds")?;
    Ok(Live {
        extensions: names(session, "SELECT extname::text FROM pg_catalog.pg_extension").await?,
        provided: names(
            session,
            "SELECT extname::text FROM pg_catalog.pg_extension WHERE NOT pg_catalog.pg_has_role(extowner, 'USAGE')",
        )
        .await?,
        schemas: names(
            session,
            "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT pg_catalog.pg_has_role(nspowner, 'USAGE')",
        )
        .await?,
        creators: names(
            session,
            "SELECT rolname::text FROM pg_catalog.pg_roles WHERE pg_catalog.has_database_privilege(oid, pg_catalog.current_database(), 'CREATE')",
        )
        .await?,
        public_creators: names(
            session,
            "SELECT rolname::text FROM pg_catalog.pg_roles r, pg_catalog.pg_namespace n WHERE n.nspname = 'public' AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')",
        )
        .await?,
        kept_tables: kept_tables(session).await?,
        foreign: list(&foreign).await?,
        subscriptions: list("SELECT pg_catalog.textsend(s.subname::text) FROM pg_catalog.pg_subscription s, pg_catalog.pg_database d WHERE d.oid = s.subdbid AND d.datname = pg_catalog.current_database()").await?,
        objects: row.get(0),
        locks: row.get(1),
        lock_room: (row.get(2), row.get(3)),
        oid: row.get(4),
    })
}

async fn kept_tables(session: &Session) -> Result<Vec<KeptTable>> {
    let rows = session
        .query(
            "SELECT pg_catalog.textsend(pg_catalog.format('%I.%I', n.nspname, c.relname)),
                    pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'DELETE')
               FROM pg_catalog.pg_extension e, pg_catalog.unnest(e.extconfig) t (relation)
               JOIN pg_catalog.pg_class c ON c.oid = t.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind IN ('r', 'p') ORDER BY 1",
            &[],
        )
        .await
        .context("asking which tables of extensions hold rows of the application's")?;
    let kept = |row: &tokio_postgres::Row| KeptTable { name: text(row.get(0)), ours: row.get(1) };
    Ok(rows.iter().map(kept).collect())
}

/// Begins the transaction: returns `began PID XID`.
pub fn begin() -> String {
    format!(
        "BEGIN;\nSELECT '{RETURNED}began ' || pg_catalog.pg_backend_pid() || ' ' || pg_catalog.txid_current();\n\
         SET LOCAL lock_timeout = '10s';\nSET search_path = pg_catalog;\n"
    )
}

/// Empties the database: returns `emptied`. What cascades to an object that is gone already is no error; what may not be dropped is.
///
/// Tables of extensions stay, but for the rows that a dump has of them because they are the application's (jobs, settings): else
/// each would be there twice. Only of `extensions`, which are those that the dump speaks of.
pub fn empty(extensions: &BTreeSet<Name>) -> String {
    let extensions: Vec<String> = extensions.iter().map(|name| literal(&name.to_string())).collect();
    let extensions = extensions.join(", ");
    format!(
        "DO $bkp$
DECLARE statements text[]; statement text; is_there boolean;
BEGIN
  SELECT pg_catalog.array_agg(pg_catalog.format('DROP %s IF EXISTS %s CASCADE', CASE
             WHEN i.type IN ('function', 'procedure', 'aggregate') THEN 'ROUTINE'
             WHEN i.type = 'composite type' THEN 'TYPE'
             WHEN i.type = 'foreign-data wrapper' THEN 'FOREIGN DATA WRAPPER'
             ELSE pg_catalog.upper(i.type) END, i.identity) ORDER BY o.rank)
    INTO statements FROM ({OBJECTS}) o, pg_catalog.pg_identify_object(o.classid, o.objid, 0) i WHERE o.rank < 10;
  FOREACH statement IN ARRAY coalesce(statements, '{{}}') LOOP
    EXECUTE statement;
  END LOOP;
  PERFORM pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata;
  FOR statement IN
    SELECT pg_catalog.format('FROM ONLY %s %s', c.oid::pg_catalog.regclass, e.condition)
      FROM (SELECT extname, pg_catalog.unnest(extconfig) AS relation, pg_catalog.unnest(extcondition) AS condition FROM pg_catalog.pg_extension) e
      JOIN pg_catalog.pg_class c ON c.oid = e.relation AND c.relkind = 'r'
     WHERE e.extname = ANY (ARRAY[{extensions}]::pg_catalog.text[])
  LOOP
    EXECUTE 'SELECT EXISTS (SELECT ' || statement || ')' INTO is_there;
    IF is_there THEN -- Else the right to delete is not needed.
      EXECUTE 'DELETE ' || statement;
    END IF;
  END LOOP;
  FOR statement IN
    SELECT DISTINCT pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I %s ', pg_catalog.pg_get_userbyid(d.defaclrole), 'IN SCHEMA ' || pg_catalog.quote_ident(n.nspname))
           || c.change
      FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
      CROSS JOIN LATERAL (SELECT CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
           WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' END AS kind) k
      CROSS JOIN LATERAL (
           SELECT pg_catalog.format('REVOKE ALL ON %s FROM %s', k.kind, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END) AS change
             FROM pg_catalog.aclexplode(d.defaclacl) a WHERE a.grantee <> d.defaclrole AND (a.grantee <> 0 OR n.oid IS NOT NULL)
           UNION ALL SELECT pg_catalog.format('GRANT ALL ON %s TO %I', k.kind, pg_catalog.pg_get_userbyid(d.defaclrole)) WHERE n.oid IS NULL
           UNION ALL SELECT 'GRANT EXECUTE ON FUNCTIONS TO PUBLIC' WHERE n.oid IS NULL AND k.kind = 'FUNCTIONS'
           UNION ALL SELECT 'GRANT USAGE ON TYPES TO PUBLIC' WHERE n.oid IS NULL AND k.kind = 'TYPES') c
  LOOP
    EXECUTE statement;
  END LOOP;
  FOR statement IN SELECT pg_catalog.format('DROP SCHEMA %s', i.identity) FROM ({OBJECTS}) o, pg_catalog.pg_identify_object(o.classid, o.objid, 0) i WHERE o.rank = 10 LOOP
    BEGIN
      EXECUTE statement;
    EXCEPTION WHEN dependent_objects_still_exist THEN
      NULL; -- An extension is in it.
    END;
  END LOOP;
END $bkp$;
RESET search_path;
SET LOCAL lock_timeout = 0;
SELECT '{RETURNED}emptied ';\n"
    )
}

/// The end of the load, before the proof: what was deferred is checked now, while nothing is exchanged yet. `more` is run before.
/// Returns `whole XID`, which is the same XID when nothing in the dump has ended the transaction.
pub fn whole(more: &str) -> String {
    format!(
        "\nRESET SESSION AUTHORIZATION;\nSET CONSTRAINTS ALL IMMEDIATE;\nANALYZE;\n{more}\nSELECT '{RETURNED}whole ' || pg_catalog.txid_current();\n"
    )
}

/// What an earlier act put aside, and whether we may write on it.
#[derive(Debug)]
pub struct Earlier {
    /// Its number.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// What is written on it.
    pub journal: Journal,
    /// Its owner, where that is nobody whose rights we have.
    pub foreign: Option<String>,
}

/// Databases that earlier acts on this application put aside.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn earlier(session: &Session, app: &str) -> Result<Vec<Earlier>> {
    let rows = session
        .query(
            "SELECT oid, pg_catalog.textsend(pg_catalog.pg_get_userbyid(datdba)::text) FROM pg_catalog.pg_database WHERE NOT pg_catalog.pg_has_role(datdba, 'USAGE')",
            &[],
        )
        .await
        .context("asking whose the databases are")?;
    let foreign: Vec<(u32, String)> = rows.iter().map(|row| (row.get(0), text(row.get(1)))).collect();
    let all = server::databases(session).await?.into_iter();
    let aside = all.filter_map(|database| {
        let journal = database.journal().filter(|its| its.state == State::Replaced && its.app == app)?;
        let foreign = foreign.iter().find(|(oid, _)| *oid == database.oid).map(|(_, owner)| owner.clone());
        Some(Earlier { oid: database.oid, name: database.name, journal, foreign })
    });
    Ok(aside.collect())
}

/// Writes on what was put aside that this act came later: returns `noted`. As a part of the transaction it is there when the act is.
pub fn note(earlier: Vec<Earlier>, since: &Since) -> String {
    let mut body = String::from("DECLARE aside name;\nBEGIN\n");
    for Earlier { oid, mut journal, .. } in earlier {
        journal.act.get_or_insert_default().since = Some(since.clone());
        // By its number, and in ASCII: names and encodings of other databases are nothing to this session. One that is gone is no error.
        let comment = literal(&journal.comment_text());
        body.push_str(&format!(
            "FOR aside IN SELECT datname FROM pg_catalog.pg_database WHERE oid = {oid} LOOP\n\
             EXECUTE pg_catalog.format('COMMENT ON DATABASE %I IS %L', aside, {comment});\nEND LOOP;\n"
        ));
    }
    body.push_str("END");
    format!("DO {};\nSELECT '{RETURNED}noted ';\n", literal(&body))
}

/// The COMMIT: returns `end committed`.
pub fn commit(transaction: i64) -> String {
    format!("{DURABLE}COMMIT;\nSELECT '{RETURNED}end ' || pg_catalog.txid_status({transaction});\n")
}

/// Whether a transaction was committed; nothing while it goes on, or when the server has forgotten.
///
/// # Errors
/// When the server cannot be asked.
pub async fn is_committed(session: &Session, transaction: i64) -> Result<Option<bool>> {
    let asked = session.query_one("SELECT pg_catalog.txid_status($1)", &[&transaction]).await;
    match asked {
        Ok(row) => Ok(match row.get::<_, Option<&str>>(0) {
            Some("committed") => Some(true),
            Some("aborted") => Some(false),
            _ => None,
        }),
        // The server crashed before it had written anything of the transaction, and counts anew from before it.
        Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => Ok(Some(false)),
        Err(error) => Err(error).context("asking what became of the transaction"),
    }
}

/// Ends the sessions that `pid` waits for, as far as we may; tells who they are.
pub async fn end_blockers(session: &Session, pid: i32) -> Vec<String> {
    let rows = session
        .query(
            "SELECT pid, coalesce(pg_catalog.textsend(usename::text), ''), coalesce(pg_catalog.textsend(application_name), '') FROM pg_catalog.pg_stat_activity WHERE pid = ANY(pg_catalog.pg_blocking_pids($1))",
            &[&pid],
        )
        .await
        .unwrap_or_default();
    let mut blockers = Vec::new();
    for row in rows {
        let blocker: i32 = row.get(0);
        // One that we may not end must not keep us from ending the others.
        let _ = session.query("SELECT pg_catalog.pg_terminate_backend($1)", &[&blocker]).await;
        blockers.push(format!("session {blocker} of {} ({})", text(row.get(1)), text(row.get(2))));
    }
    blockers
}
