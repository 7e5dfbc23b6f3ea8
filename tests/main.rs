//! One binary for all tests that start real programs: it links once.

#![allow(clippy::disallowed_methods, reason = "tests start what they test")]

mod archives;
mod connect;
mod damage;
mod doctor;
mod documents;
mod faults;
mod help;
mod hostile;
mod items;
mod job;
mod kubernetes;
mod listing;
mod messages;
mod quiesce;
mod restic;
mod servers;
mod shrink;
mod simulation;
mod store;
mod support;
mod systemd;
mod systems;
mod told;
