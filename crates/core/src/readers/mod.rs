//! How somebody who reads the event log is told what is in it: in order for each mailbox, and no mailbox and no receiver
//! waits for another.
//!
//! [`Window`] is what one reader knows: where it is in the log, what it has read and not yet told, what is under way and
//! what waits. It says what is to be sent, loaded and written down next. [`Health`] is whether a receiver answers at all,
//! and [`Record`] how it stands over hours and days. [`share`] divides the connections of a node among its readers.
//! [`resume`] says where a reader that fills a stream elsewhere goes on.

mod alone;
mod cause;
mod health;
mod pace;
mod resume;
pub mod share;
mod standing;
mod window;

pub use alone::{alone, alone_at};
pub use cause::Cause;
pub use health::Health;
pub use resume::{Found, Last, Resume, resume};
pub use standing::{FAILED_AFTER, FAILING_AFTER, Record, Standing};
pub use window::{Answer, GivenUp, Kept, Load, Next, Row, Save, WINDOW_MAX, Window};
