//! PostgreSQL: dumps that are proven whole, and restores beside the live data.

pub mod carry;
mod certificate;
pub mod clients;
pub mod connect;
mod connect_error;
pub mod dump;
pub mod durable;
pub mod expected;
pub mod in_place;
pub mod lexer;
pub mod load;
pub mod lock;
pub mod name;
pub mod obstacles;
pub mod parallel;
pub mod probe;
mod produce;
pub mod readable;
pub mod renames;
pub mod rewrite;
mod rules;
pub mod seal;
pub mod server;
pub mod side;
mod spare;
mod sqlstate;
pub mod standby;
pub mod statement;
pub mod survey;
pub mod swap;
pub mod table;
#[cfg(test)]
mod tests;
pub mod throwaway;
pub mod tls;
mod token;
pub mod waits;
