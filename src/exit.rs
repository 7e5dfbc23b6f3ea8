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
    /// Ended by HUP, when the terminal or the connection went away, after cleaning up.
    HungUp,
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
            Exit::HungUp => 129,
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
            Exit::HungUp => "ended by HUP",
            Exit::Interrupted => "ended by INT",
            Exit::Terminated => "ended by TERM",
        }
    }

    /// What to do when nobody knows better; nothing where somebody wanted it to end.
    pub fn advice(self) -> Option<&'static str> {
        Some(match self {
            Exit::Done | Exit::HungUp | Exit::Interrupted | Exit::Terminated => return None,
            Exit::Failed => "see what lacks, without changing anything: bkp doctor",
            Exit::Usage => {
                "nothing was tried; see what it takes: bkp --help, and whether the settings work: bkp doctor"
            }
            Exit::Partial => "give the account the right to read them, or leave them out with BKP_FILES_EXCLUDE",
            Exit::RetentionFailed => "the backup is there; to forget old ones again: bkp forget",
            Exit::ProofFailed => {
                "do not rely on this backup; choose another one: bkp list, and look at all of them: bkp check"
            }
            Exit::NoRepository => "make the repository: bkp init",
            Exit::Locked => "wait for the other run, or let bkp wait for it: BKP_LOCK_WAIT",
            Exit::WrongPassword => "look at the password, and whether its file ends as it should: bkp doctor",
        })
    }
}
