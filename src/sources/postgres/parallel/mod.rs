//! The replay of a dump into a side database by several psql at once, from one plain stream.
//!
//! - **Before the data** one session ([`replay::Replay`]'s first) takes everything in order, as ever; where hundreds of tables come, several
//!   make them ([`shapes`]): the catalogue is asked what is below then, and once more at the first rows.
//! - **At the first rows** the side database's own catalogue is asked whether the order of rows can matter ([`facts`]): with a trigger, a
//!   foreign key or an event trigger there, one session goes on. A table whose rows are taken with functions that may read others comes
//!   alone ([`doubts`]).
//! - **Rows** go by the table ([`deal`]) where the store lets every session read its own; there they are frozen where the server lets us
//!   ([`frozen`]), and go past psql where that makes no difference. They are dealt out otherwise ([`rows`]): whole rows, a mebibyte at a
//!   time, to whichever session has room, so that any stream fills all of them, whatever the sizes of its tables. Of a table with a unique
//!   index all go to one session.
//! - **Statistics** are taken of most tables as soon as all rows are there ([`statistics`]).
//! - **After the data** a statement that is known ([`touches`]) begins when no earlier one that is not over touches the same
//!   ([`schedule`]). What is not known waits for all before it, and all after it wait for that. What may change a session, or what later
//!   statements do, ends the parallel way.
//! - **What sets a session** reaches all of them, in order.
//!
//! A failure tells line and row as in one session. One that the dump's order might have spared us is for the caller to try again with
//! one session ([`may_be_of_the_order`]).

mod among;
mod deal;
mod doubts;
mod end;
mod facts;
mod failures;
mod frozen;
mod lane;
mod open;
mod replay;
mod rows;
mod schedule;
mod settings;
mod several;
mod shapes;
mod statistics;
mod touches;

pub use self::end::Taken;
pub use self::failures::{By, may_be_of_the_order};
pub use self::lane::Stretch;
pub use self::replay::{Replay, Target};
