//! What an attacker may have made: dumps, what a store answers, files beside dumps; and what comes of it.

mod appends;
mod cases;
mod dumps;
mod rights;
mod s3;
mod secrets;
mod store;
mod table;
