//! What the kernel counts of a thread: its time on a processor, and how often it gave one up.

use nix::time::{ClockId, clock_gettime};

/// Counters of the calling thread and its process, to be compared with later ones. System calls: not for every request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Nanoseconds that this thread was on a processor.
    pub own: u64,
    /// Nanoseconds that all threads of the process were.
    pub process: u64,
    /// How often this thread waited for something; None where the system does not tell for a thread.
    pub waits: Option<u64>,
}

impl Usage {
    pub fn now() -> Self {
        Self {
            own: cpu_time(ClockId::CLOCK_THREAD_CPUTIME_ID),
            process: cpu_time(ClockId::CLOCK_PROCESS_CPUTIME_ID),
            waits: waits(),
        }
    }
}

fn cpu_time(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| {
        u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000
            + u64::try_from(time.tv_nsec()).unwrap_or(0)
    })
}

#[cfg(target_os = "linux")]
fn waits() -> Option<u64> {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_THREAD).ok()?;
    u64::try_from(usage.voluntary_context_switches()).ok()
}

#[cfg(not(target_os = "linux"))]
fn waits() -> Option<u64> {
    None
}
