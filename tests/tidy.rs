//! What no compiler holds: who may import whom, what is called only in one place, how long a file may be, and that the
//! documents say what the program does.
//!
//! `BKP_BLESS=1 cargo test --test tidy` writes their tables anew.

#![allow(clippy::disallowed_methods, reason = "tests are no part of the program")]

#[path = "tidy/calls.rs"]
mod calls;
#[path = "tidy/dependencies.rs"]
mod dependencies;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/pains.rs"]
mod pains;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/words.rs"]
mod words;
