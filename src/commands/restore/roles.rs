//! The roles of a dump: those that are missing are made, in one transaction.

use anyhow::Result;

use super::loading::Loading;
use super::undo::Undo;
use crate::sources::postgres::load::Loader;
use crate::sources::postgres::server::ident;

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
    // Who creates a role may not act for it, so nothing could be given to it: since 16 a setting does that, before it a membership.
    let (mut begin, mut end) = ("BEGIN;\n", String::new());
    if !loading.target.superuser && loading.target.settings.contains("createrole_self_grant") {
        begin = "BEGIN;\nSET LOCAL createrole_self_grant = 'set, inherit';\n";
    } else if !loading.target.superuser {
        let me = ident(&loading.target.connecting.to_string());
        for role in &loading.plan.new_roles {
            end.push_str(&format!("\nGRANT {} TO {me};", ident(role)));
        }
    }
    end.push_str("\nCOMMIT;\n");
    // The COMMIT is the last that psql gets: whatever dies before it leaves no role.
    for part in [begin.as_bytes(), globals, end.as_bytes()] {
        if loader.write(part).await.is_err() {
            return Err(loader.failure().await.context("making the roles"));
        }
    }
    loader.finish().await?;
    undo.roles.extend(loading.plan.new_roles.iter().cloned());
    tracing::info!("made the roles {}", loading.plan.new_roles.join(", "));
    Ok(())
}
