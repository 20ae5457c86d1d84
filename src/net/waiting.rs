//! How a reactor waits: asleep, or looking again and again for a moment first; and what it does for other reactors.
//!
//! To wake a sleeping thread takes the system longer than a small request takes us, and the caches have cooled down by
//! then. So a reactor that has little to do and was last woken quickly polls for a moment before it sleeps. Rules:
//! the moment is bounded (`busy_poll`); it is spent only where the last waits were shorter than it, so that a server
//! with nothing to do sleeps; never after a turn that served many at once, when requests wait for each other and not
//! for the wake-up; only between events of the same few connections, since with many of them a moderate load would keep
//! the reactor on its core all the time, and then whatever else wants that core comes at the cost of a time slice; and
//! any thread that wants the core gets it in between. How many waits must have been short depends on what polling
//! brought: clients that come in bursts end each of them with a moment spent in vain, which soon takes more short waits
//! in a row than a burst has.
//!
//! Reactors of one process share cores, and on most Pythons the interpreter. One whose clients answer at once always has
//! something to do, and the others would wait for its whole time slice (3 ms, where a turn takes 0.3), with answers in
//! their hands that are not sent. So each offers its core to the others after a turn: one system call for the turn's
//! many requests.

#[cfg(test)]
mod tests;

use mio::{Events, Poll, Token};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Events of a turn up to which the next wait counts: with more, what the wake-up costs is shared by many.
const FEW: usize = 2;

/// Sources of events between which polling is worth it.
const KNOWN: usize = 4;

/// Short waits in a row that polling may ask for at most: a moment spent in vain is nothing beside so many.
const MOST: u32 = 1024;

/// Moments that an event ended, after which half as many short waits in a row are enough.
const TRUSTED: u32 = 32;

/// The reactors of the process.
static REACTORS: AtomicUsize = AtomicUsize::new(0);

pub struct Waiting {
    busy_poll: Duration,
    /// Waits in a row that were shorter than `busy_poll`.
    short: u32,
    /// How many of them there must be: twice as many after a moment spent in vain.
    wanted: u32,
    /// Moments that an event ended, since the last that none did.
    fruitful: u32,
    /// Where the last events came from that came from elsewhere than those before them; the next one to be replaced.
    known: [Option<Token>; KNOWN],
    oldest: usize,
}

impl Waiting {
    pub fn new(busy_poll: Duration) -> Self {
        REACTORS.fetch_add(1, Ordering::Relaxed);
        Self {
            busy_poll,
            short: 0,
            wanted: 1,
            fruitful: 0,
            known: [None; KNOWN],
            oldest: 0,
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
        self.look_at(events);
        let begun = Instant::now();
        let polls = self.short >= self.wanted;
        if polls {
            let mut is_first = true;
            loop {
                poll.poll(events, Some(Duration::ZERO))?;
                if !events.is_empty() {
                    if !is_first {
                        self.bore_fruit();
                    }
                    return Ok(());
                }
                if begun.elapsed() >= self.busy_poll {
                    break;
                }
                is_first = false;
                thread::yield_now();
            }
        }
        let result = poll.poll(events, timeout);
        if begun.elapsed() < self.busy_poll {
            self.short = self.short.saturating_add(1);
        } else {
            self.short = 0;
            if polls {
                self.wanted = MOST.min(self.wanted * 2);
                self.fruitful = 0;
            }
        }
        result
    }

    /// Remembers where events came from: news from elsewhere make the waits before them no measure.
    fn look_at(&mut self, events: &Events) {
        for event in events {
            let source = Some(event.token());
            if !self.known.contains(&source) {
                self.known[self.oldest] = source;
                self.oldest = (self.oldest + 1) % KNOWN;
                self.short = 0;
            }
        }
    }

    fn bore_fruit(&mut self) {
        self.fruitful += 1;
        if self.fruitful == TRUSTED {
            self.fruitful = 0;
            self.wanted = 1.max(self.wanted / 2);
        }
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
