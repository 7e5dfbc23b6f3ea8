//! Putting proven side databases in place of the live ones, in one transaction.
//!
//! Two renames a database. `RENAME` takes the lock that new sessions need, waits up to five seconds for old ones to go, and is
//! transactional: whatever dies between the renames leaves the old names. While the first session waits, a second one ends what
//! is connected, again and again, because applications reconnect.

use std::time::Duration;

use anyhow::{Context, Result};

use super::connect::Session;
use super::durable::{DURABLE, durably};
use super::obstacles;
use super::server::{ident, literal};
use super::side::{Journal, State};
use crate::error::Failure;
use crate::settings::Postgres;
use crate::sources::act::Act;

/// One database to swap.
#[derive(Debug, Clone)]
pub struct Swap {
    /// The live name.
    pub database: String,
    /// What comes in its place: a proven side database, or what was put aside. Without it the name is given up.
    pub side: Option<String>,
    /// The name for the live one, if there is one.
    pub replaced: Option<String>,
    /// The comment that the restored database gets.
    pub comment: Option<String>,
    /// The comment that the live one has.
    pub live_comment: Option<String>,
}

/// The COMMIT was sent, and its answer never came.
#[derive(Debug)]
pub struct InDoubt;

impl std::fmt::Display for InDoubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the server did not answer to the swap's COMMIT")
    }
}

/// Swaps all of them, or none.
///
/// `statements` run first, in the same transaction. `act` is noted on everything that is put aside.
///
/// # Errors
/// When a session could not be ended or a rename failed: nothing has changed then. [`InDoubt`] when that is not known.
pub async fn swap(
    main: &Session,
    helper: &Session,
    swaps: &[Swap],
    statements: &[String],
    (app, run, act): (&str, &str, &Act),
) -> Result<()> {
    let mut script = String::from("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10s';\n");
    for statement in statements {
        script.push_str(statement);
        script.push('\n');
    }
    for swap in swaps {
        if let Some(replaced) = &swap.replaced {
            let journal = Journal {
                state: State::Replaced,
                app: app.to_owned(),
                run: run.to_owned(),
                database: swap.database.clone(),
                comment: swap.live_comment.clone(),
                act: Some(act.clone()),
            };
            script.push_str(&format!("ALTER DATABASE {} RENAME TO {};\n", ident(&swap.database), ident(replaced)));
            script.push_str(&format!(
                "COMMENT ON DATABASE {} IS {};\n",
                ident(replaced),
                literal(&journal.comment_text())
            ));
        }
        let Some(side) = &swap.side else { continue };
        script.push_str(&format!("ALTER DATABASE {} RENAME TO {};\n", ident(side), ident(&swap.database)));
        let comment = swap.comment.as_deref().map_or("NULL".to_owned(), literal);
        script.push_str(&format!("COMMENT ON DATABASE {} IS {comment};\n", ident(&swap.database)));
    }
    let names: Vec<&str> = swaps
        .iter()
        .flat_map(|swap| [Some(&swap.database), swap.side.as_ref()])
        .flatten()
        .map(String::as_str)
        .collect();
    let mut last = None;
    // A session that was starting while the first rename counted them is gone at the second try.
    for _ in 0..3 {
        // COMMIT is a statement of its own, sent when everything before it is known to have worked.
        match while_ending_sessions(main, helper, &names, &script).await {
            Ok(()) => {
                main.batch_execute(DURABLE)
                    .await
                    .context("the server went away during the swap; nothing was swapped")?;
                return main.batch_execute("COMMIT").await.context(InDoubt);
            }
            Err(error) => {
                main.batch_execute("ROLLBACK")
                    .await
                    .context("the server went away during the swap; nothing was swapped")?;
                last = Some(error);
            }
        }
    }
    let error = last.unwrap_or_else(|| anyhow::anyhow!("not tried"));
    let there = obstacles::sessions(helper, &names).await;
    let hint = if there.is_empty() {
        "run it again when what the message names is mended".to_owned()
    } else {
        format!(
            "connected still: {}; sessions of a superuser can only be ended by a superuser, those of other roles need pg_signal_backend; stop the application, then run it again",
            there.join(", ")
        )
    };
    Err(Failure::new("the databases could not be swapped; the live ones are untouched")
        .hint(hint)
        .because(error)
        .into())
}

/// A comment is kept in the bytes of the database that it was said in, and pg_dump reads it from within the one that it is on.
/// The swap speaks from another one, so that a comment beyond ASCII is said once more from within.
pub async fn comment_in_its_own_encoding(settings: &Postgres, session_name: &str, swap: &Swap) {
    let Some(comment) = swap.comment.as_deref().filter(|comment| !comment.is_ascii()) else { return };
    let statement = durably(&format!("COMMENT ON DATABASE {} IS {}", ident(&swap.database), literal(comment)));
    let said = match Session::connect(settings, &swap.database, session_name).await {
        Ok(session) => session.batch_execute(&statement).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(why) = said {
        tracing::warn!("the comment of {} may be garbled where its encoding is not UTF-8: {why}", swap.database);
    }
}

async fn while_ending_sessions(main: &Session, helper: &Session, names: &[&str], script: &str) -> Result<()> {
    let renames = main.batch_execute(script);
    tokio::pin!(renames);
    loop {
        tokio::select! {
            done = &mut renames => return done.map_err(anyhow::Error::from),
            () = tokio::time::sleep(Duration::from_millis(50)) => {
                // One session that we may not end must not keep us from ending the others.
                let ended = helper.query("SELECT pid FROM pg_catalog.pg_stat_activity WHERE datname = ANY($1) AND pid <> pg_catalog.pg_backend_pid()", &[&names]).await;
                for row in ended.unwrap_or_default() {
                    let _ = helper.query("SELECT pg_catalog.pg_terminate_backend($1)", &[&row.get::<_, i32>(0)]).await;
                }
            }
        }
    }
}
