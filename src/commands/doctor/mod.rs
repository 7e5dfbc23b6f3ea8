//! `bkp doctor`: everything that a backup and a restore will need, tried for real and changing nothing.
//!
//! Each area is looked at whatever another one found, by the same pieces that a backup and a restore use, and within a time limit: a peer
//! that hangs is a finding. Rights are tried as far as a try leaves nothing: an object that is removed again, a lock that is given back, a
//! patch that the API only judges. Where it would leave something, the catalogue is asked.

mod bucket;
mod clock;
mod files;
mod finding;
mod left;
mod pause;
mod restic;
mod rights;
mod room;
mod server;
mod settings;
mod shown;

use std::time::Duration;

use anyhow::Result;
use futures::future::{BoxFuture, FutureExt, join_all};

use self::finding::{Area, Finding};
use self::shown::{Report, in_order, skipped};
use super::{Context, Run};
use crate::exit::Exit;
use crate::process::Stop;
use crate::report;
use crate::settings::{Environment, Overrides, doubt, inspect};

/// Looks at everything; an area may take as long as `within`.
///
/// # Errors
/// When it is ended by a signal, or nothing can be printed. What is wrong is no error but an exit code: 2 with a fault.
pub async fn doctor(environment: &dyn Environment, stop: Stop, json: bool, within: Duration) -> Result<Exit> {
    let (settings, faults) = inspect(environment, &Overrides::default());
    let mut findings = settings::findings(&settings, &faults, &doubt::doubts(environment));
    let spoiled = settings::spoiled(&faults);
    let context = Context { settings, stop, json };
    let run = Run::begin()?;

    findings.extend(spoiled.iter().map(|area| skipped(*area, "its settings have faults")));
    let areas = areas(&context, &run.id, within, &spoiled);
    let looks = areas.into_iter().map(|(area, look)| in_time(area, within, look));
    let looked = async { Ok(join_all(looks).await) };
    findings.extend(context.stop.or(looked).await?.into_iter().flatten());

    let findings = in_order(findings);
    let report = Report::of(&context.settings.app, &findings);
    match json {
        true => report::json(&report)?,
        false => report::text(&report.text(report::has_colours(environment.get("NO_COLOR").is_some_and(|value| !value.is_empty()))))?,
    }
    Ok(if report.faults > 0 { Exit::Usage } else { Exit::Done })
}

/// What is looked at.
type Looks<'a> = Vec<(Area, BoxFuture<'a, Vec<Finding>>)>;

/// What the settings speak of, less what their faults are about.
fn areas<'a>(context: &'a Context, run: &'a str, within: Duration, spoiled: &[Area]) -> Looks<'a> {
    let settings = &context.settings;
    let mut areas: Looks<'a> = Vec::new();
    if let Some(postgres) = &settings.postgres {
        areas.push((Area::Server, server::look(context, postgres).boxed()));
    }
    if let Some(bucket) = &settings.bucket {
        areas.push((Area::Bucket, bucket::look(context, &bucket.address).boxed()));
    }
    if settings.restic.is_some() {
        areas.push((Area::Restic, restic::look(context).boxed()));
    }
    if let Some(options) = &settings.files {
        let (settings, options) = (settings.clone(), options.clone());
        // On a thread of its own: a network file system may not answer.
        let looked = async move {
            let looked = tokio::task::spawn_blocking(move || files::look(&settings, &options, within / 2)).await;
            looked.unwrap_or_else(|error| vec![Finding::of(Area::Files, &error.into())])
        };
        areas.push((Area::Files, looked.boxed()));
    }
    areas.push((Area::Pause, pause::look(settings, run).boxed()));
    areas.push((Area::Left, left::here(context).boxed()));
    if !spoiled.contains(&Area::Server) {
        areas.push((Area::Left, left::copies(context).boxed()));
    }
    areas.retain(|(area, _)| !spoiled.contains(area));
    areas
}

async fn in_time(area: Area, within: Duration, look: BoxFuture<'_, Vec<Finding>>) -> Vec<Finding> {
    match tokio::time::timeout(within, look).await {
        Ok(findings) => findings,
        Err(_) => vec![Finding::fault(
            area,
            format!("no answer within {} s", within.as_secs()),
            "look at the address, the network policy and the other side; wait longer with --within",
        )],
    }
}
