//! COMMITs that decide about files or databases: they must outlive a crash of the server, also where an account, a database or the
//! server has `synchronous_commit` off, and a COMMIT is answered before it is on disk.

/// Sent by itself just before such a COMMIT: for this transaction only, and only where nobody waits at all. What says more is left as
/// it is, also when it was said since the transaction began: a session hears of that between its messages.
pub const DURABLE: &str = "SELECT pg_catalog.set_config('synchronous_commit', 'local', true)
  WHERE pg_catalog.current_setting('synchronous_commit') = 'off';\n";

/// A statement that is its own transaction, waited for in the same way.
pub fn durably(statement: &str) -> String {
    format!("{DURABLE}{statement}")
}
