//! A bucket of dumps: an object store or a directory.

pub mod address;
pub mod checksum;
pub mod client;
pub mod credentials;
pub mod directory;
pub mod download;
pub mod error;
pub mod options;
pub mod partial;
pub mod refusal;
pub mod remote;
pub mod store;
pub mod sweep;
pub mod transport;
pub mod upload;
