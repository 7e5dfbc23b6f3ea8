//! The roles of a dump: those that are missing are made, in one transaction, before a database is loaded or (`--only roles`) alone.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::loading::Loading;
use super::plan::Plan;
use super::preflight::Target;
use super::reading::{self, Read, Stored};
use super::undo::Undo;
use super::{Context, Request, Run};
use crate::commands::held::Held;
use crate::error::Failure;
use crate::exit::Exit;
use crate::report;
use crate::settings::{Postgres, Roles};
use crate::sources::postgres::clients::{self, Client};
use crate::sources::postgres::lexer::{DumpError, Event, Lexer, Place};
use crate::sources::postgres::load::Loader;
use crate::sources::postgres::rewrite::{Begun, Piece, Policy, Rewriter};
use crate::sources::postgres::server::ident;
use crate::sources::postgres::statement::Statement;

/// Runs the global statements that the rewriter left.
///
/// # Errors
/// When one fails: none has an effect then.
pub async fn apply(loading: &Loading<'_>, globals: &[u8], undo: &mut Undo) -> Result<()> {
    if loading.plan.new_roles.is_empty() {
        return Ok(());
    }
    let session_name = loading.run.session_name(loading.command);
    let at = (loading.postgres, loading.client, loading.main.database(), session_name.as_str());
    in_one_transaction(at, (loading.target, &loading.plan.new_roles), globals).await?;
    undo.roles.extend(loading.plan.new_roles.iter().cloned());
    tracing::info!("made the roles {}", loading.plan.new_roles.join(", "));
    Ok(())
}

async fn in_one_transaction(
    (postgres, client, database, session_name): (&Postgres, &Client, &str, &str),
    (target, new_roles): (&Target, &[String]),
    statements: &[u8],
) -> Result<()> {
    let mut loader = Loader::start(postgres, client, database, session_name).await?;
    let (before, after) = acting_for(target, new_roles);
    let (begin, end) = (format!("BEGIN;\n{before}"), format!("\n{after}COMMIT;\n"));
    // The COMMIT is the last that psql gets: whatever dies before it leaves no role.
    let fed = async {
        loader.write(begin.as_bytes()).await?;
        let mut written = 0;
        for (at, begun) in begun(statements) {
            loader.write(&statements[written..at]).await?;
            loader.remember(begun);
            written = at;
        }
        loader.write(&statements[written..]).await?;
        loader.write(end.as_bytes()).await
    };
    if fed.await.is_err() {
        return Err(loader.failure().await.context("making the roles"));
    }
    loader.finish().await?;
    Ok(())
}

/// What stands before and after the statements that make roles, so that objects can be given to them: who creates a role may not
/// act for it. Since 16 a setting does that, before it a membership.
pub(in crate::commands) fn acting_for(target: &Target, new_roles: &[String]) -> (&'static str, String) {
    match target {
        Target { superuser: true, .. } => ("", String::new()),
        target if target.settings.contains("createrole_self_grant") => {
            ("SET LOCAL createrole_self_grant = 'set, inherit';\n", String::new())
        }
        target => {
            let me = ident(&target.connecting.to_string());
            ("", new_roles.iter().map(|role| format!("GRANT {} TO {me};\n", ident(role))).collect())
        }
    }
}

/// Where each statement begins, and what it is about: the one that fails is told by that, and never with a password.
fn begun(statements: &[u8]) -> Vec<(usize, Begun)> {
    let (mut at, mut all) = (0, Vec::new());
    let mut take = |place: Place, event: Event<'_>| {
        if let Event::Statement(sql) = event {
            let begun = Begun::of(&Statement::parse(sql, place.standard_strings), place.standard_strings);
            let lines = sql.iter().filter(|byte| **byte == b'\n').count() as u64;
            all.push((at, Begun { lines: Some(lines), ..begun }));
        }
        at += event.bytes().len();
        Ok::<(), DumpError>(())
    };
    let mut lexer = Lexer::new();
    // They were read before, as a part of the dump. Where they cannot be read alone, less is told.
    let _ = lexer.push(statements, &mut take).and_then(|()| lexer.finish(&mut take));
    all
}

/// `--only roles`: the roles that the server lacks are made, those that it has are changed when that is set, and nothing else.
///
/// # Errors
/// When one statement fails: none has an effect then. Run again, it finds what is there.
pub async fn restore(
    context: &Context,
    run: &Run,
    request: &Request,
    (name, read): (&str, &Option<(&Stored, Read)>),
    held: &Held,
) -> Result<Exit> {
    let (settings, postgres) = (&context.settings, context.postgres()?);
    if settings.restore.roles == Roles::None {
        bail!(
            Failure::new("BKP_RESTORE_ROLES=none says that no role is restored")
                .hint("unset it to make those that are missing, or set it to all to change the others too")
                .exit(Exit::Usage)
        );
    }
    let no_roles = || Failure::new(format!("{name} holds no roles")).hint("choose another one: bkp list");
    let (Some((stored, read)), Some(main)) = (read, &held.session) else { bail!(no_roles()) };
    let roles = &read.survey.globals.created;
    if roles.is_empty() {
        bail!(no_roles());
    }
    let target = Target::ask(main).await?;
    let plan = Plan::beside(str::to_owned, settings, &read.survey, &[], &target);
    let is_ours = |role: &_| *role == &target.connecting;
    let there: Vec<String> =
        roles.intersection(&target.roles).filter(|role| !is_ours(role)).map(ToString::to_string).collect();
    let changed = if settings.restore.roles == Roles::All { there.clone() } else { Vec::new() };
    say(&plan.new_roles, &changed, &there);
    if !plan.new_roles.is_empty() && !target.create_role {
        bail!(
            Failure::new(format!("the account {} may not create roles; nothing was done", target.connecting))
                .hint("ALTER ROLE it CREATEROLE, or restore as a superuser")
        );
    }
    let is_to_do = !(plan.new_roles.is_empty() && changed.is_empty());
    if is_to_do && !request.dry_run {
        super::go_ahead(context, request.yes, super::GO_AHEAD).await?;
        let statements = context.stop.or(statements(stored, read, plan.policy)).await?;
        let installed = clients::installed(&settings.client_dirs).await?;
        let client = clients::for_load(&installed, target.major)?;
        let session_name = run.session_name("restore");
        context.stop.check()?;
        let at = (postgres, client, main.database(), session_name.as_str());
        in_one_transaction(at, (&target, &plan.new_roles), &statements).await.map_err(|error| {
            let hint = "the roles are made and changed in one transaction: all or none; run it again when what the message names is mended";
            Failure::new("the roles could not be restored").hint(hint).because(error)
        })?;
    }
    held.release(&settings.app).await;
    let made = plan.new_roles;
    match (request.dry_run, is_to_do) {
        (true, _) => tracing::info!("dry run: nothing was done"),
        (false, true) => {
            tracing::info!("restored the roles from {name}: {} made, {} changed", made.len(), changed.len())
        }
        (false, false) => tracing::info!("there was nothing to do"),
    }
    if context.json {
        report::json(&serde_json::json!({"command": "restore", "dry_run": request.dry_run, "run": run.id,
            "app": settings.app, "object": name, "roles_made": made, "roles_changed": changed}))?;
    }
    Ok(Exit::Done)
}

fn say(made: &[String], changed: &[String], there: &[String]) {
    if !made.is_empty() {
        tracing::info!("plan: roles to make: {}", made.join(", "));
    }
    if !changed.is_empty() {
        tracing::info!(
            "plan: roles to change to what the backup has, with their passwords: {}; --undo does not bring back what they are now",
            changed.join(", ")
        );
    } else if !there.is_empty() {
        tracing::info!(
            "plan: left alone, because they exist (BKP_RESTORE_ROLES=all changes them): {}",
            there.join(", ")
        );
    }
    tracing::info!("plan: no database and no file is touched");
}

/// What of the dump is about roles, as the server can run it.
async fn statements(stored: &Stored, read: &Read, policy: Policy) -> Result<Vec<u8>> {
    let policy = Policy { sections_wanted: Some(BTreeSet::new()), ..policy };
    let (mut sql, mut rewriter) = (reading::again(stored, read), Rewriter::new(policy));
    // Changes of roles that exist stand after all that is made, as in a restore of databases.
    let (mut globals, mut existing) = (Vec::new(), Vec::new());
    let mut take = |piece: Piece<'_>| {
        match piece {
            Piece::Global(sql) => globals.extend_from_slice(sql),
            Piece::ExistingRole(sql) => {
                existing.extend_from_slice(sql);
                existing.push(b'\n');
            }
            _ => {}
        }
        Ok(())
    };
    while let Some(piece) = sql.next().await? {
        rewriter.push(&piece, &mut take)?;
    }
    rewriter.finish(&mut take)?;
    globals.push(b'\n');
    globals.append(&mut existing);
    Ok(globals)
}
