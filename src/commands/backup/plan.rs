//! What a backup will save, asked of the server and the file system before anything is produced.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::before::Sizes;
use super::parts::Common;
use crate::commands::{Context, Run, pausing};
use crate::error::Failure;
use crate::settings::{Databases, Postgres, SavedRoles, Settings};
use crate::sources::Item;
use crate::sources::files::root;
use crate::sources::postgres::clients::{self, Client};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::{server, side};

/// What is saved.
pub struct Plan {
    /// The databases, when there are any.
    pub dump: Option<Dump>,
    /// The directories.
    pub roots: Vec<PathBuf>,
}

/// Which databases, and with which programs.
pub struct Dump {
    /// The client programs.
    pub client: Client,
    /// The server's version.
    pub server: String,
    /// The databases, in order.
    pub databases: Vec<String>,
    /// Those that cannot be saved, because they accept no connections.
    pub skipped: Vec<String>,
    /// Whether they were named.
    pub named: bool,
}

impl Plan {
    /// Decides; an empty or missing directory is found here.
    ///
    /// # Errors
    /// When something that is to be saved is not there.
    pub async fn make(context: &Context, session: Option<&Session>) -> Result<Plan> {
        let settings = &context.settings;
        let dump = match (session, &settings.postgres) {
            (Some(session), Some(postgres)) => Some(Dump::plan(settings, postgres, session).await?),
            _ => None,
        };
        let roots = match &settings.files {
            Some(options) => {
                for root in &options.roots {
                    root::check(root, options.allow_empty, &pausing::config(settings)?.own_files())?;
                }
                options.roots.clone()
            }
            None => Vec::new(),
        };
        Ok(Plan { dump, roots })
    }

    /// Everything that the run sets out to save, in restic's way: item by item.
    pub fn items(&self, settings: &Settings) -> Vec<Item> {
        let mut items = Vec::new();
        if let Some(dump) = &self.dump {
            if settings.saved_roles != SavedRoles::None {
                items.push(Item::Roles);
            }
            items.extend(dump.databases.iter().cloned().map(Item::Database));
        }
        items.extend(self.roots.iter().cloned().map(Item::Files));
        items
    }

    /// What all snapshots of a run of it have in common.
    pub fn common(&self, run: &Run, settings: &Settings, tags: &[String], safety: bool) -> Common {
        let dump = self.dump.as_ref();
        Common {
            run: run.id.clone(),
            app: settings.app.clone(),
            plan: self.items(settings),
            server: dump.map(|dump| dump.server.clone()).unwrap_or_default(),
            client: dump.map(|dump| dump.client.version.clone()).unwrap_or_default(),
            tags: tags.to_vec(),
            safety,
            guarded: false,
            measure: None,
            before: Sizes::default(),
        }
    }

    /// Tells it.
    pub fn say(&self, app: &str) {
        if let Some(dump) = &self.dump {
            tracing::info!(
                "application {app}: {} of a PostgreSQL {} server, with the client programs {}",
                dump.databases.join(", "),
                dump.server,
                dump.client.version
            );
            for name in &dump.skipped {
                tracing::warn!("database {name} is skipped: it accepts no connections");
            }
        }
        for root in &self.roots {
            tracing::info!("application {app}: the files in {}", root.display());
        }
    }

    /// The record of a dry run.
    pub fn record(&self, app: &str) -> serde_json::Value {
        let mut record = serde_json::json!({"command": "backup", "dry_run": true, "app": app, "files": self.roots});
        if let Some(dump) = &self.dump {
            record["server"] = dump.server.clone().into();
            record["client"] = dump.client.version.clone().into();
            record["databases"] = dump.databases.clone().into();
            record["skipped"] = dump.skipped.clone().into();
        }
        record
    }
}

impl Dump {
    /// Decides for the databases alone.
    ///
    /// # Errors
    /// When no client programs fit the server, or a named database cannot be saved.
    pub async fn plan(settings: &Settings, postgres: &Postgres, session: &Session) -> Result<Dump> {
        let client = Dump::client(settings, session).await?;
        let (databases, skipped) = Dump::databases(postgres, session).await?;
        let named = matches!(postgres.databases, Databases::Named(_));
        Ok(Dump { client, server: server::version(session).await?, databases, skipped, named })
    }

    /// The programs that save this server.
    ///
    /// # Errors
    /// When none fits.
    pub async fn client(settings: &Settings, session: &Session) -> Result<Client> {
        let installed = clients::installed(&settings.client_dirs).await?;
        Ok(clients::for_dump(&installed, session.server_version_major())?.clone())
    }

    /// The databases to be saved, and those of all that accept no connections.
    ///
    /// # Errors
    /// When a named one is not there, or accepts none.
    pub async fn databases(postgres: &Postgres, session: &Session) -> Result<(Vec<String>, Vec<String>)> {
        let here = server::databases(session).await?;
        let (mut databases, mut skipped) = (Vec::new(), Vec::new());
        match &postgres.databases {
            Databases::All => {
                // What a restore made or put aside is no data of the application's.
                let is_data = |database: &&server::Database| {
                    // A drill goes on beside a backup, which may see its databases before their journal is there.
                    let of_a_drill = side::drill_in_name(&database.name).is_some() && database.comment.is_none();
                    database.journal().is_none() && !of_a_drill
                };
                for database in here.iter().filter(is_data) {
                    if database.connectable { &mut databases } else { &mut skipped }.push(database.name.clone());
                }
            }
            Databases::Named(named) => {
                for name in named {
                    match here.iter().find(|database| database.name == *name) {
                        Some(database) if database.connectable => databases.push(name.clone()),
                        Some(_) => bail!(
                            Failure::new(format!("database {name} accepts no connections, so it cannot be saved"))
                                .hint(format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", server::ident(name)))
                        ),
                        None => {
                            let names: Vec<&str> = here.iter().map(|database| database.name.as_str()).collect();
                            bail!(
                                Failure::new(format!(
                                    "there is no database {name} on the server; there are {}",
                                    names.join(", ")
                                ))
                                .hint("correct POSTGRES_DB or BKP_DATABASES")
                            )
                        }
                    }
                }
            }
        }
        Ok((databases, skipped))
    }
}
