//! `bkp resume`: gives back what a dead run left. Every backup and restore begins with the same.

use anyhow::Result;

use super::held::Held;
use super::restore::leftovers;
use super::{Context, pausing};
use crate::exit::Exit;
use crate::report;

/// Gives back.
///
/// # Errors
/// When another run of the application is alive, or something cannot be given back.
pub async fn resume(context: &Context) -> Result<Exit> {
    let run = context.begin()?;
    let held = context.stop.or(Held::take(context, &run.session_name("resume"))).await?;
    let giving = async {
        leftovers::give_back(context, &held, false).await?;
        pausing::can_be_seen(&context.settings).await
    };
    let given = context.stop.or_soon(giving).await;
    held.release(&context.settings.app).await;
    given?;
    let app = &context.settings.app;
    tracing::info!("application {app}: nothing is left of dead runs");
    if context.json {
        report::json(&serde_json::json!({"command": "resume", "app": app}))?;
    }
    Ok(Exit::Done)
}
