//! The two kinds of things that an application has. Units of their own may save them, at times of their own, into one repository.

use super::Saved;
use crate::settings::Settings;
use crate::sources::Item;

/// Which kinds are spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kinds {
    /// Files.
    pub files: bool,
    /// Databases and roles.
    pub databases: bool,
}

impl Kinds {
    /// Everything.
    pub const ALL: Kinds = Kinds { files: true, databases: true };

    /// Those of items.
    pub fn of<'a>(items: impl IntoIterator<Item = &'a Item>) -> Kinds {
        let mut kinds = Kinds { files: false, databases: false };
        for item in items {
            match item {
                Item::Files(_) => kinds.files = true,
                _ => kinds.databases = true,
            }
        }
        kinds
    }

    /// Those that the settings speak of.
    pub fn set(settings: &Settings) -> Kinds {
        Kinds { files: settings.files.is_some(), databases: settings.postgres.is_some() }
    }

    /// Whether they have one in common.
    pub fn meets(self, other: Kinds) -> bool {
        (self.files && other.files) || (self.databases && other.databases)
    }

    /// Whether all of the others are among them.
    pub fn cover(self, other: Kinds) -> bool {
        (self.files || !other.files) && (self.databases || !other.databases)
    }
}

impl Saved {
    /// What there is to be had of it.
    pub fn kinds(&self) -> Kinds {
        let kinds = Kinds::of(self.snapshots.iter().map(|snapshot| &snapshot.item));
        Kinds { databases: kinds.databases || self.dump.is_some(), ..kinds }
    }

    /// What it set out to save.
    pub fn meant(&self) -> Kinds {
        let (here, plan) = (self.kinds(), Kinds::of(&self.plan));
        Kinds { files: here.files || plan.files, databases: here.databases || plan.databases }
    }
}
