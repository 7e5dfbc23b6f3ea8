//! Children, pipes and signals: the only place that starts programs.

mod beside;
mod child;
mod core;
mod dwellers;
mod hold;
mod living;
mod relay;
mod room;
mod signals;
mod stop;
mod tail;
mod task;

pub use self::core::leave_no_core;
pub use beside::{Beside, beside, is_first, is_main};
pub use child::{Consumer, Ended, Producer, Program, ended, output};
pub use dwellers::end_all_in;
pub use hold::{Held, Holding, WORD as HOLD_WORD, hold};
pub use living::wait_for_the_ending;
pub use relay::{WORD as RELAY_WORD, own_program, relay};
pub use room::has_room;
pub use signals::{Asked, Signals};
pub use stop::Stop;
pub use task::{BadEnd, Feed, How, Line, Overdue, run};
