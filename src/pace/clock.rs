//! What the kernel counts of a thread: its time on a processor, and how often it gave one up.
#![allow(unsafe_code)]

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
            own: cpu_time(libc::CLOCK_THREAD_CPUTIME_ID),
            process: cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID),
            waits: waits(),
        }
    }
}

fn cpu_time(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec that lives through the call, which writes nothing else.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return 0;
    }
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(target_os = "linux")]
fn waits() -> Option<u64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the pointer is to memory for one rusage; it is read only if the call says that it has filled it.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    u64::try_from(usage.ru_nvcsw).ok()
}

#[cfg(not(target_os = "linux"))]
fn waits() -> Option<u64> {
    None
}
