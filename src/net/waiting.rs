//! How a reactor waits: asleep, or looking again and again for a moment first; and what it does for other reactors.
//!
//! To wake a sleeping thread takes the system longer than a small request takes us, and the caches have cooled down by
//! then. So a reactor that has little to do and was last woken quickly polls for a moment before it sleeps. Rules:
//! the moment is bounded (`busy_poll`); it is spent only where the last wait was shorter than it, so that a server
//! with nothing to do sleeps; never after a turn that served many at once, when requests wait for each other and not
//! for the wake-up; and any thread that wants the core gets it in between.
//!
//! Reactors of one process share cores, and on most Pythons the interpreter. One whose clients answer at once always has
//! something to do, and the others would wait for its whole time slice (3 ms, where a turn takes 0.3), with answers in
//! their hands that are not sent. So each offers its core to the others after a turn: one system call for the turn's
//! many requests.

#[cfg(test)]
mod tests;

use mio::{Events, Poll};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Events of a turn up to which the next wait counts: with more, what the wake-up costs is shared by many.
const FEW: usize = 2;

/// The reactors of the process.
static REACTORS: AtomicUsize = AtomicUsize::new(0);

pub struct Waiting {
    busy_poll: Duration,
    /// The last wait was shorter than `busy_poll`.
    was_short: bool,
}

impl Waiting {
    pub fn new(busy_poll: Duration) -> Self {
        REACTORS.fetch_add(1, Ordering::Relaxed);
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
        if !events.is_empty() && has_company() {
            thread::yield_now();
        }
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

impl Drop for Waiting {
    fn drop(&mut self) {
        REACTORS.fetch_sub(1, Ordering::Relaxed);
    }
}

fn has_company() -> bool {
    REACTORS.load(Ordering::Relaxed) > 1
}
