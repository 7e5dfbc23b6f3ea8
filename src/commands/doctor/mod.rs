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
mod sessions;
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
use crate::report::facts::Told;
use crate::settings::names::NO_COLOR;
use crate::settings::{Environment, Overrides, doubt, inspect};

/// Looks at everything; an area may take as long as `within`.
///
/// # Errors
/// When it is ended by a signal, or nothing can be printed. What is wrong is no error but an exit code: 2 with a fault.
pub async fn doctor(environment: &dyn Environment, stop: Stop, json: bool, within: Duration) -> Result<Exit> {
    let (settings, faults) = inspect(environment, &Overrides::default());
    let mut findings = settings::findings(&settings, &faults, &doubt::doubts(environment));
    let spoiled = settings::spoiled(&faults);
    let context = Context { settings, stop, json, told: Told::default() };
    let run = Run::begin()?;

    findings.extend(spoiled.iter().map(|area| skipped(*area, "its settings have faults")));
    let looks = looks(&context, &run.id, within, &spoiled);
    let looked = async { Ok(join_all(looks).await) };
    findings.extend(context.stop.or(looked).await?.into_iter().flatten());

    let findings = in_order(findings);
    let report = Report::of(&context.settings.app, &findings);
    match json {
        true => report::json(&report)?,
        false => report::text(
            &report.text(report::has_colours(environment.get(NO_COLOR).is_some_and(|value| !value.is_empty()))),
        )?,
    }
    Ok(if report.faults > 0 { Exit::Usage } else { Exit::Done })
}

/// One of what is looked at.
type Look<'a> = BoxFuture<'a, Vec<Finding>>;

/// What the settings speak of, less what their faults are about.
fn looks<'a>(context: &'a Context, run: &'a str, within: Duration, spoiled: &[Area]) -> Vec<Look<'a>> {
    let settings = &context.settings;
    let is_meant = |area: Area| !spoiled.contains(&area);
    let mut looks: Vec<Look<'a>> = Vec::new();
    if let Some(postgres) = settings.postgres.as_ref().filter(|_| is_meant(Area::Server)) {
        let server = async |findings: &mut Vec<Finding>| server::look(context, postgres, findings).await;
        let copies = async |findings: &mut Vec<Finding>| findings.extend(left::copies(context).await);
        let is_left_meant = is_meant(Area::Left);
        // One after the other: a session beside those that are tried would be one too many.
        let both = async move {
            let mut findings = in_time(Area::Server, within, server).await;
            if is_left_meant {
                findings.extend(in_time(Area::Left, within, copies).await);
            }
            findings
        };
        looks.push(both.boxed());
    }
    if let Some(bucket) = settings.bucket.as_ref().filter(|_| is_meant(Area::Bucket)) {
        let look = async |findings: &mut Vec<Finding>| bucket::look(context, &bucket.address, findings).await;
        looks.push(in_time(Area::Bucket, within, look).boxed());
    }
    if settings.restic.is_some() && is_meant(Area::Restic) {
        looks.push(
            in_time(Area::Restic, within, async |findings: &mut Vec<Finding>| restic::look(context, findings).await)
                .boxed(),
        );
    }
    if let Some(options) = settings.files.as_ref().filter(|_| is_meant(Area::Files)) {
        // On a thread of its own: a network file system may not answer.
        let look = async move |findings: &mut Vec<Finding>| {
            let (settings, options) = (settings.clone(), options.clone());
            let looked = tokio::task::spawn_blocking(move || files::look(&settings, &options, within / 2)).await;
            findings.extend(looked.unwrap_or_else(|error| vec![Finding::of(Area::Files, &error.into())]));
        };
        looks.push(in_time(Area::Files, within, look).boxed());
    }
    if is_meant(Area::Pause) {
        let look = async |findings: &mut Vec<Finding>| findings.extend(pause::look(settings, run).await);
        looks.push(in_time(Area::Pause, within, look).boxed());
    }
    if is_meant(Area::Left) {
        let look = async |findings: &mut Vec<Finding>| findings.extend(left::here(context).await);
        looks.push(in_time(Area::Left, within, look).boxed());
    }
    looks
}

/// What was found until then stays found.
async fn in_time(area: Area, within: Duration, look: impl AsyncFnOnce(&mut Vec<Finding>)) -> Vec<Finding> {
    let mut findings = Vec::new();
    if tokio::time::timeout(within, look(&mut findings)).await.is_err() {
        findings.push(Finding::fault(
            area,
            format!("no answer within {} s", within.as_secs()),
            "look at the address, the network policy and the other side; wait longer with --within",
        ));
    }
    findings
}
