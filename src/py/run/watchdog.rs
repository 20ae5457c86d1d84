//! Finds reactors whose thread a view does not give back, and tells reactors when a view's time is up.
//!
//! A reactor leaves a pulse: it counts up where Python begins, which is a store and no clock. The watchdog's thread
//! looks at the pulses a few times a second, detached; one that stands still while Python runs is a view that blocks.
//! An event loop that runs tasks of requests is asked to take a turn, since its pulse stands still also when it waits.

use super::service::Message;
use crate::net::{Control, Mailbox};
use crate::py::server::Reactor;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// No deadline.
const NEVER: u64 = u64::MAX;
/// How often the pulses are looked at: a deadline is met this much late at most.
const TICK: Duration = Duration::from_millis(25);

/// What runs on a reactor's thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Nothing of Python's, or an event loop outside of the reactor's turn.
    Outside = 0,
    /// Sync views, one after the other.
    Views = 1,
    /// The first step of a task.
    Task = 2,
}

/// One reactor's sign of life.
pub struct Pulse {
    beat: AtomicU64,
    stage: AtomicU8,
    /// `threading.get_ident()` of the reactor's thread.
    thread: AtomicU64,
    hosts_loop: AtomicBool,
    /// Tasks of requests that wait or run on its loop.
    tasks: AtomicUsize,
    /// When a view's time is up, in nanoseconds since `base()`.
    due: AtomicU64,
    control: Arc<Control>,
    mailbox: Arc<Mailbox<Message>>,
}

impl Pulse {
    pub fn new(control: Arc<Control>, mailbox: Arc<Mailbox<Message>>) -> Arc<Self> {
        Arc::new(Self {
            beat: AtomicU64::new(0),
            stage: AtomicU8::new(Stage::Outside as u8),
            thread: AtomicU64::new(0),
            hosts_loop: AtomicBool::new(false),
            tasks: AtomicUsize::new(0),
            due: AtomicU64::new(NEVER),
            control,
            mailbox,
        })
    }

    /// Something new begins. Only the reactor's thread writes: no read-modify-write is needed.
    pub fn step(&self) {
        let beat = self.beat.load(Ordering::Relaxed);
        self.beat.store(beat.wrapping_add(1), Ordering::Relaxed);
    }

    pub fn enter(&self, stage: Stage) {
        self.step();
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// The reactor runs on this thread.
    pub fn settle(&self, py: Python<'_>, hosts_loop: bool) -> PyResult<()> {
        let ident: u64 = py.import("_thread")?.call_method0("get_ident")?.extract()?;
        self.thread.store(ident, Ordering::Relaxed);
        self.hosts_loop.store(hosts_loop, Ordering::Relaxed);
        Ok(())
    }

    pub fn task_began(&self) {
        self.tasks.fetch_add(1, Ordering::Relaxed);
    }

    pub fn task_ended(&self) {
        self.tasks.fetch_sub(1, Ordering::Relaxed);
    }

    /// Has `Message::Due` sent at `deadline`, if nothing is due before.
    pub fn expect(&self, deadline: Instant) {
        let due = deadline.saturating_duration_since(base()).as_nanos();
        let due = u64::try_from(due).unwrap_or(NEVER);
        self.due.fetch_min(due, Ordering::Relaxed);
    }

    fn tell_due(&self, now: Instant) {
        let due = self.due.load(Ordering::Relaxed);
        if due == NEVER || base() + Duration::from_nanos(due) > now {
            return;
        }
        // Set anew by the reactor, which looks at everything that is due.
        self.due.store(NEVER, Ordering::Relaxed);
        self.mailbox.send(Message::Due);
    }
}

fn base() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    *BASE.get_or_init(Instant::now)
}

/// A pulse as it was seen last.
struct Seen {
    pulse: Arc<Pulse>,
    beat: u64,
    since: Instant,
    /// When the loop was asked for a turn that it has not taken.
    asked: Option<Instant>,
    reported: bool,
}

/// (what: `"view"`, `"task"` or `"over"`; the reactor's number; its thread; seconds so far; the beat).
type Report = (&'static str, usize, u64, f64, u64);

impl Seen {
    fn new(pulse: &Arc<Pulse>, now: Instant) -> Self {
        Self {
            pulse: Arc::clone(pulse),
            beat: pulse.beat.load(Ordering::Relaxed),
            since: now,
            asked: None,
            reported: false,
        }
    }

    fn look(&mut self, number: usize, now: Instant, limit: Duration) -> Option<Report> {
        let pulse = &*self.pulse;
        let beat = pulse.beat.load(Ordering::Relaxed);
        let stage = pulse.stage.load(Ordering::Relaxed);
        let on_loop = stage == Stage::Outside as u8
            && pulse.hosts_loop.load(Ordering::Relaxed)
            && pulse.tasks.load(Ordering::Relaxed) > 0;
        let so_far = now - self.since;
        let report = |what| {
            let thread = pulse.thread.load(Ordering::Relaxed);
            Some((what, number, thread, so_far.as_secs_f64(), self.beat))
        };
        if beat != self.beat || (stage == Stage::Outside as u8 && !on_loop) {
            let over = if self.reported { report("over") } else { None };
            self.beat = beat;
            self.since = now;
            self.asked = None;
            self.reported = false;
            return over;
        }
        if self.reported {
            return None;
        }
        if on_loop {
            match self.asked {
                None if so_far * 2 >= limit => {
                    self.asked = Some(now);
                    // What was before the question may have been a quiet loop.
                    self.since = now;
                    pulse.control.wake();
                    return None;
                }
                None => return None,
                Some(_) => {}
            }
        }
        if so_far < limit {
            return None;
        }
        self.reported = true;
        report(if stage == Stage::Views as u8 {
            "view"
        } else {
            "task"
        })
    }
}

/// Watches the reactors of a process; `bustapi.serve` gives it a thread.
#[pyclass(frozen, module = "bustapi._core")]
pub struct Watchdog {
    seen: Mutex<Vec<Option<Seen>>>,
    closed: Mutex<bool>,
    changed: Condvar,
    limit: Option<Duration>,
}

#[pymethods]
impl Watchdog {
    /// Args: limit: seconds after which a view that holds a reactor's thread is reported; None: never.
    #[new]
    #[pyo3(signature = (limit = None))]
    fn new(limit: Option<f64>) -> PyResult<Self> {
        let limit = limit
            .map(|seconds| {
                Duration::try_from_secs_f64(seconds)
                    .map_err(|_| PyValueError::new_err("limit must be a number of seconds"))
            })
            .transpose()?;
        base();
        Ok(Self {
            seen: Mutex::new(Vec::new()),
            closed: Mutex::new(false),
            changed: Condvar::new(),
            limit,
        })
    }

    /// Watches a reactor too. Returns its number in reports.
    fn add(&self, reactor: &Reactor) -> usize {
        let mut seen = lock(&self.seen);
        seen.push(Some(Seen::new(reactor.pulse(), Instant::now())));
        seen.len() - 1
    }

    /// Forgets a reactor that has ended.
    fn remove(&self, number: usize) {
        if let Some(seen) = lock(&self.seen).get_mut(number) {
            *seen = None;
        }
    }

    /// Waits for something to report: a view or task that holds a reactor's thread, or the end of one that was
    /// reported. None when closed.
    fn watch(&self, py: Python<'_>) -> Option<Report> {
        py.detach(|| {
            let mut closed = lock(&self.closed);
            while !*closed {
                let wait = self
                    .limit
                    .map_or(TICK, |limit| TICK.min(limit / 2))
                    .max(Duration::from_millis(1));
                closed = self
                    .changed
                    .wait_timeout(closed, wait)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                if let Some(report) = self.look() {
                    return Some(report);
                }
            }
            None
        })
    }

    /// Whether what was reported still goes on.
    fn is_still(&self, number: usize, beat: u64) -> bool {
        lock(&self.seen)
            .get(number)
            .and_then(Option::as_ref)
            .is_some_and(|seen| seen.pulse.beat.load(Ordering::Relaxed) == beat)
    }

    /// Has `watch` return.
    fn close(&self) {
        *lock(&self.closed) = true;
        self.changed.notify_all();
    }
}

impl Watchdog {
    fn look(&self) -> Option<Report> {
        let now = Instant::now();
        let mut found = None;
        for (number, seen) in lock(&self.seen).iter_mut().enumerate() {
            let Some(seen) = seen else { continue };
            seen.pulse.tell_due(now);
            if found.is_none()
                && let Some(limit) = self.limit
            {
                found = seen.look(number, now, limit);
            }
        }
        found
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
