//! bkp: backup and restore of an application's PostgreSQL databases.

pub mod repository;
pub mod settings;
pub mod sources;
