//! What a change of password says at its end: what was done where, and what the operator does next.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::commands::Context;
use crate::report;
use crate::repository::restic::Address;
use crate::settings::restic::Password;

/// What was done to a repository.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It has a new key, and the old one is gone.
    Made,
    /// An earlier call had added the new key; the old one is gone now.
    Finished,
    /// It was done already.
    None,
}

/// The record of a change.
#[derive(Serialize)]
pub struct Record {
    command: &'static str,
    repositories: Vec<Row>,
    done: bool,
    next: Vec<String>,
    #[serde(skip)]
    old: Option<Password>,
}

#[derive(Serialize)]
struct Row {
    repository: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Record {
    /// Nothing is done yet.
    pub fn new(context: &Context) -> Record {
        let old = context.settings.restic.as_ref().map(|restic| restic.password.clone());
        Record { command: "change-password", repositories: Vec::new(), done: false, next: Vec::new(), old }
    }

    /// A repository has its new password.
    pub fn says(&mut self, address: &Address, change: Change) {
        self.repositories.push(Row { repository: address.to_string(), change: Some(change), error: None });
    }

    /// A repository does not have its new password.
    pub fn fails(&mut self, address: &Address, error: &anyhow::Error) {
        let error = Some(format!("{error:#}"));
        self.repositories.push(Row { repository: address.to_string(), change: None, error });
    }

    /// Says it; `done` when all repositories have their new password.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn say(mut self, json: bool, new_file: &Path, done: bool) -> Result<()> {
        self.done = done;
        if done {
            self.next = next(self.old.as_ref(), new_file);
            let before = self.repositories.iter().all(|row| matches!(row.change, Some(Change::None)));
            let already = if before { " already" } else { "" };
            tracing::info!("all {} repositories have the new password{already}", self.repositories.len());
            for step in &self.next {
                tracing::info!("next: {step}");
            }
        }
        if json { report::json(&self) } else { Ok(()) }
    }
}

/// What is left to do, in its order.
fn next(old: Option<&Password>, new_file: &Path) -> Vec<String> {
    let swap = match old {
        Some(Password::File(path)) => format!(
            "put the new password in the place of the old one, in {} (in Kubernetes: the value of restic-new-password under restic-password in the secret); bkp opens the repositories with either until then",
            path.display()
        ),
        Some(Password::Command(_)) => {
            "let RESTIC_PASSWORD_COMMAND print the new password; bkp opens the repositories with either until then"
                .to_owned()
        }
        _ => "set RESTIC_PASSWORD to the new password; bkp opens the repositories with either until then".to_owned(),
    };
    vec![
        swap,
        format!(
            "then take {} away (in Kubernetes: restic-new-password), and see that `bkp list` works",
            new_file.display()
        ),
        "keep the old password for as long as there are copies of the repositories that were made before".to_owned(),
    ]
}
