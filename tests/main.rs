//! One binary for all tests that start real programs: it links once.

mod job;
mod servers;
mod store;
mod support;
