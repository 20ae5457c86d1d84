//! How other threads reach a reactor: orders and messages, each with a wake-up.

use crate::conn::Key;
use mio::Waker;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const SERVE: u8 = 0;
const DRAIN: u8 = 1;
const ABORT: u8 = 2;

/// Orders to a reactor, from any thread or signal handler.
#[derive(Debug)]
pub struct Control {
    order: AtomicU8,
    grace_ms: AtomicU64,
    /// Somebody wants the thread that runs the reactor, not the reactor.
    attention: AtomicBool,
    waker: Waker,
}

/// What a reactor was told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Serve,
    Drain(Duration),
    Abort,
}

impl Control {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            order: AtomicU8::new(SERVE),
            grace_ms: AtomicU64::new(0),
            attention: AtomicBool::new(false),
            waker,
        }
    }

    /// Ends the current wait for events.
    pub fn wake(&self) {
        // A full wake-up counter means that a wake-up is pending already.
        let _ = self.waker.wake();
    }

    /// Ends the current wait, and has the thread look at what else it is there for: the interpreter's signals.
    pub fn call(&self) {
        self.attention.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether somebody has called since the last time.
    pub fn take_attention(&self) -> bool {
        self.attention.load(Ordering::Relaxed) && self.attention.swap(false, Ordering::Acquire)
    }

    /// Stop accepting, answer what was received within `grace`, then finish.
    pub fn drain(&self, grace: Duration) {
        self.grace_ms.store(
            u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        let _ = self
            .order
            .compare_exchange(SERVE, DRAIN, Ordering::Release, Ordering::Relaxed);
        self.wake();
    }

    /// Finish now.
    pub fn abort(&self) {
        self.order.store(ABORT, Ordering::Release);
        self.wake();
    }

    pub(super) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            SERVE => Order::Serve,
            DRAIN => Order::Drain(Duration::from_millis(self.grace_ms.load(Ordering::Relaxed))),
            _ => Order::Abort,
        }
    }
}

/// Messages to the service of a reactor. Cheap to poll when empty.
#[derive(Debug)]
pub struct Mailbox<M> {
    messages: Mutex<Vec<M>>,
    full: AtomicBool,
    /// Connections whose body is to be read on.
    nudged: Mutex<Vec<Key>>,
    is_nudged: AtomicBool,
    control: std::sync::Arc<Control>,
}

impl<M> Mailbox<M> {
    pub(super) fn new(control: std::sync::Arc<Control>) -> Self {
        Self {
            messages: Mutex::new(Vec::new()),
            full: AtomicBool::new(false),
            nudged: Mutex::new(Vec::new()),
            is_nudged: AtomicBool::new(false),
            control,
        }
    }

    /// Leaves a message and wakes the reactor; only the first one after a visit of the reactor costs a system call.
    pub fn send(&self, message: M) {
        self.leave(message);
        if !self.full.swap(true, Ordering::AcqRel) {
            self.control.wake();
        }
    }

    /// Leaves a message without a wake-up, for senders on the reactor's own thread that schedule its turn themselves.
    /// Returns whether it is the first one since the reactor's last visit.
    pub fn leave_quietly(&self, message: M) -> bool {
        self.leave(message);
        !self.full.swap(true, Ordering::AcqRel)
    }

    fn leave(&self, message: M) {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(message);
    }

    /// Tells the reactor itself, and not its service, that a reader of this connection's body takes more.
    /// Without `wake` the caller sees to the reactor's turn if this returns `true`.
    pub fn nudge(&self, key: Key, wake: bool) -> bool {
        self.nudged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(key);
        let is_first = !self.is_nudged.swap(true, Ordering::AcqRel);
        if is_first && wake {
            self.control.wake();
        }
        is_first
    }

    #[must_use]
    pub(super) fn is_nudged(&self) -> bool {
        self.is_nudged.load(Ordering::Acquire)
    }

    pub(super) fn take_nudged(&self) -> Vec<Key> {
        self.is_nudged.store(false, Ordering::Release);
        std::mem::take(&mut self.nudged.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a visit would find something.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    pub(super) fn collect(&self, into: &mut Vec<M>) {
        if self.full.load(Ordering::Acquire) {
            // Cleared before the visit: a message that comes in between wakes the reactor once more.
            self.full.store(false, Ordering::Release);
            into.append(&mut self.messages.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
