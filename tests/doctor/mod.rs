//! `bkp doctor`: a healthy setup is told to be one and is not touched; each fault is made for real, found, and its mend is told.

mod bucket;
mod healthy;
mod left;
mod pause;
mod places;
mod server;
mod settings;

use serde_json::Value;

use crate::support::bkp::{Bkp, Output};

/// What the doctor said, taken apart.
struct Told {
    findings: Vec<Value>,
    output: Output,
}

impl Told {
    /// Runs it; `bkp` has its settings, and no command yet.
    #[track_caller]
    fn by(bkp: Bkp, code: i32) -> Told {
        let output = bkp.args(["doctor", "--json"]).run().fails_with(code);
        let report: Value = serde_json::from_str(&output.stdout).expect("JSON");
        let findings = report["findings"].as_array().expect("findings").clone();
        let count = |verdict: &str| findings.iter().filter(|finding| finding["verdict"] == verdict).count() as u64;
        assert_eq!(report["faults"].as_u64(), Some(count("fault")));
        assert_eq!(report["warnings"].as_u64(), Some(count("warning")));
        assert_eq!(code == 2, count("fault") > 0, "{findings:#?}");
        // Nobody is left without a word of what to do.
        assert!(
            findings.iter().all(|finding| finding["verdict"] == "ok" || finding["mend"].is_string()),
            "{findings:#?}"
        );
        Told { findings, output }
    }

    /// A finding of this kind is there, and these words are in it or in what mends it.
    #[track_caller]
    fn has(self, verdict: &str, area: &str, words: &[&str]) -> Told {
        let fits = |finding: &&Value| {
            let part = |name: &str| finding[name].as_str().unwrap_or_default();
            let text = format!("{} mend: {}", part("what"), part("mend"));
            finding["verdict"] == verdict && finding["area"] == area && words.iter().all(|words| text.contains(words))
        };
        assert!(
            self.findings.iter().any(|finding| fits(&finding)),
            "no {verdict} of {area} with {words:?}: {:#?}",
            self.findings
        );
        self
    }

    /// Nothing but what is as it should be, in these areas.
    #[track_caller]
    fn all_ok_in(self, areas: &[&str]) -> Told {
        for area in areas {
            let of_it: Vec<&Value> = self.findings.iter().filter(|finding| finding["area"] == *area).collect();
            assert!(!of_it.is_empty() && of_it.iter().all(|finding| finding["verdict"] == "ok"), "{area}: {of_it:#?}");
        }
        self
    }
}
