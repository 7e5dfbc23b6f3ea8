//! PostgreSQL as a source: dumps, what they hold, and how they are replayed.

pub mod lexer;
pub mod name;
pub mod rewrite;
mod rules;
pub mod statement;
pub mod survey;
#[cfg(test)]
mod tests;
mod token;
