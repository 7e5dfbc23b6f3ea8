//! `bkp resume`: gives back what a dead run left. Every backup and restore begins with the same.

use anyhow::{Result, bail};

use super::held::Held;
use super::restore::leftovers;
use super::{Context, pausing};
use crate::error::Failure;
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
        let stays = leftovers::give_back(context, &held, false).await?;
        pausing::can_be_seen(&context.settings).await.map(|()| stays)
    };
    let given = context.stop.or_soon(giving).await;
    held.release(&context.settings.app).await;
    let stays = given?;
    let app = &context.settings.app;
    if stays.refused > 0 {
        bail!(
            Failure::new(format!("application {app}: not all that dead runs left could be removed, as told above"))
                .hint("see what is told above; the next start of the application tries again, and so does bkp resume")
        );
    }
    match stays.alone {
        0 => tracing::info!("application {app}: nothing is left of dead runs"),
        _ => tracing::info!("application {app}: all is given back; what is not removed here is told above"),
    }
    if context.json {
        report::json(&serde_json::json!({"command": "resume", "app": app}))?;
    }
    Ok(Exit::Done)
}
