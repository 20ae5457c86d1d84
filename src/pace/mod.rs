//! Where an `auto` view runs: in the pool until it has shown that it is quick, then on the reactor's thread until it
//! has shown that it waits.
//!
//! One clock reading a call tells short calls, and they are all there is to most routes. Only a route that has had a
//! longer one is looked at with the kernel's counters, which are system calls: they tell a call that waited from one
//! that computed, and from one that was kept from running by another thread or process.

mod clock;
#[cfg(test)]
mod tests;

use clock::Usage;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A call shorter than this is no burden on a reactor.
pub const SHORT: Duration = Duration::from_micros(500);
/// Short calls in a row that make a route inline, and what each demotion multiplies them by: a view that waits now
/// and then must not go to and fro.
const PROMOTION: u32 = 64;
const AGAIN: u32 = 8;
const MOST: u32 = 1 << 20;
/// An inline route is demoted when this many of its last `WINDOW` calls waited.
const BLOCKED: usize = 3;
const WINDOW: u64 = 100;

/// Threads of ours that run Python or want to, and how many have begun to.
static COMPANY: AtomicU32 = AtomicU32::new(0);
static ARRIVALS: AtomicU64 = AtomicU64::new(0);

/// Held by a thread of ours while it runs Python or waits for the interpreter. Taken once a turn or job.
pub struct Attached(());

impl Attached {
    pub fn begin() -> Self {
        COMPANY.fetch_add(1, Relaxed);
        ARRIVALS.fetch_add(1, Relaxed);
        Self(())
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        COMPANY.fetch_sub(1, Relaxed);
    }
}

thread_local! {
    /// This thread holds an `Attached` while it runs Python: it is one of the pool's.
    static IS_COMPANY: Cell<bool> = const { Cell::new(false) };
}

/// Told by a thread that takes an `Attached` for whatever Python it runs, so that `Apart` knows.
pub fn enlist() {
    IS_COMPANY.with(|is_company| is_company.set(true));
}

/// Held by a thread while it waits, detached, for as long as it takes: a job may do so for hours, and must not pass
/// for one that wants the interpreter. Nothing on a thread that does not count.
pub struct Apart(());

impl Apart {
    pub fn begin() -> Option<Self> {
        IS_COMPANY.with(Cell::get).then(|| {
            COMPANY.fetch_sub(1, Relaxed);
            Self(())
        })
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        COMPANY.fetch_add(1, Relaxed);
        ARRIVALS.fetch_add(1, Relaxed);
    }
}

/// One route's record.
pub struct Pace {
    inline: AtomicBool,
    /// It has had a longer call: the next ones are looked at.
    suspect: AtomicBool,
    /// Short calls in the pool in a row.
    streak: AtomicU32,
    record: Mutex<Record>,
}

struct Record {
    needed: u32,
    /// The first call pays for imports and caches, and says nothing.
    warm: bool,
    /// Inline calls since the route became suspect, and those among them that waited.
    calls: u64,
    blocked: VecDeque<(u64, Duration)>,
}

/// What a route is sent back to the pool for.
pub struct Demotion {
    pub times: Vec<Duration>,
    pub calls: u64,
    /// Short calls in a row that would bring it back.
    pub needed: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            inline: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            streak: AtomicU32::new(0),
            record: Mutex::new(Record {
                needed: PROMOTION,
                warm: false,
                calls: 0,
                blocked: VecDeque::new(),
            }),
        }
    }
}

impl Pace {
    pub fn is_inline(&self) -> bool {
        self.inline.load(Relaxed)
    }

    /// Whether calls have to be looked at closely: `Look::begin` before each.
    pub fn is_suspect(&self) -> bool {
        self.suspect.load(Relaxed)
    }

    /// A call in the pool is over.
    pub fn note_pooled(&self, wall: Duration, look: Option<&Look>) {
        if self.is_inline() {
            // Queued before the route was promoted.
            return;
        }
        if wall < SHORT {
            let streak = self.streak.fetch_add(1, Relaxed) + 1;
            if streak >= PROMOTION {
                self.promote(streak);
            }
            return;
        }
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut record.warm, true) {
            return;
        }
        drop(record);
        match look {
            None => {
                self.suspect.store(true, Relaxed);
                self.streak.store(0, Relaxed);
            }
            Some(look) if look.judge(wall) == Verdict::Hindered => {}
            Some(_) => self.streak.store(0, Relaxed),
        }
    }

    /// An inline call was longer than `SHORT`, or the route is suspect.
    pub fn note_inline(&self, wall: Duration, look: Option<&Look>) -> Option<Demotion> {
        let Some(look) = look else {
            self.suspect.store(true, Relaxed);
            return None;
        };
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.calls += 1;
        let calls = record.calls;
        while record
            .blocked
            .front()
            .is_some_and(|(call, _)| call + WINDOW <= calls)
        {
            record.blocked.pop_front();
        }
        if wall < SHORT || look.judge(wall) != Verdict::Waited {
            if calls >= WINDOW && record.blocked.is_empty() {
                record.calls = 0;
                self.suspect.store(false, Relaxed);
            }
            return None;
        }
        record.blocked.push_back((calls, wall));
        if record.blocked.len() < BLOCKED {
            return None;
        }
        let times = record.blocked.drain(..).map(|(_, wall)| wall).collect();
        self.demote(&mut record);
        Some(Demotion {
            times,
            calls: calls.min(WINDOW),
            needed: record.needed,
        })
    }

    /// The view has more to do after its call than the call shows (a body that it generates): it stays in the pool.
    pub fn note_stream(&self) {
        self.streak.store(0, Relaxed);
        if self.is_inline() {
            let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
            self.demote(&mut record);
        }
    }

    fn promote(&self, streak: u32) {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        if streak >= record.needed {
            record.calls = 0;
            record.blocked.clear();
            self.suspect.store(false, Relaxed);
            self.inline.store(true, Relaxed);
        }
    }

    fn demote(&self, record: &mut Record) {
        record.needed = record.needed.saturating_mul(AGAIN).min(MOST);
        record.calls = 0;
        record.blocked.clear();
        self.streak.store(0, Relaxed);
        self.suspect.store(false, Relaxed);
        self.inline.store(false, Relaxed);
    }
}

/// Measures the inline calls of one reactor: one reading of the clock a call.
#[derive(Default)]
pub struct Stopwatch {
    mark: Option<Instant>,
    look: Option<Look>,
}

impl Stopwatch {
    /// Something else has had the thread since the last call.
    pub fn forget(&mut self) {
        self.mark = None;
    }

    /// A call of `pace`'s view follows.
    pub fn begin(&mut self, pace: &Pace) {
        if self.mark.is_none() || pace.is_suspect() {
            self.mark = Some(Instant::now());
            self.look = pace.is_suspect().then(Look::begin);
        }
    }

    /// The call is over. The time since the call before it counts too, which is a few microseconds of our own.
    pub fn end(&mut self, pace: &Pace) -> Option<Demotion> {
        let now = Instant::now();
        let wall = now.saturating_duration_since(self.mark.replace(now)?);
        if wall < SHORT && self.look.is_none() {
            return None;
        }
        pace.note_inline(wall, self.look.take().as_ref())
    }
}

/// The counters as they were when a call began.
pub struct Look {
    usage: Usage,
    company: bool,
    arrivals: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// For something outside of the process's own threads.
    Waited,
    /// It had the processor.
    Computed,
    /// It could not run: another thread had the interpreter, another process the processor.
    Hindered,
}

impl Look {
    pub fn begin() -> Self {
        Self {
            usage: Usage::now(),
            company: COMPANY.load(Relaxed) > 1,
            arrivals: ARRIVALS.load(Relaxed),
        }
    }

    fn judge(&self, wall: Duration) -> Verdict {
        let company =
            self.company || COMPANY.load(Relaxed) > 1 || ARRIVALS.load(Relaxed) != self.arrivals;
        judge(wall, self.usage, Usage::now(), company, switch_interval())
    }
}

fn judge(
    wall: Duration,
    before: Usage,
    after: Usage,
    company: bool,
    interval: Duration,
) -> Verdict {
    let wall = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
    let own = after.own.saturating_sub(before.own);
    let others = after
        .process
        .saturating_sub(before.process)
        .saturating_sub(own);
    let idle = wall.saturating_sub(own);
    if idle < u64::try_from(SHORT.as_nanos()).unwrap_or(0) {
        return Verdict::Computed;
    }
    // Others of the process ran for a good part of it: they had the interpreter, or might have had.
    if others.saturating_mul(8) >= idle {
        return Verdict::Hindered;
    }
    let (Some(before), Some(after)) = (before.waits, after.waits) else {
        return Verdict::Waited;
    };
    let waits = after.saturating_sub(before);
    if waits == 0 {
        // It never gave the processor up: it was taken away.
        return Verdict::Hindered;
    }
    // A thread that wants the interpreter wakes once every switch interval to ask for it, which tells it from one that
    // sleeps through; one that talks to a peer wakes more often.
    let interval = u64::try_from(interval.as_nanos()).unwrap_or(1).max(1);
    if company && waits >= idle / (2 * interval) && waits <= idle / interval * 5 / 4 + 4 {
        let sleeps = idle / interval;
        if sleeps >= 2 || others > 0 {
            return Verdict::Hindered;
        }
    }
    Verdict::Waited
}

/// `sys.getswitchinterval()`, as far as the server set it.
static SWITCH_INTERVAL: AtomicU64 = AtomicU64::new(5_000_000);

pub fn set_switch_interval(interval: Duration) {
    SWITCH_INTERVAL.store(
        u64::try_from(interval.as_nanos()).unwrap_or(5_000_000),
        Relaxed,
    );
}

fn switch_interval() -> Duration {
    Duration::from_nanos(SWITCH_INTERVAL.load(Relaxed))
}
