//! Where the swap stands: a database cannot be renamed by a session that is in it.

use anyhow::{Context as _, Result};

use super::leftovers;
use super::undo::Undo;
use crate::commands::{Context, Run};
use crate::settings::KeepReplaced;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::durable::durably;
use crate::sources::postgres::server::{self, ident, literal};
use crate::sources::postgres::side::{self, Journal, State};

/// The name that a side database of no application's has.
const STANDING: &str = "maintenance";

/// A session beside the databases to swap, when `main` is in one of them. The lock stays with `main`, which the swap ends last.
/// Where `postgres` and `template1` are both swapped, an empty database is made to stand in.
///
/// # Errors
/// When there is no such place and none can be made.
pub async fn session(
    context: &Context,
    run: &Run,
    main: &Session,
    targets: &[String],
    undo: &mut Undo,
) -> Result<Option<Session>> {
    if !targets.iter().any(|target| target == main.database()) {
        return Ok(None);
    }
    let settings = &context.settings;
    let session_name = run.session_name("restore");
    if let Some(session) = server::maintenance_beside(context.postgres()?, &session_name, targets).await? {
        return Ok(Some(session));
    }
    let name = side::loading_name(STANDING, &run.id);
    undo.databases.push(name.clone());
    let journal = Journal {
        state: State::Loading,
        app: settings.app.clone(),
        run: run.id.clone(),
        database: STANDING.to_owned(),
        comment: None,
        act: None,
    };
    main.batch_execute(&format!("CREATE DATABASE {} TEMPLATE template0", ident(&name)))
        .await
        .context("making a database for the swap to stand in")?;
    let comment = format!("COMMENT ON DATABASE {} IS {}", ident(&name), literal(&journal.comment_text()));
    main.batch_execute(&durably(&comment)).await.context("marking it")?;
    Session::connect(context.postgres()?, &name, &session_name).await.map(Some).map_err(server::told)
}

/// After the swap: drops the database that [`session`] may have made and, where nothing is to be kept, what was `replaced`; gives what
/// of that is there. The swap is done, so what cannot be dropped is told, and is no error: the next sealed backup tries again.
pub async fn finish(context: &Context, run: &Run, main: &Session, mut replaced: Vec<String>) -> Vec<String> {
    let again;
    let main = if main.is_closed() {
        let connected = async { server::maintenance(context.postgres()?, &run.session_name("restore")).await };
        match connected.await {
            Ok(session) => {
                again = session;
                &again
            }
            Err(error) => {
                tracing::warn!("all is swapped, but the server is away, so nothing could be cleared up: {error:#}");
                return replaced;
            }
        }
    } else {
        main
    };
    if let Err(error) = leftovers::drop_database(main, &side::loading_name(STANDING, &run.id)).await {
        tracing::warn!("a database that the swap stood in is left; the next run drops it: {error:#}");
    }
    if context.settings.restore.keep_replaced == KeepReplaced::Never {
        let mut left = Vec::new();
        for name in replaced {
            if let Err(error) = leftovers::drop_database(main, &name).await {
                tracing::warn!("{name}, which was replaced, is still there: {error:#}");
                left.push(name);
            }
        }
        replaced = left;
    }
    replaced
}

/// Whether this is the name of such a database.
pub fn is_one(name: &str) -> bool {
    side::run_in_name(name).is_some_and(|run| side::loading_name(STANDING, run) == name)
}
