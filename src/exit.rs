//! Exit codes: an interface that CronJobs, timers and alerts rely on. Where restic has a number for the same thing, it is restic's.

/// How a command ended, as the operating system sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, all of it.
    Done,
    /// Failed; nothing was lost.
    Failed,
    /// Wrong use or settings; nothing was tried.
    Usage,
    /// Saved, but some files could not be read and are not in it.
    Partial,
    /// Saved, but old backups could not be forgotten.
    RetentionFailed,
    /// A proof failed: what is stored is not what was sealed.
    ProofFailed,
    /// There is no repository at that address.
    NoRepository,
    /// Another run of this application holds the lock.
    Locked,
    /// The password is wrong.
    WrongPassword,
    /// Ended by INT, after cleaning up.
    Interrupted,
    /// Ended by TERM, after cleaning up.
    Terminated,
}

impl Exit {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Partial => 3,
            Exit::RetentionFailed => 4,
            Exit::ProofFailed => 5,
            Exit::NoRepository => 10,
            Exit::Locked => 11,
            Exit::WrongPassword => 12,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }

    /// What the number means, for a place where nobody has its table.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Failed => "failed, nothing lost",
            Exit::Usage => "wrong use or settings",
            Exit::Partial => "saved, but some files could not be read",
            Exit::RetentionFailed => "saved, but old backups could not be forgotten",
            Exit::ProofFailed => "a proof failed",
            Exit::NoRepository => "no repository",
            Exit::Locked => "locked by another run",
            Exit::WrongPassword => "wrong password",
            Exit::Interrupted => "ended by INT",
            Exit::Terminated => "ended by TERM",
        }
    }
}
