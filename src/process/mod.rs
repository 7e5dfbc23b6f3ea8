//! Children, pipes and signals: the only place that starts programs.

mod child;
mod stop;
mod tail;

pub use child::{Consumer, Ended, Producer, Program, ended, output};
pub use stop::Stop;
