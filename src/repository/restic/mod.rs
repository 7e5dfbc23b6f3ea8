//! Repositories of the restic program, which is driven here and never imitated.
//!
//! | file | what it is |
//! | --- | --- |
//! | [`address`] | where a repository is, printed without its password |
//! | [`program`] | restic itself: found, and asked for its version |
//! | [`repo`] | a repository: is it there, make it, what is in it, forget, prune, check |
//! | [`stream`] | one file out of a stream: whole, or not at all |
//! | [`tree`] | a directory, saved and restored |
//! | [`read`] | a stored file as a stream |
//! | [`weigh`] | every directory of a snapshot read, and what it holds |
//! | [`locks`] | who holds it; whose lock a dead process left |
//! | [`appends`] | whether a `rest:` server lets anything be removed |
//! | [`keys`] | passwords, added before old ones are removed |
//! | `call` | one run of restic: environment, locks waited for, time limits |
//! | `output`, `refusal` | what restic says, as data and as a failure that a person can act on |
//!
//! # What never happens
//! - A password stands in no argument, and restic's words are shown without the address's.
//! - A stream that is not known to be whole becomes no snapshot, whoever is killed and when: see [`stream`].
//! - A lock of a process that may be alive is not removed: see [`locks`].

pub mod address;
pub mod appends;
mod call;
pub mod keys;
pub mod locks;
pub mod output;
pub mod program;
pub mod read;
pub mod refusal;
pub mod repo;
pub mod stream;
pub mod tree;
pub mod weigh;

pub use address::Address;
pub use call::Expected;
pub use keys::Key;
pub use locks::Lock;
pub use output::{Entry, Snapshot, Summary};
pub use program::{Options, Restic};
pub use read::Reading;
pub use repo::{Checked, Parent, Password, Probe, Repository, Saving};
pub use stream::{SavedSnapshot, StreamIn};
pub use tree::{Restored, SavedTree, Tree, own_choice};
pub use weigh::Weight;
