//! Names that look like ours and are not: a typo in one would otherwise be a setting that silently does nothing.

use std::ffi::OsString;

use super::names::{VARIABLES, is_known};

/// A warning for each.
pub(super) fn among(names: &[OsString]) -> Vec<String> {
    let mut warnings: Vec<_> = names
        .iter()
        .filter_map(|name| name.to_str())
        .filter(|name| name.starts_with("BKP_") && !is_known(name) && !is_service_link(name))
        .map(|name| match nearest(name) {
            Some(known) => format!("{name} is not known; {known} was perhaps meant"),
            None => format!("{name} is not known"),
        })
        .collect();
    warnings.sort();
    warnings
}

/// Kubernetes sets these in every pod beside a service called `bkp`.
fn is_service_link(name: &str) -> bool {
    name.starts_with("BKP_SERVICE_") || name == "BKP_PORT" || name.starts_with("BKP_PORT_")
}

fn nearest(name: &str) -> Option<&'static str> {
    let ours = VARIABLES.iter().filter(|variable| variable.name.starts_with("BKP_"));
    let (distance, known) = ours.map(|variable| (distance(name, variable.name), variable.name)).min()?;
    (distance <= 3).then_some(known)
}

/// How many letters must change to get from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<_> = b.bytes().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = (corner + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_told_with_what_was_meant() {
        let names = ["BKP_BUKCET", "BKP_APP_FILE", "BKP_SERVICE_HOST", "BKP_XYZZY_PLUGH", "OTHER"].map(OsString::from);
        assert_eq!(
            among(&names),
            ["BKP_BUKCET is not known; BKP_BUCKET was perhaps meant", "BKP_XYZZY_PLUGH is not known"]
        );
    }
}
