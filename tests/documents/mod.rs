//! What operators read is true: every command in a document is run, as it is written, in the world that it speaks of.
//!
//! A block `sh` or `sql` is run here, in the order of its page ([`page`]), in a situation that is made before it ([`world`]). A block
//! `sh elsewhere` needs a cluster or a cloud; [`every`] holds that it has nothing else, and that no page is left out.

mod every;
mod formats;
mod moving;
pub(crate) mod page;
mod readme;
mod reference;
mod runbook;
mod security;
mod world;
