//! Prometheus' text format (version 0.0.4): one HELP and one TYPE line for each name, all values of a name together.

use std::fmt::Write as _;

use super::{Family, Sample, Scope};

/// What is sent to a Pushgateway, and the whole of a new file.
pub fn rendered(app: &str, command: &str, samples: &[Sample]) -> String {
    updated("", app, command, samples)
}

/// A file's text with new values: those that this application (and command, where the name is told apart by it) had under the same
/// names go, everything else stays.
pub fn updated(old: &str, app: &str, command: &str, samples: &[Sample]) -> String {
    let mut families: Vec<&Family> = samples.iter().map(|sample| sample.family).collect();
    families.dedup();
    let of_name = |line: &str, name: &str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
            || ["HELP", "TYPE"].iter().any(|word| line.starts_with(&format!("# {word} {name} ")))
    };
    let stays = |line: &&str| !line.trim().is_empty() && !families.iter().any(|family| of_name(line, family.name));
    let mut text: String = old.lines().filter(stays).flat_map(|line| [line, "\n"]).collect();
    for family in families {
        let name = family.name;
        let _ = write!(text, "# HELP {name} {}\n# TYPE {name} gauge\n", family.help);
        let ours = match family.scope {
            Scope::App | Scope::Item => format!("{name}{{app=\"{app}\""),
            Scope::Command => format!("{name}{{app=\"{app}\",command=\"{command}\""),
        };
        // What follows a label's value ends it: `shop` is not `shop2`, whose quotation mark comes later.
        for line in old.lines().filter(|line| line.starts_with(&format!("{name}{{")) && !line.starts_with(&ours)) {
            let _ = writeln!(text, "{line}");
        }
        for Sample { item, value, .. } in samples.iter().filter(|sample| sample.family == family) {
            let item = item.as_ref().map(|item| format!(",item=\"{}\"", escaped(item))).unwrap_or_default();
            let _ = writeln!(text, "{ours}{item}}} {value}");
        }
    }
    text
}

/// A label's value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::metrics::names::*;

    fn one(family: &'static Family, value: f64) -> Sample {
        Sample { family, item: None, value }
    }

    fn of_item(item: &str) -> Sample {
        Sample { family: &ITEM_SIZE, item: Some(item.to_owned()), value: 1.0 }
    }

    #[test]
    fn values_of_others_stay_and_each_name_is_told_once() {
        let text = updated("", "shop", "drill", &[one(&DRILL_SUCCESS, 1.0), one(&LAST_PROOF, 1_795_000_000.5)]);
        let text = updated(&text, "shop2", "drill", &[one(&DRILL_SUCCESS, 1.0)]);
        let text = updated(&text, "shop", "drill", &[one(&DRILL_SUCCESS, 0.0)]);
        assert_eq!(text.matches("# TYPE bkp_drill_success gauge").count(), 1, "{text}");
        assert!(text.contains("bkp_drill_success{app=\"shop2\"} 1\nbkp_drill_success{app=\"shop\"} 0\n"), "{text}");
        assert!(
            text.contains("bkp_last_proof_timestamp_seconds{app=\"shop\"} 1795000000.5\n"),
            "a failure keeps the last success: {text}"
        );
    }

    #[test]
    fn each_command_has_its_own_last_run() {
        let text = updated("other{x=\"y\"} 3\n", "shop", "backup", &[one(&LAST_EXIT, 0.0)]);
        let text = updated(&text, "shop", "drill", &[one(&LAST_EXIT, 5.0)]);
        let text = updated(&text, "shop", "backup", &[one(&LAST_EXIT, 1.0)]);
        let of = |command: &str| format!("bkp_last_run_exit_status{{app=\"shop\",command=\"{command}\"}} ");
        assert!(text.contains(&(of("drill") + "5\n")) && text.contains(&(of("backup") + "1\n")), "{text}");
        assert_eq!(text.matches("bkp_last_run_exit_status{").count(), 2, "{text}");
        assert!(text.starts_with("other{x=\"y\"} 3\n"), "{text}");
    }

    #[test]
    fn an_item_that_is_no_longer_saved_is_no_longer_told_and_any_name_can_be() {
        let text = updated("", "shop", "backup", &[of_item("database a"), of_item("files /x")]);
        let text = updated(&text, "shop", "backup", &[of_item("database o\"\\\nd")]);
        assert!(text.ends_with("{app=\"shop\",item=\"database o\\\"\\\\\\nd\"} 1\n"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
