//! What must hold for every input of what bkp reads from others, one module for each reader.
//!
//! `holds` takes any bytes and panics where its module's promise is broken. libFuzzer makes the bytes (`fuzz/run`, for hours, with a
//! nightly compiler); so does `tests/fuzzing`, with any compiler, from the kept corpus and some changes to it. What libFuzzer finds
//! is mended and its input stays in the corpus.

pub mod gzip;
pub mod lexer;
pub mod names;
pub mod restic;
pub mod rewrite;
pub mod seal;
pub mod settings;

/// What is held against any bytes.
pub type Holds = fn(&[u8]);

/// Every reader. The inputs that are kept of one lie in `fuzz/corpus/NAME`.
pub const TARGETS: [(&str, Holds); 7] = [
    ("gzip", gzip::holds),
    ("lexer", lexer::holds),
    ("names", names::holds),
    ("restic", restic::holds),
    ("rewrite", rewrite::holds),
    ("seal", seal::holds),
    ("settings", settings::holds),
];
