//! One binary for all tests that start real programs: it links once.

mod connect;
mod job;
mod servers;
mod store;
mod support;
