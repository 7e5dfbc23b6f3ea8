//! `bkp change-password`: gives every restic repository of the application the password of `RESTIC_NEW_PASSWORD_FILE`.
use anyhow::Result;

use super::Context;
use crate::exit::Exit;

pub async fn change_password(_context: &Context) -> Result<Exit> {
    anyhow::bail!("not yet")
}
