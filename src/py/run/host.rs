//! The event loop that hosts async views, and what is needed of asyncio to run tasks on it.

use super::books::Books;
use super::eager::FirstSteps;
use super::spare::Spares;
use super::waiter::Waiter;
use super::watchdog::Pulse;
use crate::py::ffi::Context;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

/// How a task comes to run its first step.
pub(super) enum Eager {
    /// The task runs it when it is made, if it is made for one request.
    Task(Option<Spares>),
    /// It is kept from the loop, and run here.
    Here(FirstSteps),
    /// In the loop's next round.
    No,
}

/// The loop that hosts async views, and what is needed of asyncio.
pub struct LoopHost {
    event_loop: Py<PyAny>,
    thread: ThreadId,
    pub(super) task_class: Py<PyAny>,
    pub(super) is_done: Py<PyAny>,
    pub(super) get_result: Py<PyAny>,
    /// What a request's task is made with; its context stands there for as long as that takes, or until the next one
    /// where the service keeps it.
    pub(super) options: Py<PyDict>,
    /// The address of the context that stands there; 0 for none.
    context: AtomicUsize,
    /// What calling a coroutine function returns.
    pub(super) coroutine_class: Py<PyAny>,
    get_running: Py<PyAny>,
    set_running: Py<PyAny>,
    /// Tasks under way: the loop itself keeps weak references only.
    pub(in crate::py) tasks: Py<PySet>,
    /// Schedules one turn of the reactor that is this loop's guest.
    schedule: Py<PyAny>,
    pub(super) eager: Eager,
    books: Arc<Books>,
    /// A waiter that the task at this address may use again, during the step that it woke the task for.
    lent: Mutex<Option<(Py<Waiter>, usize)>>,
    /// Of the reactor that is this loop's guest.
    pub(super) pulse: Arc<Pulse>,
}

impl LoopHost {
    /// Must be called on the loop's thread.
    pub fn new(
        event_loop: &Bound<'_, PyAny>,
        schedule: Py<PyAny>,
        pulse: Arc<Pulse>,
    ) -> PyResult<Self> {
        let py = event_loop.py();
        let asyncio = py.import("asyncio")?;
        let events = py.import("asyncio.events")?;
        let options = PyDict::new(py);
        options.set_item("loop", event_loop)?;
        // A name of its own is formatted for each task that is given none: a twentieth of such a request.
        let name = intern!(py, "request");
        options.set_item("name", name)?;
        if cfg!(Py_3_11) {
            // Earlier tasks copy the current context, which is the request's: it is entered here.
            options.set_item(intern!(py, "context"), py.None())?;
        }
        let books = Arc::new(Books::new(event_loop)?);
        let eager = if cfg!(Py_3_12) {
            options.set_item("eager_start", true)?;
            Eager::Task(Spares::new(event_loop, name, &books)?)
        } else {
            FirstSteps::new(event_loop)?.map_or(Eager::No, Eager::Here)
        };
        let task_class = asyncio.getattr("Task")?;
        Ok(Self {
            event_loop: event_loop.clone().unbind(),
            thread: std::thread::current().id(),
            is_done: task_class.getattr("done")?.unbind(),
            get_result: task_class.getattr("result")?.unbind(),
            task_class: task_class.unbind(),
            options: options.unbind(),
            context: AtomicUsize::new(0),
            coroutine_class: py.import("types")?.getattr("CoroutineType")?.unbind(),
            get_running: events.getattr("_get_running_loop")?.unbind(),
            set_running: events.getattr("_set_running_loop")?.unbind(),
            tasks: PySet::empty(py)?.unbind(),
            schedule,
            eager,
            books,
            lent: Mutex::default(),
            pulse,
        })
    }

    /// Whether this thread is the loop's.
    pub fn is_here(&self) -> bool {
        self.thread == std::thread::current().id()
    }

    /// Takes the running loop away from this thread, if it has one.
    pub fn hide(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let running = self.get_running.bind(py).call0()?;
        if running.is_none() {
            return Ok(None);
        }
        self.set_running.bind(py).call1((py.None(),))?;
        Ok(Some(running.unbind()))
    }

    pub fn show(&self, py: Python<'_>, running: Py<PyAny>) -> PyResult<()> {
        self.set_running.bind(py).call1((running,)).map(drop)
    }

    pub fn thread(&self) -> ThreadId {
        self.thread
    }

    pub fn event_loop<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.event_loop.bind(py).clone()
    }

    /// asyncio's book of this loop.
    pub(super) fn books(&self) -> &Books {
        &self.books
    }

    /// Lends a waiter for a step that is about to be taken, or ends that. On the loop's thread.
    pub(super) fn lend(&self, waiter: Option<(Py<Waiter>, usize)>) {
        let former = std::mem::replace(&mut *self.lock_lent(), waiter);
        drop(former);
    }

    /// The waiter that is lent to the task that runs, once.
    pub(super) fn borrow_lent(&self, py: Python<'_>) -> PyResult<Option<Py<Waiter>>> {
        let Some(owner) = self.lock_lent().as_ref().map(|(_, task)| *task) else {
            return Ok(None);
        };
        // Not another thread, nor a task that the owner has started eagerly.
        let is_owner = |task: Bound<'_, PyAny>| task.as_ptr() as usize == owner;
        if !self.is_here() || !self.books.current(py)?.is_some_and(is_owner) {
            return Ok(None);
        }
        Ok(self.lock_lent().take().map(|(waiter, _)| waiter))
    }

    fn lock_lent(&self) -> MutexGuard<'_, Option<(Py<Waiter>, usize)>> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What schedules a turn of this loop's guest.
    pub fn schedule(&self, py: Python<'_>) -> Py<PyAny> {
        self.schedule.clone_ref(py)
    }

    /// Has the loop call `call` in its next round, from any thread: a function and its arguments.
    pub fn call<'py>(
        &self,
        py: Python<'py>,
        call: impl pyo3::call::PyCallArgs<'py>,
    ) -> PyResult<()> {
        self.call_in(py, call, &PyDict::new(py))
    }

    /// The same with options: `context`.
    pub fn call_in<'py>(
        &self,
        py: Python<'py>,
        call: impl pyo3::call::PyCallArgs<'py>,
        options: &Bound<'py, PyDict>,
    ) -> PyResult<()> {
        let name = if self.is_here() {
            intern!(py, "call_soon")
        } else {
            intern!(py, "call_soon_threadsafe")
        };
        self.event_loop
            .bind(py)
            .call_method(name, call, Some(options))
            .map(drop)
    }

    /// Has the next task be made in a context; `true`: so was the last one. On the loop's thread, as everything that is
    /// about `options`.
    pub(super) fn give_context(&self, py: Python<'_>, context: &Context) -> PyResult<bool> {
        let address = context.object().as_ptr() as usize;
        if self.context.load(Ordering::Relaxed) == address {
            return Ok(true);
        }
        self.options
            .bind(py)
            .set_item(intern!(py, "context"), context.object())?;
        self.context.store(address, Ordering::Relaxed);
        Ok(false)
    }

    /// How many references to a context are the host's.
    pub fn references(&self, context: &Context) -> isize {
        let spares = self.spares().map_or(0, |spares| spares.references(context));
        spares
            + isize::from(
                self.context.load(Ordering::Relaxed) == context.object().as_ptr() as usize,
            )
    }

    pub(super) fn spares(&self) -> Option<&Spares> {
        match &self.eager {
            Eager::Task(spares) => spares.as_ref(),
            Eager::Here(_) | Eager::No => None,
        }
    }

    /// Lets go of the context of the last task.
    pub fn forget_context(&self, py: Python<'_>) {
        if let Some(spares) = self.spares() {
            spares.forget();
        }
        if self.context.swap(0, Ordering::Relaxed) != 0
            && let Err(error) = self
                .options
                .bind(py)
                .set_item(intern!(py, "context"), py.None())
        {
            error.write_unraisable(py, None);
        }
    }
}
