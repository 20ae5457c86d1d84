//! What a task waits for on a WebSocket, or of a body on its way in: as much of a future as asyncio's tasks ask of one.
//!
//! A future of asyncio's own would cost a turn of the loop for each message: its callbacks are scheduled. A waiter's
//! are called where the message arrives, in the reactor's turn, which is a callback of the loop itself.
//!
//! A task whose coroutine is in a [`Runner`] is not even called back, as long as it waits for one message after the
//! other. The step that a message brings is taken here, and meanwhile the waiter is lent to whatever that step waits for
//! next: if this is what the coroutine yields, the task waits for the waiter that it knows, and has nothing to be told.

use super::host::LoopHost;
use super::link::{Link, Received};
use super::runner::Runner;
use crate::py::ffi::{self, Context, Sent};
use pyo3::call::PyCallArgs;
use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use smallvec::SmallVec;
use std::sync::Arc;

/// What is to be called, each with the context to call it in; nearly always the one task that waits.
type Callbacks = SmallVec<[(Py<PyAny>, Option<Context>); 1]>;

/// Those that wait for one thing; nearly always one.
pub type Waiters = SmallVec<[Py<Waiter>; 1]>;

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
    purpose: Purpose,
    blocking: bool,
    outcome: Outcome,
    callbacks: Callbacks,
    /// The task that waits, if a step of it can be taken without it.
    steps: Option<Steps>,
    step: Step,
    /// What it was cancelled with: anyio's scopes and `asyncio.timeout` tell their own cancellation by it.
    message: Option<Py<PyAny>>,
}

/// What awaiting it comes to.
enum Purpose {
    /// None, when there is something to do.
    News,
    /// The next message. When there will be none: None, or the end of an iteration.
    Message { link: Arc<Link>, iterates: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Pending,
    Done,
    Cancelled,
}

/// Whether a step is being taken that the task does not know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    None,
    Taken,
    /// And somebody has asked for the task to be cancelled meanwhile.
    Cancelled,
}

struct Steps {
    runner: Py<Runner>,
    task: Py<PyAny>,
}

/// The same with what tells the task, during a step that it does not know of.
struct Waiting {
    steps: Steps,
    callback: Py<PyAny>,
    context: Context,
}

impl Waiter {
    /// It is over when there is room to send more, or the link is closed.
    pub fn of_room(py: Python<'_>, link: &Arc<Link>) -> PyResult<Py<Self>> {
        let source = Arc::clone(link) as Arc<dyn Source>;
        Self::of(py, source, |waiter| link.wait_for_room(waiter))
    }

    /// It gives a link's next message; `iterates`: as an asynchronous iterator does.
    pub fn of_message(py: Python<'_>, link: &Arc<Link>, iterates: bool) -> PyResult<Py<Self>> {
        let purpose = Purpose::Message {
            link: Arc::clone(link),
            iterates,
        };
        Self::borrow(py, Arc::clone(link) as Arc<dyn Source>, purpose)
    }

    /// It is over when whoever `enlist` gives it to wakes it, or now if that returns `true`.
    pub fn of(
        py: Python<'_>,
        source: Arc<dyn Source>,
        enlist: impl FnOnce(Py<Self>) -> bool,
    ) -> PyResult<Py<Self>> {
        let waiter = Self::borrow(py, source, Purpose::News)?;
        if enlist(waiter.clone_ref(py)) {
            waiter.bind(py).try_borrow_mut()?.outcome = Outcome::Done;
        }
        Ok(waiter)
    }

    /// A new one, or the one that is lent to the task that runs.
    fn borrow(py: Python<'_>, source: Arc<dyn Source>, purpose: Purpose) -> PyResult<Py<Self>> {
        if let Some(host) = source.host()
            && let Some(lent) = host.borrow_lent(py)?
        {
            let former = {
                let mut this = lent.bind(py).try_borrow_mut()?;
                this.outcome = Outcome::Pending;
                (
                    std::mem::replace(&mut this.purpose, purpose),
                    std::mem::replace(&mut this.source, Arc::clone(&source)),
                )
            };
            drop(former);
            return Ok(lent);
        }
        Self::made(py, source, purpose, Outcome::Pending).map(Bound::unbind)
    }

    /// A task is about to wait for `value`, and its coroutine is in a runner.
    pub(super) fn offer(value: &Bound<'_, PyAny>, runner: &Bound<'_, Runner>) -> PyResult<()> {
        let Ok(waiter) = value.cast_exact::<Self>() else {
            return Ok(());
        };
        let py = value.py();
        let source = Arc::clone(&waiter.try_borrow()?.source);
        let Some(host) = source.host() else {
            return Ok(());
        };
        if let Some(task) = host.books().current(py)? {
            waiter.try_borrow_mut()?.steps = Some(Steps {
                runner: runner.clone().unbind(),
                task: task.unbind(),
            });
        }
        Ok(())
    }

    /// Ends the wait; the callbacks, if this is its end.
    fn finish(slf: &Bound<'_, Self>, outcome: Outcome) -> Callbacks {
        let (callbacks, steps) = match slf.try_borrow_mut() {
            Ok(mut this) if this.outcome == Outcome::Pending => {
                this.outcome = outcome;
                (std::mem::take(&mut this.callbacks), this.steps.take())
            }
            _ => return SmallVec::new(),
        };
        drop(steps);
        callbacks
    }

    /// Has the loop call the callbacks in its next round.
    fn schedule(slf: &Bound<'_, Self>, callbacks: Callbacks) -> PyResult<()> {
        let py = slf.py();
        if callbacks.is_empty() {
            return Ok(());
        }
        let source = Arc::clone(&slf.try_borrow()?.source);
        let host = source.host().ok_or_else(without_loop)?;
        for (callback, context) in callbacks {
            let options = PyDict::new(py);
            if let Some(context) = context {
                options.set_item(intern!(py, "context"), context.object())?;
            }
            host.call_in(py, (callback, slf), &options)?;
        }
        Ok(())
    }

    /// Ends the wait with a step of the one task that waits; `false`: that cannot be done without it.
    fn step(slf: &Bound<'_, Self>, host: &LoopHost) -> bool {
        let py = slf.py();
        let Some(waiting) = Self::begin_step(slf) else {
            return false;
        };
        let taken = Self::take_step(slf, host, &waiting).unwrap_or_else(|error| {
            error.write_unraisable(py, Some(slf));
            None
        });
        let Some((waiting, over)) = Self::end_step(slf, waiting, taken.as_ref()) else {
            return true;
        };
        if let Some((coroutine, sent)) = taken {
            waiting
                .steps
                .runner
                .borrow_mut(py)
                .stepped(&coroutine, sent);
        }
        call(&waiting.callback, Some(&waiting.context), &over);
        true
    }

    fn begin_step(slf: &Bound<'_, Self>) -> Option<Waiting> {
        let mut this = slf.try_borrow_mut().ok()?;
        if this.outcome != Outcome::Pending || !matches!(this.callbacks[..], [(_, Some(_))]) {
            return None;
        }
        let steps = this.steps.take()?;
        let (callback, context) = this.callbacks.pop()?;
        this.outcome = Outcome::Done;
        this.step = Step::Taken;
        Some(Waiting {
            steps,
            callback,
            context: context?,
        })
    }

    /// Where the task waits for this again: None. Otherwise it is to be told, of a waiter that is over.
    fn end_step<'py>(
        slf: &Bound<'py, Self>,
        waiting: Waiting,
        taken: Option<&(Bound<'py, PyAny>, Sent<'py>)>,
    ) -> Option<(Waiting, Bound<'py, Self>)> {
        let Ok(mut this) = slf.try_borrow_mut() else {
            return Some((waiting, slf.clone()));
        };
        let cancelled = std::mem::replace(&mut this.step, Step::None) == Step::Cancelled;
        let is_pending = this.outcome == Outcome::Pending;
        let waits_again =
            matches!(taken, Some((_, Sent::Yielded(value))) if value.is(slf)) && is_pending;
        if waits_again && !cancelled && this.callbacks.is_empty() {
            this.blocking = false;
            this.steps = Some(waiting.steps);
            this.callbacks
                .push((waiting.callback, Some(waiting.context)));
            return None;
        }
        let source = Arc::clone(&this.source);
        drop(this);
        if waits_again || is_pending && cancelled {
            // Whoever else waits for it is woken for nothing, and waits again: one of them may be meant to end.
            source.forget(slf);
            let others = Self::finish(slf, Outcome::Done);
            if let Err(error) = Self::schedule(slf, others) {
                error.write_unraisable(slf.py(), Some(slf));
            }
        }
        let is_over = slf
            .try_borrow()
            .is_ok_and(|this| this.outcome == Outcome::Done);
        let over = if is_over {
            slf.clone()
        } else {
            // It has gone to somebody else.
            Self::made(slf.py(), source, Purpose::News, Outcome::Done).unwrap_or_else(|error| {
                error.write_unraisable(slf.py(), Some(slf));
                slf.clone()
            })
        };
        Some((waiting, over))
    }

    /// What a step of the coroutine came to; None: it cannot be taken.
    fn take_step<'py>(
        slf: &Bound<'py, Self>,
        host: &LoopHost,
        waiting: &Waiting,
    ) -> PyResult<Option<(Bound<'py, PyAny>, Sent<'py>)>> {
        let py = slf.py();
        let task = waiting.steps.task.bind(py);
        let Some(coroutine) = Runner::coroutine(waiting.steps.runner.bind(py))? else {
            return Ok(None);
        };
        let _entered = waiting.context.enter(py)?;
        if !host.books().enter(task)? {
            // A task is being run: this is called from within one, as nested loops do.
            return Ok(None);
        }
        host.lend(Some((slf.clone().unbind(), task.as_ptr() as usize)));
        let sent = ffi::send(&coroutine);
        host.lend(None);
        if let Err(error) = host.books().leave(task) {
            error.write_unraisable(py, Some(task));
        }
        Ok(Some((coroutine, sent)))
    }

    /// As a future says that it was cancelled.
    fn cancellation(&self, py: Python<'_>) -> PyErr {
        match &self.message {
            Some(message) => error_of_asyncio(py, "CancelledError", (message,)),
            None => error_of_asyncio(py, "CancelledError", ()),
        }
    }

    fn made<'py>(
        py: Python<'py>,
        source: Arc<dyn Source>,
        purpose: Purpose,
        outcome: Outcome,
    ) -> PyResult<Bound<'py, Self>> {
        Bound::new(
            py,
            Self {
                source,
                purpose,
                blocking: false,
                outcome,
                callbacks: SmallVec::new(),
                steps: None,
                step: Step::None,
                message: None,
            },
        )
    }
}

/// Ends waits; `now`: this is the loop's thread, between two tasks.
pub fn wake(py: Python<'_>, host: &LoopHost, waiters: Waiters, now: bool) {
    if !now {
        let woken = Py::new(py, Wake(waiters)).and_then(|wake| host.call(py, (wake,)));
        if let Err(error) = woken {
            // The loop is closed: nobody waits any more.
            drop(error);
        }
        return;
    }
    for waiter in waiters {
        let waiter = waiter.bind(py);
        if !Waiter::step(waiter, host) {
            for (callback, context) in Waiter::finish(waiter, Outcome::Done) {
                call(&callback, context.as_ref(), waiter);
            }
        }
    }
}

fn call(callback: &Py<PyAny>, context: Option<&Context>, waiter: &Bound<'_, Waiter>) {
    let py = waiter.py();
    let called = match context.map(|context| context.enter(py)).transpose() {
        Ok(_entered) => callback.bind(py).call1((waiter,)).map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = called {
        error.write_unraisable(py, Some(waiter));
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
        let py = slf.py();
        let (link, iterates) = {
            let mut this = slf.try_borrow_mut()?;
            match (&this.purpose, this.outcome) {
                (_, Outcome::Cancelled) => return Err(this.cancellation(py)),
                (Purpose::News, Outcome::Done) => return Ok(None),
                (Purpose::News, Outcome::Pending) => {
                    this.blocking = true;
                    drop(this);
                    return Ok(Some(slf));
                }
                (Purpose::Message { link, iterates }, _) => {
                    let known = (Arc::clone(link), *iterates);
                    this.outcome = Outcome::Pending;
                    known
                }
            }
        };
        let received = link.receive(py, &slf)?;
        let mut this = slf.try_borrow_mut()?;
        this.blocking = matches!(received, Received::Nothing);
        if !this.blocking {
            this.outcome = Outcome::Done;
        }
        drop(this);
        match received {
            Received::Nothing => Ok(Some(slf)),
            Received::Message(message) => {
                ffi::set_stop_iteration(&message);
                Ok(None)
            }
            Received::End if iterates => Err(PyStopAsyncIteration::new_err(())),
            Received::End => Ok(None),
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
        let host = this.source.host().ok_or_else(without_loop)?;
        Ok(host.event_loop(slf.py()))
    }

    #[pyo3(signature = (callback, *, context = None))]
    fn add_done_callback(
        slf: &Bound<'_, Self>,
        callback: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let context = context.map(Context::of);
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
        let source = {
            let mut this = slf.try_borrow_mut()?;
            if this.step != Step::None {
                this.step = Step::Cancelled;
                return Ok(false);
            }
            if this.outcome != Outcome::Pending {
                return Ok(false);
            }
            this.message = msg;
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
        let this = slf.try_borrow()?;
        match this.outcome {
            Outcome::Done => Ok(()),
            Outcome::Cancelled => Err(this.cancellation(slf.py())),
            Outcome::Pending => Err(error_of_asyncio(slf.py(), "InvalidStateError", ())),
        }
    }

    fn exception(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::result(slf)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for (callback, context) in &self.callbacks {
            visit.call(callback)?;
            if let Some(context) = context {
                visit.call(context.object())?;
            }
        }
        if let Some(steps) = &self.steps {
            visit.call(&steps.runner)?;
            visit.call(&steps.task)?;
        }
        if let Some(message) = &self.message {
            visit.call(message)?;
        }
        Ok(())
    }

    fn __clear__(&mut self) {
        self.callbacks.clear();
        self.steps = None;
        self.message = None;
    }
}

fn without_loop() -> PyErr {
    PyRuntimeError::new_err("there is no event loop")
}

fn error_of_asyncio<'py>(py: Python<'py>, name: &str, arguments: impl PyCallArgs<'py>) -> PyErr {
    match py
        .import("asyncio")
        .and_then(|asyncio| asyncio.getattr(name)?.call1(arguments))
    {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// Ends waits from the loop, wherever that was asked.
#[pyclass(module = "bustapi._core")]
struct Wake(Waiters);

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
