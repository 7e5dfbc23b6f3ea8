//! Metrics for the textfile collector of Prometheus' node exporter.
//!
//! A file holds what is true until something newer is: a run writes its own lines anew and leaves the others, so that a drill that
//! fails does not take away when the last one succeeded. The file is replaced by rename, because the collector reads at any moment.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context, Result};

/// One value of one application; all are gauges.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// `bkp_…`, with its unit last.
    pub name: &'static str,
    /// What it says, as one line.
    pub help: &'static str,
    /// The value.
    pub value: f64,
}

/// Writes these values of `app`, and keeps what else the file holds.
///
/// # Errors
/// When the file cannot be written.
pub fn update(path: &Path, app: &str, metrics: &[Metric]) -> Result<()> {
    let old = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    replace(path, updated(&old, app, metrics).as_bytes())
}

/// The file's text with new values. An application's name needs no quoting; all values of one name stand together.
fn updated(old: &str, app: &str, metrics: &[Metric]) -> String {
    let of_name = |line: &str, name: &str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
            || ["HELP", "TYPE"].iter().any(|word| line.starts_with(&format!("# {word} {name} ")))
    };
    let is_old = |line: &&str| !line.trim().is_empty() && !metrics.iter().any(|metric| of_name(line, metric.name));
    let mut text: String = old.lines().filter(is_old).flat_map(|line| [line, "\n"]).collect();
    for Metric { name, help, value } in metrics {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        let ours = format!("{name}{{app=\"{app}\"}} ");
        for line in old.lines().filter(|line| line.starts_with(&format!("{name}{{")) && !line.starts_with(&ours)) {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "{ours}{value}");
    }
    text
}

/// Replaces a file as a whole: written beside it, then renamed.
///
/// # Errors
/// When it cannot be written; the old one stays then.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKED: Metric = Metric { name: "bkp_worked", help: "Whether.", value: 1.0 };
    const WHEN: Metric = Metric { name: "bkp_worked_last", help: "When.", value: 1_795_000_000.0 };

    #[test]
    fn values_of_others_stay_and_each_name_is_told_once() {
        let text = updated("", "shop", &[WORKED, WHEN]);
        let text = updated(&text, "wiki", &[WORKED]);
        let text = updated(&text, "shop", &[Metric { value: 0.0, ..WORKED }]);
        assert_eq!(text.matches("# TYPE bkp_worked gauge").count(), 1, "{text}");
        assert!(text.contains("bkp_worked{app=\"wiki\"} 1\nbkp_worked{app=\"shop\"} 0\n"), "{text}");
        assert!(
            text.contains("bkp_worked_last{app=\"shop\"} 1795000000\n"),
            "a failure keeps the last success: {text}"
        );
    }
}
