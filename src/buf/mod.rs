//! Bytes on their way in and out: the receive arena, a connection's inbox, its outbox.
//!
//! Received bytes land in blocks of an arena that every connection of a reactor shares; whoever keeps a part
//! of them holds a [`View`], which keeps its block alive. Bytes that a view covers are never written again.

mod arena;
mod budget;
mod chunk;
mod file;
mod inbox;
mod outbox;

pub use arena::Arena;
pub use budget::{Budget, Charge};
pub use chunk::{BLOCK, View};
pub use file::{FilePart, Sink};
pub use inbox::{Held, Inbox};
pub use outbox::{Flushed, Outbox, Payload, Segment};
