//! Directories: mounted, not empty, readable to their last entry, and such that a restore can exchange them.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::finding::{Area, Finding};
use super::room;
use crate::commands::beforehand::{self, Misplaced};
use crate::commands::pausing;
use crate::settings::{Files, Settings};
use crate::sources::files::exchange::{plan, preflight, select};
use crate::sources::files::{access, choice, root};

/// More names than this help nobody.
const NAMED: usize = 3;

/// Looks at each. Blocks; trees that are larger than can be looked at within `limit` are looked at in part, and that is said.
pub fn look(settings: &Settings, files: &Files, limit: Duration) -> Vec<Finding> {
    let until = Instant::now() + limit;
    let told = |Misplaced { name, what, mend }| Finding::fault(Area::Files, format!("{name}: {what}"), mend);
    let mut findings: Vec<Finding> = beforehand::misplaced(settings).into_iter().map(told).collect();
    for root in &files.roots {
        if let Err(error) = one(settings, files, root, until, &mut findings) {
            findings.push(Finding::of(Area::Files, &error));
        }
    }
    findings
}

fn one(settings: &Settings, files: &Files, at: &Path, until: Instant, findings: &mut Vec<Finding>) -> Result<()> {
    let own = pausing::config(settings)?.own_files();
    let root = root::check(at, files.allow_empty, &own)?;
    let included = match files.include.as_slice() {
        [] => vec![root.clone()],
        patterns => choice::included(&root, patterns)?.iter().map(|path| root.join(path)).collect(),
    };
    let seen = access::look(&included, until);
    let shown = at.display();
    let whole = if seen.is_whole { "" } else { " were looked at, there are more" };
    match seen.unreadable.as_slice() {
        [] => findings.push(Finding::ok(Area::Files, format!("{shown} can be read: {} entries{whole}", seen.entries))),
        unreadable => {
            let named: Vec<String> = unreadable.iter().take(NAMED).map(|path| path.display().to_string()).collect();
            let more = unreadable.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let user = rustix::process::geteuid().as_raw();
            let what = format!(
                "user {user} cannot read {}{more}: a backup without them ends with exit code 3",
                named.join(", ")
            );
            let mend = "run as the files' owner or as root (securityContext.runAsUser), or leave them out with BKP_FILES_EXCLUDE";
            // What is left out by a pattern is not asked of us; which that is, only restic knows.
            let finding = Finding::fault(Area::Files, what, mend);
            findings.push(if files.exclude.is_empty() { finding } else { finding.at_most_warning() });
        }
    }
    let keep = plan::keep(&files.keep.join(","))?;
    let selects = select::parse(&files.select.join(","))?;
    // A pod that only saves has them mounted read-only, and should.
    match preflight::check(&root, &keep, &selects) {
        Ok(()) => findings.push(Finding::ok(Area::Files, format!("a restore can exchange what is in {shown}"))),
        Err(error) => findings.push(Finding::of(Area::Files, &error).at_most_warning()),
    }
    if seen.is_whole {
        findings.push(room::of_files(&root, seen.bytes)?);
    }
    Ok(())
}
