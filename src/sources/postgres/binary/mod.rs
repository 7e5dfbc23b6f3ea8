//! Rows of a dump in the binary format of COPY, byte for byte as the server itself would write them: it takes them in two thirds of the
//! time that it needs for text, because it need not look for the ends of lines and values, undo what is escaped, and read digits.
//!
//! | file | what it is |
//! | --- | --- |
//! | [`encoder`] | pieces of text rows to pieces of binary ones |
//! | `kind` | the types whose values can be told, and their numbers in the catalogue |
//! | `field` | where a value ends, and what was escaped in it |
//! | `numbers`, `times`, `texts`, `arrays` | a value of each kind |
//!
//! A value is told only if its text is as the server writes values of that type, so that there is one way to read it. At the first that is
//! not, the encoder gives up: that row and those behind it go as text, and it is the server that takes or refuses them. So nothing is taken
//! that it would refuse, and what it refuses is told in its words.
//!
//! The formats: PostgreSQL's manual on COPY, "Binary Format", and the `…send` functions of each type in its `src/backend/utils/adt`.

mod arrays;
pub mod encoder;
mod field;
mod kind;
mod numbers;
mod texts;
mod times;

pub use encoder::{Encoder, HEADER, TRAILER};
pub use kind::Kind;
