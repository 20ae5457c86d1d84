//! One task for many requests, on Pythons with eager tasks whose bookkeeping is open to us (3.12 and 3.13).
//!
//! Most coroutines end with their first step. A task for each is made, entered, left, asked for its result and thrown
//! away: a third of what such a request costs. So one is made ahead, with a [`Runner`] in the place of its coroutine, and
//! a request's coroutine takes its first step here: meanwhile the task is the current one, and among those of the loop.
//! Rules:
//! - A coroutine that waits gets the task for good, and the runner passes on to it every step from then on.
//! - A coroutine that ends leaves the task to the next request, but only if nobody can tell it from a new one: its memory
//!   is what it was, references and weak references, callbacks, attributes, name and wishes to cancel it included.
//!   Otherwise it is ended with what the coroutine ended with, as the task of this request.
//! - asyncio's books, of the tasks that run and of those that take their first step, are kept here as its own functions
//!   keep them; where somebody has put others in the place of these, or of the class, there is no spare task.
//! - Between requests the loop does not know it, and it refers to nothing but the context that the service keeps, for
//!   which it was made.

use super::books::Books;
use super::eager::{Caught, FirstSteps};
use super::runner::Runner;
use crate::py::face::internal;
use crate::py::ffi::{self, Context, Sent, Snapshot};
use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Requests that go without after a task was lost, at the most. It starts with one and doubles with each loss.
const MOST: u32 = 1024;

/// Requests that a task has to serve to be worth its making.
const WORTH: u32 = 16;

/// The task that is kept, and asyncio's functions for who makes tasks of its own.
pub(super) struct Spares {
    event_loop: Py<PyAny>,
    task_class: Py<PyAny>,
    name: Py<PyAny>,
    first: FirstSteps,
    books: Arc<Books>,
    /// The tasks that take their first step.
    beginning: Py<PySet>,
    register: Py<PyAny>,
    unregister: Py<PyAny>,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    spare: Option<Spare>,
    /// Requests that go without before another is made.
    pause: u32,
    /// The pause after the next loss.
    next_pause: u32,
}

struct Spare {
    task: Py<PyAny>,
    /// Runs a step of it.
    step: Py<PyAny>,
    runner: Py<Runner>,
    /// The address of its context.
    context: usize,
    /// What it is like when nobody has had it.
    untouched: Snapshot,
    /// Requests that had it.
    served: u32,
}

/// What came of a coroutine's first step.
pub(super) enum Stepped<'py> {
    /// It ended, and nothing is left to be asked.
    Over(PyResult<Bound<'py, PyAny>>),
    /// It has a task.
    Task(Bound<'py, PyAny>),
}

impl Spares {
    /// None where tasks are not to be used again.
    pub(super) fn new(
        event_loop: &Bound<'_, PyAny>,
        name: &Bound<'_, PyAny>,
        books: &Arc<Books>,
    ) -> PyResult<Option<Self>> {
        let py = event_loop.py();
        // In debug mode a task remembers where it was made.
        if !cfg!(all(Py_3_12, not(Py_3_14), not(Py_GIL_DISABLED)))
            || !books.are_open()
            || event_loop
                .call_method0(intern!(py, "get_debug"))?
                .is_truthy()?
        {
            return Ok(None);
        }
        let Some(first) = FirstSteps::new(event_loop)? else {
            return Ok(None);
        };
        // In this order: asyncio makes do without the native module if that comes first.
        let tasks = py.import("asyncio.tasks")?;
        let Ok(native) = py.import("_asyncio") else {
            return Ok(None);
        };
        let function = |name: &str| -> PyResult<Option<Py<PyAny>>> {
            let function = native.getattr(name)?;
            Ok(tasks
                .getattr(name)?
                .is(&function)
                .then(|| function.unbind()))
        };
        for name in [
            "current_task",
            "_register_eager_task",
            "_unregister_eager_task",
        ] {
            if function(name)?.is_none() {
                return Ok(None);
            }
        }
        let (Some(task_class), Some(register), Some(unregister)) = (
            function("Task")?,
            function("_register_task")?,
            function("_unregister_task")?,
        ) else {
            return Ok(None);
        };
        let Ok(beginning) = native.getattr("_eager_tasks")?.cast_into_exact() else {
            return Ok(None);
        };
        Ok(Some(Self {
            event_loop: event_loop.clone().unbind(),
            task_class,
            name: name.clone().unbind(),
            first,
            books: Arc::clone(books),
            beginning: beginning.unbind(),
            register,
            unregister,
            shelf: Mutex::default(),
        }))
    }

    /// How many references to a context are the spare task's.
    pub(super) fn references(&self, context: &Context) -> isize {
        let address = context.object().as_ptr() as usize;
        let shelf = self.lock();
        isize::from(
            shelf
                .spare
                .as_ref()
                .is_some_and(|spare| spare.context == address),
        )
    }

    /// Lets go of the task and its context.
    pub(super) fn forget(&self) {
        let spare = self.lock().spare.take();
        if let Some(spare) = spare
            && spare.served < WORTH
        {
            self.lost();
        }
    }

    /// Runs the first step of a coroutine in its context, which is entered and was the last request's too. None: it has
    /// not run, and needs a task of its own. An exit that it asked for is an error.
    pub(super) fn first_step<'py>(
        &self,
        py: Python<'py>,
        coroutine: &Bound<'py, PyAny>,
        context: &Context,
    ) -> PyResult<Option<Stepped<'py>>> {
        let Some(mut spare) = self.take(py, context)? else {
            return Ok(None);
        };
        let task = spare.task.bind(py).clone();
        if !self.enter(&task)? {
            // A task is being run: this is called from within one, as nested loops do.
            drop(task);
            self.put(spare);
            return Ok(None);
        }
        let sent = ffi::send(coroutine);
        if let Err(error) = self.leave(&task) {
            error.write_unraisable(py, Some(&task));
        }
        let result = match sent {
            Sent::Yielded(value) => {
                self.lost();
                spare
                    .runner
                    .borrow_mut(py)
                    .stepped(coroutine, Sent::Yielded(value));
                task.setattr(intern!(py, "_log_destroy_pending"), true)?;
                self.register.bind(py).call1((&task,))?;
                spare.step.bind(py).call0()?;
                return Ok(Some(Stepped::Task(task)));
            }
            Sent::Returned(value) => Ok(value),
            Sent::Raised(error) => Err(error),
        };
        drop(task);
        if spare.untouched.is_of(spare.task.bind(py)) {
            spare.served = spare.served.saturating_add(1);
            self.put(spare);
            return match result {
                Err(error) if is_exit(py, &error) => Err(error),
                result => Ok(Some(Stepped::Over(result))),
            };
        }
        self.lost();
        spare.runner.borrow_mut(py).end(result);
        let task = spare.task.into_bound(py);
        task.setattr(intern!(py, "_log_destroy_pending"), true)?;
        // What the coroutine ended with: an exit comes out of it, as it does for any task.
        spare.step.bind(py).call0()?;
        Ok(Some(Stepped::Task(task)))
    }

    fn take(&self, py: Python<'_>, context: &Context) -> PyResult<Option<Spare>> {
        let address = context.object().as_ptr() as usize;
        let former = {
            let mut shelf = self.lock();
            match shelf.spare.take() {
                Some(spare) if spare.context == address => return Ok(Some(spare)),
                _ if shelf.pause > 0 => {
                    shelf.pause -= 1;
                    return Ok(None);
                }
                former => former,
            }
        };
        drop(former);
        self.make(py, context)
    }

    fn put(&self, spare: Spare) {
        let mut shelf = self.lock();
        if spare.served >= WORTH {
            shelf.next_pause = 0;
        }
        shelf.spare = Some(spare);
    }

    /// The task is a request's now.
    fn lost(&self) {
        let mut shelf = self.lock();
        shelf.next_pause = (2 * shelf.next_pause).clamp(1, MOST);
        shelf.pause = shelf.next_pause;
    }

    fn make(&self, py: Python<'_>, context: &Context) -> PyResult<Option<Spare>> {
        let runner = Py::new(py, Runner::default())?;
        let options = PyDict::new(py);
        options.set_item(intern!(py, "loop"), &self.event_loop)?;
        options.set_item(intern!(py, "name"), &self.name)?;
        options.set_item(intern!(py, "context"), context.object())?;
        let (task, caught) = self.first.catch(py, || {
            self.task_class.bind(py).call((&runner,), Some(&options))
        })?;
        let Some(Caught { step, .. }) = caught else {
            // The loop's `call_soon` is somebody's own. The first step waits for its turn, and nothing happens in it.
            self.lost();
            runner.borrow_mut(py).end(Ok(py.None().into_bound(py)));
            return Ok(None);
        };
        self.unregister.bind(py).call1((&task,))?;
        task.setattr(intern!(py, "_log_destroy_pending"), false)?;
        let Some(untouched) = Snapshot::take(&task) else {
            return Err(internal("a task's memory has a fixed size"));
        };
        Ok(Some(Spare {
            task: task.unbind(),
            step,
            runner,
            context: context.object().as_ptr() as usize,
            untouched,
            served: 0,
        }))
    }

    /// Makes a task the one that runs, and one of the loop's. `false`: another runs.
    fn enter(&self, task: &Bound<'_, PyAny>) -> PyResult<bool> {
        let is_free = self.books.enter(task)?;
        if is_free {
            self.beginning.bind(task.py()).add(task)?;
        }
        Ok(is_free)
    }

    fn leave(&self, task: &Bound<'_, PyAny>) -> PyResult<()> {
        self.beginning.bind(task.py()).discard(task)?;
        self.books.leave(task)
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tasks do not keep these to themselves.
fn is_exit(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py)
}
