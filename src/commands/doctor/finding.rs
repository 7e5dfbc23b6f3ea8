//! What a check found, and what mends it: plain data, shown to people and machines alike.

use std::fmt;

use serde::Serialize;

use crate::error::{exit_of, hints_of};
use crate::exit::Exit;
use crate::report;

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Variables and the files that they name.
    Settings,
    /// Address, TLS, versions.
    Server,
    /// What the role may do.
    Rights,
    /// The bucket of dumps.
    Bucket,
    /// The restic program and its repositories.
    Restic,
    /// Directories that are saved.
    Files,
    /// Space.
    Room,
    /// How the application is paused.
    Pause,
    /// Locks, and what dead runs and restores left.
    Left,
    /// Whether all clocks agree.
    Clock,
}

/// As it stands in a line.
impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Area::Settings => "settings",
            Area::Server => "server",
            Area::Rights => "rights",
            Area::Bucket => "bucket",
            Area::Restic => "restic",
            Area::Files => "files",
            Area::Room => "room",
            Area::Pause => "pause",
            Area::Left => "left",
            Area::Clock => "clock",
        })
    }
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but not all of it or not for long.
    Warning,
    /// A backup or a restore will fail.
    Fault,
}

/// One line of the doctor's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub area: Area,
    /// How it stands.
    pub verdict: Verdict,
    /// What was seen, as one sentence without a full stop.
    pub what: String,
    /// The command, setting or line of a manifest that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(area: Area, what: impl Into<String>) -> Finding {
        Finding { area, verdict: Verdict::Ok, what: what.into(), mend: None }
    }

    /// Something will not be as one may think.
    pub fn warning(area: Area, what: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { area, verdict: Verdict::Warning, what: what.into(), mend: Some(mend.into()) }
    }

    /// Something will fail.
    pub fn fault(area: Area, what: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { area, verdict: Verdict::Fault, what: what.into(), mend: Some(mend.into()) }
    }

    /// What an error says, by its own hints. That somebody is at work just now is no fault of anything.
    pub fn of(area: Area, error: &anyhow::Error) -> Finding {
        let verdict = if exit_of(error) == Exit::Locked { Verdict::Warning } else { Verdict::Fault };
        let mend = Some(hints_of(error).join("; ")).filter(|hints| !hints.is_empty());
        let mend = mend.or_else(|| Some("set right what the message says".to_owned()));
        Finding { area, verdict, what: report::said(error), mend }
    }

    /// The same, where it is only a pity.
    #[must_use]
    pub fn at_most_warning(mut self) -> Finding {
        self.verdict = self.verdict.min(Verdict::Warning);
        self
    }
}
