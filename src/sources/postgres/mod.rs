//! PostgreSQL: dumps that are proven whole, and restores beside the live data.

pub mod carry;
pub mod clients;
pub mod connect;
pub mod dump;
pub mod lexer;
pub mod load;
pub mod name;
pub mod rewrite;
pub mod seal;
pub mod server;
pub mod side;
mod statement;
pub mod survey;
pub mod swap;
mod token;
