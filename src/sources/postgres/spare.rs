//! How many sessions may be opened beside those that are needed: the application wants some of the server's, too.

use std::time::Duration;

use anyhow::{Context, Result};

use super::connect::Session;

/// How long further sessions are waited for: a pooler may let us wait as long as those that we have need the last one.
pub const OPENED_WITHIN: Duration = Duration::from_secs(10);

/// Of the sessions that the server still has to give, one in so many is for us.
const SHARE: i32 = 4;

/// What of the server's sessions may still be opened, for this account and in this database. Of what kind sessions of others are not
/// everybody may see; those have a database then.
const SPARE: &str = "
SELECT LEAST(
  pg_catalog.current_setting('max_connections')::pg_catalog.int4 - pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int4
    - COALESCE(pg_catalog.current_setting('reserved_connections', true)::pg_catalog.int4, 0)
    - (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
        WHERE CASE WHEN backend_type IS NULL THEN datid IS NOT NULL ELSE backend_type = 'client backend' END),
  (SELECT CASE WHEN rolconnlimit >= 0 THEN rolconnlimit - (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE usesysid = r.oid) END
    FROM pg_catalog.pg_roles r WHERE rolname = CURRENT_USER),
  (SELECT CASE WHEN datconnlimit >= 0 THEN datconnlimit - (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE datid = d.oid) END
    FROM pg_catalog.pg_database d WHERE datname = pg_catalog.current_database()))::pg_catalog.int4";

/// How many sessions may be opened in the session's database, beside it.
///
/// # Errors
/// When the server cannot be asked.
pub async fn sessions(session: &Session) -> Result<usize> {
    let spare: i32 = session.query_one(SPARE, &[]).await.context("asking for the server's free sessions")?.get(0);
    Ok(usize::try_from(spare / SHARE).unwrap_or(0))
}
