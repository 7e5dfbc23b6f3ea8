//! `bkp resume`: gives back what a dead run left. Every backup and restore begins with the same.

use anyhow::Result;

use super::held::Held;
use super::restore::leftovers;
use super::{Context, Run};
use crate::exit::Exit;

/// Gives back.
///
/// # Errors
/// When another run of the application is alive, or something cannot be given back.
pub async fn resume(context: &Context) -> Result<Exit> {
    let run = Run::begin()?;
    let held = context.stop.or(Held::take(context, &run.session_name("resume"))).await?;
    let given = leftovers::give_back(context, &held, false).await;
    held.release(&context.settings.app).await;
    given?;
    tracing::info!("application {}: nothing is left of dead runs", context.settings.app);
    Ok(Exit::Done)
}
