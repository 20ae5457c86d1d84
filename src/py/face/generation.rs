//! The counter that tells a server that something an application is made of has changed.

use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts changes to the registries of one application. Compiled plans are valid for one value of it.
#[pyclass(frozen, module = "bustapi._core")]
pub struct Generation {
    count: Arc<AtomicU64>,
}

impl Generation {
    pub fn shared(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.count)
    }
}

#[pymethods]
impl Generation {
    #[new]
    fn new() -> Self {
        Self {
            count: Arc::new(AtomicU64::new(1)),
        }
    }

    /// Marks a change: plans compiled before it are compiled again before their next use.
    fn bump(&self) {
        self.count.fetch_add(1, Ordering::Release);
    }

    #[getter]
    fn value(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }
}
