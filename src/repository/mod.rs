//! Where what is saved is kept. Knows no source.

pub mod bucket;
pub mod restic;
