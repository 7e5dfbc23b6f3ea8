//! PostgreSQL: sessions, dumps and restores.

mod certificate;
pub mod connect;
mod connect_error;
pub mod tls;
