//! Settings: every fault at once, and then on with what can still be looked at.

use super::finding::{Area, Finding, Verdict};
use crate::settings::doubt::Doubt;
use crate::settings::{Faults, Settings};

/// What there is to say of them.
pub fn findings(settings: &Settings, faults: &Faults, doubts: &[Doubt]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = faults
        .0
        .iter()
        .map(|fault| {
            Finding::fault(
                Area::Settings,
                format!("{}: {}", fault.name, fault.reason),
                format!("correct {}", fault.name),
            )
        })
        .collect();
    for Doubt { name, what, mend, is_fault } in doubts {
        let verdict = if *is_fault { Verdict::Fault } else { Verdict::Warning };
        findings.push(Finding {
            area: Area::Settings,
            verdict,
            what: format!("{name}: {what}"),
            mend: Some(mend.clone()),
        });
    }
    let odd = |what: &String| Finding::warning(Area::Settings, what, "correct or unset it");
    findings.extend(settings.warnings.iter().map(odd));
    if findings.is_empty() {
        findings.push(Finding::ok(
            Area::Settings,
            format!("all settings are understood; the application is {}", settings.app),
        ));
    }
    findings
}

/// What a faulty variable is about: of that nothing can be looked at, because in its place stands a default that nobody meant.
pub fn spoiled(faults: &Faults) -> Vec<Area> {
    let mut areas: Vec<Area> = faults.0.iter().flat_map(|fault| about(&fault.name)).copied().collect();
    areas.sort_unstable();
    areas.dedup();
    areas
}

fn about(name: &str) -> &'static [Area] {
    let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    if begins(&["POSTGRES_", "PG", "DB_HOST", "BKP_DATABASES", "BKP_MAINTENANCE_DB"]) {
        &[Area::Server]
    } else if begins(&["BKP_FILES"]) {
        &[Area::Files]
    } else if begins(&["RESTIC_", "BKP_RESTIC_"]) {
        &[Area::Restic]
    } else if begins(&["BKP_BUCKET", "GCP_", "GCE_", "GOOGLE_", "STORAGE_", "BKP_GCS_"]) {
        &[Area::Bucket]
    } else if begins(&["AWS_", "AZURE_", "CERTIFICATE_FILE"]) {
        &[Area::Bucket, Area::Restic]
    } else if begins(&["BKP_QUIESCE", "KUBERNETES_", "BKP_PAUSE", "BKP_RESUME", "BKP_MAINTENANCE_FILE"]) {
        &[Area::Pause]
    } else if begins(&["BKP_APP"]) {
        // Whose locks and leftovers would they be?
        &[Area::Left]
    } else {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::environment::Made;
    use crate::settings::{Overrides, inspect};

    #[test]
    fn every_fault_is_told_and_only_what_it_is_about_is_not_looked_at() {
        let made = Made::of(&[("POSTGRES_HOST", "a:b:c"), ("BKP_GZIP_LEVEL", "99"), ("BKP_BUCKET", "file:///x")]);
        let (settings, faults) = inspect(&made, &Overrides::default());
        let told = findings(&settings, &faults, &[]);
        assert_eq!(told.iter().filter(|finding| finding.verdict == Verdict::Fault).count(), 2, "{told:?}");
        assert_eq!(spoiled(&faults), [Area::Server]);
        assert!(settings.bucket.is_some());
    }
}
