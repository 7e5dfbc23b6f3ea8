//! What is being done when something goes wrong.

/// A command of bkp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    Backup,
    Restore,
    Forget,
    ChangePassword,
}

/// Where the backups are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Sealed dumps.
    Bucket,
    /// Items in restic's repository.
    Restic,
}

/// A command and where it stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Story {
    pub verb: Verb,
    pub place: Place,
    /// On a server instead of a directory.
    pub remote: bool,
    /// Paused through the Kubernetes API instead of by commands: a story about that alone.
    pub scales: bool,
    /// From a standby, whose replay is paused for the dump.
    pub standby: bool,
    /// A dump that takes more than one part of an upload: a story about those alone.
    pub large: bool,
}

impl Story {
    /// All of them, the longest first, and then what was added: their numbers choose the cells of `make test`.
    pub const ALL: [Story; 15] = [
        Story::of(Verb::Backup, Place::Restic, true),
        Story::of(Verb::Restore, Place::Restic, true),
        Story::of(Verb::Backup, Place::Restic, false),
        Story::of(Verb::Restore, Place::Restic, false),
        Story::of(Verb::ChangePassword, Place::Restic, false),
        Story::of(Verb::Backup, Place::Bucket, false),
        Story { scales: true, ..Story::of(Verb::Backup, Place::Bucket, false) },
        Story { scales: true, ..Story::of(Verb::Restore, Place::Bucket, false) },
        Story::of(Verb::Backup, Place::Bucket, true),
        Story::of(Verb::Restore, Place::Bucket, false),
        Story::of(Verb::Restore, Place::Bucket, true),
        Story::of(Verb::Forget, Place::Bucket, false),
        Story::of(Verb::Forget, Place::Restic, false),
        Story { standby: true, ..Story::of(Verb::Backup, Place::Bucket, false) },
        Story { large: true, ..Story::of(Verb::Backup, Place::Bucket, true) },
    ];

    const fn of(verb: Verb, place: Place, remote: bool) -> Self {
        Self { verb, place, remote, scales: false, standby: false, large: false }
    }

    pub fn arguments(self) -> &'static [&'static str] {
        match self.verb {
            Verb::Backup => &["backup", "--json"],
            Verb::Restore => &["restore", "--yes"],
            Verb::Forget => &["forget"],
            Verb::ChangePassword => &["change-password"],
        }
    }

    /// What is started next, by whoever finds that it failed.
    pub fn next(self) -> &'static [&'static str] {
        match self.verb {
            Verb::Restore => &["resume"],
            _ => self.arguments(),
        }
    }

    pub fn is_restic(self) -> bool {
        self.place == Place::Restic
    }

    pub fn has_database(self) -> bool {
        self.verb != Verb::ChangePassword
    }

    /// Whether the application is paused by commands meanwhile.
    pub fn pauses(self) -> bool {
        !self.remote && !self.scales && !self.standby && matches!(self.verb, Verb::Backup | Verb::Restore)
    }

    /// Whether it was added to the others for one thing that they have not.
    pub fn is_of_one_thing(self) -> bool {
        self.standby || self.large
    }

    /// Its row in the table.
    pub fn name(self) -> String {
        let verb = match self.verb {
            Verb::Backup => "backup",
            Verb::Restore => "restore",
            Verb::Forget => "forget",
            Verb::ChangePassword => "change-password",
        };
        let place = match (self.place, self.remote) {
            (Place::Bucket, false) => "bucket, directory",
            (Place::Bucket, true) => "bucket, S3",
            (Place::Restic, false) => "restic, directory",
            (Place::Restic, true) => "restic, S3",
        };
        let how = if self.scales { "quiesce by the API, " } else { "" };
        let what = match () {
            () if self.standby => " of a standby",
            () if self.large => " of several parts",
            () => "",
        };
        format!("{how}{verb}{what}, {place}")
    }
}
