//! `bkp list`: what there is to restore, newest first.

mod filter;
mod row;
mod table;

use anyhow::{Result, bail};

use super::catalog::{self, Saved};
use super::repositories::Repositories;
use super::{Context, now, replaced, shrink};
use crate::error::Failure;
use crate::exit::Exit;
use crate::report;
use filter::Filter;
use row::Row;

/// What the operator asked for.
pub use crate::cli::List as Request;

/// Lists everything that there is to restore, or what of it fits the request. Below it, for people, what restores put aside.
///
/// # Errors
/// When a repository cannot be listed, and when there are backups but none that fits.
pub async fn list(context: &Context, request: &Request, no_color: bool) -> Result<Exit> {
    if request.replaced {
        return list_replaced(context).await;
    }
    let now = now();
    let filter = Filter::of(request, now)?;
    let repositories = context.stop.or(Repositories::open_to_list(context)).await?;
    let host = request.host.as_deref();
    let mut saved = context.stop.or(catalog::saved(&repositories, &context.settings, host)).await?;
    if let (true, Some(host)) = (saved.is_empty(), host) {
        let all = context.stop.or(catalog::saved(&repositories, &context.settings, None)).await?;
        refuse_host(&all, host)?;
    }
    // Of all of them: one is small beside those before it, whether they are shown or not.
    let shrunk = shrink::shrunk(&saved, &context.settings);
    if !saved.is_empty() {
        filter.refuse_nothing(&saved)?;
    }
    catalog::warn_of_future(&saved, None, &context.settings.app, now);
    saved.retain(|one| filter.takes(one));
    let rows: Vec<Row> = saved.iter().map(|one| Row::of(one, &shrunk)).collect();
    if context.json {
        report::json(&rows)?;
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        report::text("no backups yet; the first is made by: bkp backup\n")?;
    } else {
        let look = table::Look { now, app: &context.settings.app, colours: report::has_colours(no_color) };
        report::text(&table::table(&rows, look))?;
    }
    if !filter.is_empty() {
        return Ok(Exit::Done);
    }
    match context.stop.or(replaced::replaced(context)).await {
        Ok(copies) if copies.is_empty() => {}
        Ok(copies) => report::text(&format!("\n{}", replaced::table(&copies)))?,
        Err(error) => tracing::warn!("what restores put aside is not shown: {error:#}"),
    }
    Ok(Exit::Done)
}

fn refuse_host(all: &[Saved], host: &str) -> Result<()> {
    let mut hosts: Vec<&str> =
        all.iter().flat_map(|one| &one.snapshots).map(|snapshot| snapshot.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    if hosts.is_empty() {
        return Ok(());
    }
    bail!(
        Failure::new(format!("there is no backup of host {host}"))
            .hint(format!("there are backups of: {}", hosts.join(", ")))
    )
}

/// Lists only what restores put aside.
async fn list_replaced(context: &Context) -> Result<Exit> {
    let copies = context.stop.or(replaced::replaced(context)).await?;
    match (context.json, copies.is_empty()) {
        (true, _) => report::json(&copies)?,
        (false, true) => report::text("nothing that a restore replaced is there\n")?,
        (false, false) => report::text(&replaced::table(&copies))?,
    }
    Ok(Exit::Done)
}
