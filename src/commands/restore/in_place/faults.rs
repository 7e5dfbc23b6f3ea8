//! Why a live database cannot be loaded in place.

use crate::sources::postgres::in_place::{Earlier, Live};
use crate::sources::postgres::server;

/// What was put aside and cannot be told of this restore would be taken for the last state by an undo.
pub(super) fn unmarkable(earlier: &[Earlier], account: &str) -> Vec<String> {
    let told = |earlier: &Earlier| {
        let (owner, name) = (earlier.foreign.as_deref()?, &earlier.name);
        Some(format!(
            "{name}, which an earlier restore put aside, belongs to {owner}, so {account} cannot note on it that this restore came later, and --undo would take it for the last state: as its owner, DROP DATABASE {} if nobody needs it, or GRANT {} TO {account}",
            server::ident(name),
            server::ident(owner)
        ))
    };
    earlier.iter().filter_map(told).collect()
}

/// Why the database cannot be emptied and loaded in one transaction.
pub(super) fn hindrances(database: &str, account: &str, live: &Live, tables: usize, under: bool) -> Vec<String> {
    let mut faults = Vec::new();
    if under && live.objects > 0 {
        faults.push(format!(
            "database {database} is not empty; without CREATEDB, --as loads into an empty database only: ALTER ROLE {account} CREATEDB, or empty it"
        ));
    }
    if !live.foreign.is_empty() {
        faults.push(format!(
            "database {database} holds what {account} may not drop, so old and new would be mixed: {}; GRANT their owners' roles to {account}, or restore with a superuser",
            live.foreign.join(", ")
        ));
    }
    if !live.subscriptions.is_empty() {
        faults.push(format!(
            "database {database} has subscriptions, which cannot be dropped in a transaction: {}; DROP SUBSCRIPTION them first",
            live.subscriptions.join(", ")
        ));
    }
    let kept: Vec<&str> =
        live.kept_tables.iter().filter(|table| !table.ours).map(|table| table.name.as_str()).collect();
    if !kept.is_empty() {
        let list = kept.join(", ");
        faults.push(format!(
            "the dump has rows of tables that belong to extensions, and {account} may not replace these: GRANT INSERT, DELETE ON {list} TO {account}"
        ));
    }
    // A table of the dump, its row type's storage and the index and sequence that most have.
    let needed = live.locks + 4 * i64::try_from(tables).unwrap_or(i64::MAX / 8);
    let (room, per) = live.lock_room;
    if needed > room {
        let enough = needed.saturating_mul(per) / room.max(1) + per;
        faults.push(format!(
            "loading {database} in one transaction takes about {needed} locks, and the server has room for {room}: set max_locks_per_transaction = {enough} (it is {per}) and restart the server, or ALTER ROLE {account} CREATEDB"
        ));
    }
    faults
}
