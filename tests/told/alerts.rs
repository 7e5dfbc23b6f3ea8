//! The alert rules and the dashboard: Prometheus' own tool tests them, and every metric that they name is one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bkp::report::metrics::names::FAMILIES;

use crate::support::prometheus::program;
use crate::support::run::run;

fn monitoring() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("monitoring")
}

#[test]
fn the_alerts_fire_when_they_should_and_only_then() {
    let ran =
        run(Command::new(program("promtool")).args(["check", "rules", "alerts.yaml"]).current_dir(monitoring()), b"");
    assert!(ran.success, "{}{}", ran.text(), ran.stderr);
    let mut test = Command::new(program("promtool"));
    let ran = run(test.args(["test", "rules", "alerts_test.yaml"]).current_dir(monitoring()), b"");
    assert!(ran.success, "{}{}", ran.text(), ran.stderr);
}

#[test]
fn every_alert_has_a_test() {
    let read = |name: &str| fs::read_to_string(monitoring().join(name)).expect("rules");
    let (rules, tests) = (read("alerts.yaml"), read("alerts_test.yaml"));
    let names: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let tested = tests.matches(&format!("alertname=\"{name}\"")).count();
        assert!(tested > 0, "{name} never fires in alerts_test.yaml");
    }
}

#[test]
fn alerts_and_the_dashboard_name_only_metrics_that_there_are() {
    for name in ["alerts.yaml", "dashboard.json"] {
        let text = fs::read_to_string(monitoring().join(name)).expect("a file");
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let unknown: Vec<&str> = words
            .filter(|word| word.starts_with("bkp_") && !FAMILIES.iter().any(|family| family.name == *word))
            .collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
    }
}
