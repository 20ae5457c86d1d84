//! The order in which serving threads come to the interpreter they share.
//!
//! The interpreter's own lock goes to whoever asks at the right moment, and a thread whose clients answer at once asks
//! again before the system has let any other run: on a core that they share, the others then wait for its whole time
//! slice. Here they queue: who leaves calls the first in line, and stands behind the last. Rules: uncontended it is one
//! lock of a mutex; a turn that takes long, because a view waits without the interpreter, holds nobody up for more than
//! `PATIENCE`, and those that come meanwhile not at all. Without an interpreter lock there is nothing to queue for.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// As long as the interpreter itself lets a thread wait by default.
const PATIENCE: Duration = Duration::from_millis(5);

/// That of the process, which has one interpreter.
static SHARED: Turnstile = Turnstile::new();

pub struct Turnstile {
    members: AtomicUsize,
    line: Mutex<Line>,
}

struct Line {
    taken: bool,
    /// Who is inside has kept somebody waiting for too long.
    slow: bool,
    waiting: VecDeque<Arc<Place>>,
}

struct Place {
    thread: Thread,
    called: AtomicBool,
}

/// One thread of those that queue.
pub struct Member(&'static Turnstile);

/// The way in, until it is dropped.
pub struct Pass<'a>(Option<&'a Turnstile>);

impl Turnstile {
    const fn new() -> Self {
        Self {
            members: AtomicUsize::new(0),
            line: Mutex::new(Line {
                taken: false,
                slow: false,
                waiting: VecDeque::new(),
            }),
        }
    }

    fn enter(&self) -> Pass<'_> {
        let place = {
            let mut line = self.line();
            if !line.taken {
                line.taken = true;
                return Pass(Some(self));
            }
            if line.slow {
                return Pass(None);
            }
            let place = Arc::new(Place {
                thread: thread::current(),
                called: AtomicBool::new(false),
            });
            line.waiting.push_back(Arc::clone(&place));
            place
        };
        let until = Instant::now() + PATIENCE;
        while !place.called.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.give_up(&place);
            }
            thread::park_timeout(left);
        }
        Pass(Some(self))
    }

    fn give_up(&self, place: &Arc<Place>) -> Pass<'_> {
        let mut line = self.line();
        if place.called.load(Ordering::Acquire) {
            return Pass(Some(self));
        }
        line.slow = true;
        line.waiting.retain(|other| !Arc::ptr_eq(other, place));
        Pass(None)
    }

    fn leave(&self) {
        let next = {
            let mut line = self.line();
            line.slow = false;
            let next = line.waiting.pop_front();
            line.taken = next.is_some();
            if let Some(next) = &next {
                next.called.store(true, Ordering::Release);
            }
            next
        };
        if let Some(next) = next {
            next.thread.unpark();
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    pub fn join() -> Self {
        SHARED.members.fetch_add(1, Ordering::Relaxed);
        Self(&SHARED)
    }

    /// Waits for its turn, detached. Alone it does not wait.
    pub fn enter(&self) -> Pass<'static> {
        if cfg!(Py_GIL_DISABLED) || self.0.members.load(Ordering::Relaxed) < 2 {
            return Pass(None);
        }
        self.0.enter()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.members.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(turnstile) = self.0 {
            turnstile.leave();
        }
    }
}
