//! What a task waits for on a WebSocket, or of a body on its way in: as much of a future as asyncio's tasks ask of one.
//!
//! A future of asyncio's own would cost a turn of the loop for each message: its callbacks are scheduled. A waiter's
//! are called where the message arrives, in the reactor's turn, which is a callback of the loop itself.

use super::link::{Link, Side};
use super::task::LoopHost;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use smallvec::SmallVec;
use std::sync::Arc;

/// What is to be called, each with the context to call it in; nearly always the one task that waits.
type Callbacks = SmallVec<[(Py<PyAny>, Option<Py<PyAny>>); 1]>;

/// What wakes waiters.
pub trait Source: Send + Sync {
    /// Where tasks run.
    fn host(&self) -> Option<&LoopHost>;

    /// The waiter is not to be woken.
    fn forget(&self, waiter: &Bound<'_, Waiter>);
}

#[pyclass(module = "bustapi._core", weakref)]
pub struct Waiter {
    source: Arc<dyn Source>,
    blocking: bool,
    outcome: Outcome,
    callbacks: Callbacks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Pending,
    Done,
    Cancelled,
}

impl Waiter {
    pub fn new(py: Python<'_>, link: &Arc<Link>, side: Side) -> PyResult<Py<Self>> {
        let source = Arc::clone(link) as Arc<dyn Source>;
        Self::of(py, source, |waiter| link.wait(side, waiter))
    }

    /// A waiter that `enlist` has woken, unless it says that there is nothing to wait for.
    pub fn of(
        py: Python<'_>,
        source: Arc<dyn Source>,
        enlist: impl FnOnce(Py<Self>) -> bool,
    ) -> PyResult<Py<Self>> {
        let waiter = Py::new(
            py,
            Self {
                source,
                blocking: false,
                outcome: Outcome::Pending,
                callbacks: SmallVec::new(),
            },
        )?;
        if enlist(waiter.clone_ref(py)) {
            waiter.bind(py).try_borrow_mut()?.outcome = Outcome::Done;
        }
        Ok(waiter)
    }

    /// Ends the wait; the callbacks, if this is its end.
    fn finish(slf: &Bound<'_, Self>, outcome: Outcome) -> Callbacks {
        match slf.try_borrow_mut() {
            Ok(mut this) if this.outcome == Outcome::Pending => {
                this.outcome = outcome;
                std::mem::take(&mut this.callbacks)
            }
            _ => SmallVec::new(),
        }
    }

    /// Has the loop call the callbacks in its next round.
    fn schedule(slf: &Bound<'_, Self>, callbacks: Callbacks) -> PyResult<()> {
        let py = slf.py();
        if callbacks.is_empty() {
            return Ok(());
        }
        let event_loop = Self::get_loop(slf)?;
        for (callback, context) in callbacks {
            let options = PyDict::new(py);
            if let Some(context) = context {
                options.set_item(intern!(py, "context"), context)?;
            }
            event_loop.call_method(intern!(py, "call_soon"), (callback, slf), Some(&options))?;
        }
        Ok(())
    }
}

/// Ends waits; `now`: this is the loop's thread, between two tasks.
pub fn wake(py: Python<'_>, host: &LoopHost, waiters: Vec<Py<Waiter>>, now: bool) {
    if !now {
        let woken = Py::new(py, Wake(waiters)).and_then(|wake| host.call_soon(py, wake.into_any()));
        if let Err(error) = woken {
            // The loop is closed: nobody waits any more.
            drop(error);
        }
        return;
    }
    for waiter in waiters {
        let waiter = waiter.bind(py);
        for (callback, context) in Waiter::finish(waiter, Outcome::Done) {
            let called = match context {
                Some(context) => context
                    .bind(py)
                    .call_method1(intern!(py, "run"), (callback, waiter)),
                None => callback.bind(py).call1((waiter,)),
            };
            if let Err(error) = called {
                error.write_unraisable(py, Some(waiter));
            }
        }
    }
}

#[pymethods]
impl Waiter {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(slf: Bound<'_, Self>) -> PyResult<Option<Bound<'_, Self>>> {
        let outcome = {
            let mut this = slf.try_borrow_mut()?;
            this.blocking |= this.outcome == Outcome::Pending;
            this.outcome
        };
        match outcome {
            Outcome::Pending => Ok(Some(slf)),
            Outcome::Done => Ok(None),
            Outcome::Cancelled => Err(cancelled(slf.py())),
        }
    }

    #[getter(_asyncio_future_blocking)]
    fn blocking(&self) -> bool {
        self.blocking
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&mut self, value: bool) {
        self.blocking = value;
    }

    fn get_loop<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.try_borrow()?;
        match this.source.host() {
            Some(host) => Ok(host.event_loop(slf.py())),
            None => Err(pyo3::exceptions::PyRuntimeError::new_err(
                "there is no event loop",
            )),
        }
    }

    #[pyo3(signature = (callback, *, context = None))]
    fn add_done_callback(
        slf: &Bound<'_, Self>,
        callback: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        {
            let mut this = slf.try_borrow_mut()?;
            if this.outcome == Outcome::Pending {
                this.callbacks.push((callback, context));
                return Ok(());
            }
        }
        Self::schedule(slf, SmallVec::from_iter([(callback, context)]))
    }

    fn remove_done_callback(slf: &Bound<'_, Self>, callback: &Bound<'_, PyAny>) -> PyResult<usize> {
        let mut removed = Vec::new();
        {
            let mut this = slf.try_borrow_mut()?;
            while let Some(at) = this
                .callbacks
                .iter()
                .position(|(other, _)| other.is(callback))
            {
                removed.push(this.callbacks.remove(at));
            }
        }
        Ok(removed.len())
    }

    #[pyo3(signature = (msg = None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        drop(msg);
        let source = {
            let this = slf.try_borrow()?;
            if this.outcome != Outcome::Pending {
                return Ok(false);
            }
            Arc::clone(&this.source)
        };
        source.forget(slf);
        let callbacks = Self::finish(slf, Outcome::Cancelled);
        Self::schedule(slf, callbacks)?;
        Ok(true)
    }

    fn done(&self) -> bool {
        self.outcome != Outcome::Pending
    }

    fn cancelled(&self) -> bool {
        self.outcome == Outcome::Cancelled
    }

    fn result(slf: &Bound<'_, Self>) -> PyResult<()> {
        let outcome = slf.try_borrow()?.outcome;
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Cancelled => Err(cancelled(slf.py())),
            Outcome::Pending => Err(error_of_asyncio(slf.py(), "InvalidStateError")),
        }
    }

    fn exception(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::result(slf)
    }
}

fn cancelled(py: Python<'_>) -> PyErr {
    error_of_asyncio(py, "CancelledError")
}

fn error_of_asyncio(py: Python<'_>, name: &str) -> PyErr {
    match py
        .import("asyncio")
        .and_then(|asyncio| asyncio.getattr(name)?.call0())
    {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// Ends waits from the loop, wherever that was asked.
#[pyclass(module = "bustapi._core")]
struct Wake(Vec<Py<Waiter>>);

#[pymethods]
impl Wake {
    fn __call__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let waiters = std::mem::take(&mut slf.try_borrow_mut()?.0);
        for waiter in waiters {
            let waiter = waiter.bind(py);
            let callbacks = Waiter::finish(waiter, Outcome::Done);
            Waiter::schedule(waiter, callbacks)?;
        }
        Ok(())
    }
}
