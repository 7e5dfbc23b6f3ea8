//! What the tests stand on: real PostgreSQL servers of every supported major, the built binary in a clean environment, and a
//! comparison of whole clusters. `tests/support/install` fetches the programs.
#![allow(dead_code)] // Not every test binary uses every tool.

pub mod accept;
pub mod authority;
pub mod bkp;
pub mod cluster;
pub mod compare;
pub mod container;
pub mod cut;
pub mod fixtures;
pub mod gcs;
pub mod kube;
pub mod normal;
pub mod options;
pub mod parts;
pub mod pod;
pub mod prometheus;
pub mod quick;
pub mod receiver;
pub mod rest;
pub mod retimed;
pub mod run;
pub mod template;
pub mod wait;
pub mod watch;
pub mod workdir;
