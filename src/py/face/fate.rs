//! What happens to a request from outside while its view runs.

use std::sync::atomic::AtomicBool;

/// Set by the reactor, read by anybody.
#[derive(Default)]
pub struct Fate {
    /// The client has gone.
    pub disconnected: AtomicBool,
    /// The view's time is up.
    pub expired: AtomicBool,
}
