//! Whoever watches is told the truth: heartbeats, and metrics that a real Prometheus reads.

mod alerts;
mod heartbeat;
mod log;
mod metrics;
mod progress;

use crate::job::Shop;
