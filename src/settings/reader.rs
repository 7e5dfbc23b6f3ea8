//! Reads single values: a flag's, a variable's or its file's, and gathers what is wrong instead of stopping at it.

use std::collections::BTreeMap;
use std::path::Path;

use super::environment::Environment;
use super::fault::{Fault, Faults};
use super::names;
use super::secret::Secret;

/// Values of flags, by the name of the variable that they stand above.
#[derive(Debug, Clone, Default)]
pub struct Overrides(BTreeMap<&'static str, String>);

impl Overrides {
    /// The same with one more; `name` is one of [`names`].
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.insert(name, value.into());
        self
    }
}

/// A value and the name that it came under.
#[derive(Clone)]
pub(super) struct Found {
    pub name: &'static str,
    pub value: String,
}

pub(super) struct Reader<'a> {
    pub environment: &'a dyn Environment,
    overrides: &'a Overrides,
    faults: Vec<Fault>,
    pub warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub fn new(environment: &'a dyn Environment, overrides: &'a Overrides) -> Self {
        Self { environment, overrides, faults: Vec::new(), warnings: Vec::new() }
    }

    /// Notes a fault; the same one only once.
    pub fn fault(&mut self, name: impl Into<String>, reason: impl Into<String>) {
        let fault = Fault { name: name.into(), reason: reason.into() };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    pub fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    pub fn into_faults(self) -> Faults {
        Faults(self.faults)
    }

    /// The first of these names that has a value. All are read, so that a fault in any is told.
    pub fn first(&mut self, names: &[&'static str]) -> Option<Found> {
        let mut first = None;
        for name in names {
            let value = self.value(name);
            if first.is_none() {
                first = value.map(|value| Found { name, value });
            }
        }
        first
    }

    /// A variable's value; empty is unset.
    pub fn value(&mut self, name: &'static str) -> Option<String> {
        if let Some(value) = self.overrides.0.get(name) {
            return Some(value.clone()).filter(|value| !value.is_empty());
        }
        let direct = self.variable(name);
        if !names::find(name).is_some_and(|variable| variable.has_file) {
            return direct;
        }
        let twin = format!("{name}_FILE");
        match (direct, self.variable(&twin)) {
            (Some(_), Some(_)) => {
                self.fault(name, format!("set together with {twin}; only one of them may be"));
                None
            }
            (direct, None) => direct,
            (None, Some(path)) => self.file(&twin, &path),
        }
    }

    pub fn secret(&mut self, name: &'static str) -> Option<Secret> {
        self.value(name).map(Secret::new)
    }

    /// A value that `parse` understands; its error says what would have been right.
    pub fn parsed<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.value(name)?;
        self.accept(Found { name, value }, parse)
    }

    pub fn accept<T>(&mut self, found: Found, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        parse(&found.value).map_err(|reason| self.fault(found.name, reason)).ok()
    }

    /// One of a few words; the first is the default.
    pub fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> T {
        let chosen = self.parsed(name, |text| {
            choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                format!("must be one of {}", words.join(", "))
            })
        });
        chosen.unwrap_or(choices[0].1)
    }

    fn variable(&mut self, name: &str) -> Option<String> {
        let value = self.environment.get(name).filter(|value| !value.is_empty())?;
        value.into_string().map_err(|_| self.fault(name, "is not UTF-8")).ok()
    }

    fn file(&mut self, name: &str, path: &str) -> Option<String> {
        let bytes = match self.environment.read(Path::new(path)) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.fault(name, format!("cannot read {path}: {error}"));
                return None;
            }
        };
        let Ok(mut text) = String::from_utf8(bytes) else {
            self.fault(name, format!("{path} is not UTF-8"));
            return None;
        };
        if text.contains('\0') {
            self.fault(name, format!("{path} holds a zero byte"));
            return None;
        }
        // One line end, which editors and `kubectl create secret --from-file` leave; a second one is part of the value.
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Some(text).filter(|text| !text.is_empty())
    }
}
