//! The locks of a run: one at a time per application. With a server, a lock there, which holds between pods and hosts; for files,
//! one on each directory, which holds where the volume is.

use anyhow::Result;

use super::Context;
use crate::sources::files::lock as file_lock;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::{lock, server};

/// Everything that a run holds; it goes with the run, however that ends.
pub struct Held {
    /// The session that holds the server's lock.
    pub session: Option<Session>,
    _files: Vec<file_lock::Lock>,
}

impl Held {
    /// Takes all locks.
    ///
    /// # Errors
    /// Exit code 11 naming the holder.
    pub async fn take(context: &Context, session_name: &str) -> Result<Held> {
        let session = match &context.settings.postgres {
            Some(postgres) => Some(server::maintenance(postgres, session_name).await?),
            None => None,
        };
        Held::with(context, session).await
    }

    /// Takes all locks that can be reached: what does not touch the databases does not wait for their server to be mended.
    ///
    /// # Errors
    /// Exit code 11 naming the holder.
    pub async fn take_without_server(context: &Context, session_name: &str) -> Result<Held> {
        let session = match &context.settings.postgres {
            Some(postgres) => match server::maintenance(postgres, session_name).await {
                Ok(session) => Some(session),
                Err(error) => {
                    tracing::warn!("going on without the lock on the database server: {error:#}");
                    None
                }
            },
            None => None,
        };
        Held::with(context, session).await
    }

    async fn with(context: &Context, session: Option<Session>) -> Result<Held> {
        let settings = &context.settings;
        if let Some(session) = &session {
            lock::acquire(session, &settings.app, settings.lock_wait).await?;
        }
        let mut locks = Vec::new();
        for root in settings.files.iter().flat_map(|files| &files.roots) {
            // A directory that is not there is found, and told, by whoever needs it.
            if root.is_dir() {
                locks.push(file_lock::acquire(root, settings.lock_wait).await?);
            }
        }
        Ok(Held { session, _files: locks })
    }

    /// Whether the server's lock is still ours.
    ///
    /// # Errors
    /// When it is lost.
    pub async fn still(&self, app: &str) -> Result<()> {
        match &self.session {
            Some(session) => lock::held(session, app).await,
            None => Ok(()),
        }
    }

    /// Gives the server's lock back at once: the next run may come before the server has noticed that we are gone.
    pub async fn release(&self, app: &str) {
        if let Some(session) = &self.session {
            lock::release(session, app).await;
        }
    }
}
