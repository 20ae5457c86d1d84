//! How a reactor waits: asleep, or looking again and again for a moment first.
//!
//! To wake a sleeping thread takes the system longer than a small request takes us, and the caches have cooled down by
//! then. So a reactor that has little to do and was last woken quickly polls for a moment before it sleeps. Rules:
//! the moment is bounded (`busy_poll`); it is spent only where the last wait was shorter than it, so that a server
//! with nothing to do sleeps; never after a turn that served many at once, when requests wait for each other and not
//! for the wake-up; and any thread that wants the core gets it in between.

#[cfg(test)]
mod tests;

use mio::{Events, Poll};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// Events of a turn up to which the next wait counts: with more, what the wake-up costs is shared by many.
const FEW: usize = 2;

pub struct Waiting {
    busy_poll: Duration,
    /// The last wait was shorter than `busy_poll`.
    was_short: bool,
}

impl Waiting {
    pub fn new(busy_poll: Duration) -> Self {
        Self {
            busy_poll,
            was_short: false,
        }
    }

    /// Waits for events for `timeout` at most (`None`: for ever). `events` holds those of the turn before.
    pub fn wait(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        if self.busy_poll.is_zero()
            || events.iter().nth(FEW).is_some()
            || timeout.is_some_and(|timeout| timeout < self.busy_poll)
        {
            return poll.poll(events, timeout);
        }
        let begun = Instant::now();
        if self.was_short {
            loop {
                poll.poll(events, Some(Duration::ZERO))?;
                if !events.is_empty() {
                    return Ok(());
                }
                if begun.elapsed() >= self.busy_poll {
                    break;
                }
                thread::yield_now();
            }
        }
        let result = poll.poll(events, timeout);
        self.was_short = begun.elapsed() < self.busy_poll;
        result
    }
}
