//! Sockets and time on mio: the only layer that does I/O. It knows connections and a service, and no Python.

mod control;
mod listener;
mod reactor;
mod socket;
mod sys;
#[cfg(test)]
mod tests;
mod waiting;
mod wheel;

pub use control::{Control, Mailbox};
pub use listener::Listener;
pub use reactor::{Reactor, Turn};
pub use sys::duplicate_file;
