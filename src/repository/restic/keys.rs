//! The passwords of a repository. Each is a key; a repository opens with any of them.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::call::Call;
use super::repo::{Password, Probe, Repository};
use crate::error::{Failure, exit_of};
use crate::exit::Exit;

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Key {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Whether it is the one that our password opened.
    pub current: bool,
    /// The account it was added by.
    #[serde(rename = "userName", default)]
    pub user: String,
    /// The host it was added on.
    #[serde(rename = "hostName", default)]
    pub host: String,
    /// When, in UTC and in restic's words: `2026-11-21 09:45:37`.
    #[serde(default)]
    pub created: String,
}

impl Repository {
    /// All keys.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub async fn keys(&self) -> Result<Vec<Key>> {
        let said = self.ask(Call::new("list the keys", ["key", "list", "--json", "--no-lock"]).short()).await?;
        serde_json::from_slice(&said).context("restic's list of keys is none")
    }

    /// The id of the key that our password opens; nothing when it opens none.
    ///
    /// # Errors
    /// When that cannot be told.
    pub async fn own_key(&self) -> Result<Option<String>> {
        match self.keys().await {
            Ok(keys) => {
                let own = keys.into_iter().find(|key| key.current).map(|key| key.id);
                own.map(Some).context("restic does not say which key it opened the repository with")
            }
            Err(error) if exit_of(&error) == Exit::WrongPassword => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds a password, and gives its key's id. The old ones stay.
    ///
    /// # Errors
    /// When it is empty, no single line, or cannot be added.
    pub async fn add_key(&self, new: &Password, host: &str) -> Result<String> {
        let mut call = Call::new("add a key", ["key", "add", "--host", host]).short();
        let mut line = Vec::new();
        match new {
            Password::File(path) => call = call.with(["--new-password-file".as_ref(), path.as_os_str()]),
            Password::Secret(secret)
                if !secret.expose().is_empty() && !secret.expose().contains(['\n', '\r', '\0']) =>
            {
                // restic reads it from its input as it is, while it would take white space off what a file holds.
                line.extend_from_slice(secret.expose().as_bytes());
                line.push(b'\n');
                call.how.input = Some(&line);
            }
            Password::Secret(_) => {
                bail!(Failure::new("the new password is empty, or has more than one line").exit(Exit::Usage))
            }
            Password::Command(_) | Password::FromEnvironment => {
                bail!(
                    Failure::new("a new password comes out of a file")
                        .hint("set RESTIC_NEW_PASSWORD_FILE")
                        .exit(Exit::Usage)
                )
            }
        }
        let answer = self.act(&call).await?;
        if !answer.status.success() {
            return Err(self.failure(&call, &answer));
        }
        let said = String::from_utf8_lossy(&answer.out);
        let id = said
            .split_whitespace()
            .rev()
            .find(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
        id.map(ToOwned::to_owned).context("restic does not say which key it added")
    }

    /// Removes a key; never the one that our password opens.
    ///
    /// # Errors
    /// When it is that one, is not there, or cannot be removed.
    pub async fn remove_key(&self, id: &str) -> Result<()> {
        let call = Call::new("remove a key", ["key", "remove", "--", id]).short();
        let answer = self.act(&call).await?;
        if answer.status.success() { Ok(()) } else { Err(self.failure(&call, &answer)) }
    }

    /// Whether another password opens the repository.
    ///
    /// # Errors
    /// When that cannot be told, or there is no repository.
    pub async fn opens_with(&self, password: &Password) -> Result<bool> {
        match self.with_password(password.clone()).probe().await {
            Ok(Probe::There) => Ok(true),
            Ok(Probe::Missing) => {
                let missing = Failure::new(format!("there is no repository at {}", self.address));
                bail!(missing.hint("correct the address, or make the repository: bkp init").exit(Exit::NoRepository))
            }
            Err(error) if exit_of(&error) == Exit::WrongPassword => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_restic_lists_them() {
        let said =
            r#"[{"current":true,"id":"4038","userName":"root","hostName":"vm","created":"2026-11-21 09:45:37"}]"#;
        let keys: Vec<Key> = serde_json::from_str(said).unwrap();
        assert!(keys[0].current && keys[0].host == "vm" && keys[0].id == "4038");
    }
}
