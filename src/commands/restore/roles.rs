//! The roles of a dump: those that are missing are made, in one transaction.

use anyhow::Result;

use super::loading::Loading;
use super::undo::Undo;
use crate::sources::postgres::load::Loader;

/// Runs the global statements that the rewriter left.
///
/// # Errors
/// When one fails: none has an effect then.
pub async fn apply(loading: &Loading<'_>, globals: &[u8], undo: &mut Undo) -> Result<()> {
    if loading.plan.new_roles.is_empty() {
        return Ok(());
    }
    let session_name = loading.run.session_name(loading.command);
    let mut loader = Loader::start(loading.postgres, loading.client, loading.main.database(), &session_name).await?;
    // Since 16 who creates a role may not act for it, so nothing could be given to it; the server's default takes that away.
    let begin = match loading.target.settings.contains("createrole_self_grant") && !loading.target.superuser {
        true => "BEGIN;\nSET LOCAL createrole_self_grant = 'set, inherit';\n",
        false => "BEGIN;\n",
    };
    // The COMMIT is the last that psql gets: whatever dies before it leaves no role.
    for part in [begin.as_bytes(), globals, b"\nCOMMIT;\n"] {
        if loader.write(part).await.is_err() {
            return Err(loader.failure().await.context("making the roles"));
        }
    }
    loader.finish().await?;
    undo.roles.extend(loading.plan.new_roles.iter().cloned());
    tracing::info!("made the roles {}", loading.plan.new_roles.join(", "));
    Ok(())
}
