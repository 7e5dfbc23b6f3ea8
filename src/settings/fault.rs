//! What is wrong with the settings: all of it, by name and reason, never by value.

use std::fmt;

/// One thing that must be put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The variable.
    pub name: String,
    /// Why it cannot be used; holds no value of any variable other than a path.
    pub reason: String,
}

/// Every fault of one start, so that the settings are mended once and not once per fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Fault { name, reason }) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{name}: {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
