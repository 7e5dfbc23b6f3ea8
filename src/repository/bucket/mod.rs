//! A bucket of dumps: an object store or a directory.

pub mod checksum;
pub mod client;
pub mod credentials;
pub mod cut;
pub mod deflate;
pub mod directory;
pub mod download;
pub mod error;
#[cfg(test)]
pub mod faults;
mod foreign;
pub mod layout;
pub mod member;
pub mod options;
pub mod pack;
pub mod partial;
pub mod pump;
pub mod refusal;
pub mod remote;
pub mod store;
pub mod sweep;
pub mod transport;
pub mod unpack;
pub mod upload;
