//! What can go wrong with a store, in the words of the person who has to act.

use std::error::Error;
use std::fmt;

/// The failure of one act on a store. Callers branch on it; [`StoreError::hint`] says what to do.
#[derive(Debug)]
pub enum StoreError {
    /// The settings make no client: nothing was asked of the store yet.
    Settings {
        what: String,
        cause: Option<Cause>,
    },
    /// No credential could be had, or the store does not know the one that it got.
    Credentials {
        what: String,
        cause: Option<Cause>,
    },
    BucketMissing {
        address: String,
        cause: Option<Cause>,
    },
    NotFound {
        name: String,
        cause: Option<Cause>,
    },
    /// The store knows who asks, and does not allow it.
    Forbidden {
        what: String,
        cause: Option<Cause>,
    },
    /// Create-only: the name is taken, and what is there was left alone.
    Exists {
        name: String,
    },
    /// No space, or a quota is used up.
    Full {
        what: String,
        cause: Option<Cause>,
    },
    /// The bytes in the store are not the bytes that they should be.
    Corrupt {
        name: String,
        how: String,
    },
    /// Another object took the name while it was read.
    Changed {
        name: String,
    },
    /// No answer, or none but "later", however often it was asked.
    Unavailable {
        what: String,
        cause: Option<Cause>,
    },
    /// Anything else that a store refuses.
    Failed {
        what: String,
        cause: Option<Cause>,
    },
}

/// What the store or the system said, scrubbed: no address with a signature or a session in it, no backtrace.
#[derive(Debug, Clone)]
pub struct Cause(pub(super) String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Cause {}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings { what, .. }
            | Self::Credentials { what, .. }
            | Self::Unavailable { what, .. }
            | Self::Failed { what, .. } => f.write_str(what),
            Self::BucketMissing { address, .. } => write!(f, "there is no bucket {address}"),
            Self::NotFound { name, .. } => write!(f, "there is no object {name} in the bucket"),
            Self::Forbidden { what, .. } => write!(f, "the store does not allow to {what}"),
            Self::Exists { name } => {
                write!(f, "an object {name} exists already, and was left as it is")
            }
            Self::Full { what, .. } => write!(f, "the store has no space left to {what}"),
            Self::Corrupt { name, how } => write!(f, "object {name} is damaged: {how}"),
            Self::Changed { name } => {
                write!(f, "object {name} was replaced by another while it was read")
            }
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Settings { cause, .. }
            | Self::Credentials { cause, .. }
            | Self::BucketMissing { cause, .. }
            | Self::NotFound { cause, .. }
            | Self::Forbidden { cause, .. }
            | Self::Full { cause, .. }
            | Self::Unavailable { cause, .. }
            | Self::Failed { cause, .. } => cause.as_ref().map(|cause| cause as &(dyn Error + 'static)),
            Self::Exists { .. } | Self::Corrupt { .. } | Self::Changed { .. } => None,
        }
    }
}

impl StoreError {
    /// What the reader of the message can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Settings { .. } => Some("look at the bucket's address and at the settings of its kind of store"),
            Self::Credentials { .. } => Some(
                "for gs: name a key or federation file (GOOGLE_APPLICATION_CREDENTIALS), or give the pod a service account; for s3 and az: look at the keys",
            ),
            Self::BucketMissing { .. } => {
                Some("correct BKP_BUCKET, or make it: a directory with `bkp init`, a bucket with your provider's tools")
            }
            Self::NotFound { .. } => Some("`bkp list` shows what is there"),
            Self::Forbidden { .. } => Some(
                "the account needs to list, read, create and, for retention, delete objects; on Google's: roles/storage.objectAdmin on the bucket, or a role of its own with storage.objects.{list,get,create,delete}",
            ),
            Self::Exists { .. } => Some("nothing is ever overwritten; a new run takes a new name"),
            Self::Full { .. } => Some("free space, raise the quota, or let retention keep less"),
            Self::Corrupt { .. } => Some("do not restore from it; `bkp list` shows the other runs"),
            Self::Changed { .. } => Some("somebody else writes into this bucket; try again"),
            Self::Unavailable { .. } => {
                Some("look at the network, the proxy and the state of the store, then try again")
            }
            Self::Failed { .. } => None,
        }
    }
}
