//! The findings as people and machines read them.

use serde::Serialize;

use super::finding::{Area, Finding, Verdict};

/// Everything, with its counts. What `--json` prints.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    command: &'static str,
    app: &'a str,
    /// How many of each.
    pub ok: usize,
    /// It works, but.
    pub warnings: usize,
    /// It will fail.
    pub faults: usize,
    findings: &'a [Finding],
}

impl<'a> Report<'a> {
    /// Counts.
    pub fn of(app: &'a str, findings: &'a [Finding]) -> Report<'a> {
        let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
        let [ok, warnings, faults] = [Verdict::Ok, Verdict::Warning, Verdict::Fault].map(count);
        Report { command: "doctor", app, ok, warnings, faults, findings }
    }

    /// For people: a line each, what mends it below, and the counts last.
    pub fn text(&self, colours: bool) -> String {
        let mut text = String::new();
        for Finding { area, verdict, what, mend } in self.findings {
            let (word, colour) = match verdict {
                Verdict::Ok => ("ok", "32"),
                Verdict::Warning => ("warning", "33"),
                Verdict::Fault => ("fault", "31;1"),
            };
            let word = format!("{word:7}");
            let word = if colours { format!("\x1b[{colour}m{word}\x1b[0m") } else { word };
            text.push_str(&format!("{word}  {area:8}  {}\n", plain(what)));
            if let Some(mend) = mend {
                text.push_str(&format!("{:19}mend: {}\n", "", plain(mend)));
            }
        }
        let s = |count| if count == 1 { "" } else { "s" };
        let (warnings, faults) = (self.warnings, self.faults);
        text.push_str(&format!("{} ok, {warnings} warning{}, {faults} fault{}\n", self.ok, s(warnings), s(faults)));
        text
    }
}

/// In the order in which a run needs them; what is wrong is not put first, since the first thing that is wrong is often why others are.
pub fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| finding.area);
    findings
}

/// One line, whatever a server or a name says: a terminal's commands, too.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    crate::error::plain(&words.join("; "))
}

/// What an area says of which nothing was looked at.
pub fn skipped(area: Area, why: &str) -> Finding {
    Finding::warning(area, format!("not looked at: {why}"), "set that right, and run the doctor again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned_and_hold_no_control_characters() {
        let findings = in_order(vec![
            Finding::fault(Area::Bucket, "no\n\x1b[2Jbucket", "bkp init"),
            Finding::ok(Area::Settings, "fine"),
        ]);
        let report = Report::of("shop", &findings);
        assert_eq!(
            report.text(false),
            "ok       settings  fine\nfault    bucket    no; ?[2Jbucket\n                   mend: bkp init\n1 ok, 0 warnings, 1 fault\n"
        );
        assert!(report.text(true).contains("\x1b[31;1mfault  \x1b[0m  bucket"));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((json["faults"].as_u64(), json["findings"][1]["verdict"].as_str()), (Some(1), Some("fault")));
        assert_eq!(json["findings"][0].get("mend"), None);
    }
}
