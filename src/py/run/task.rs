//! Async views: the root task of a request on a stock event loop.
//!
//! A task starts eagerly, by Python 3.12's own means or by `run::eager`: a coroutine that never suspends costs no turn of
//! the loop, and its answer is written with the batch. Otherwise the task's done callback leaves the answer in the
//! reactor's mailbox and schedules one turn.

use super::host::{Eager, LoopHost};
use super::invoke::{self, Failed};
use super::open::timed_out;
use super::plan::{Plan, Steps};
use super::pool::Ticket;
use super::reply::{Reply, Rest};
use super::response;
use super::runner::Runner;
use super::service::Message;
use super::socket::Socket;
use super::spare::Stepped;
use super::watchdog::Pulse;
use crate::conn::Key;
use crate::net::Mailbox;
use crate::py::face::application::App;
use crate::py::face::fate::Fate;
use crate::py::face::state::RequestState;
use crate::py::ffi::{Context, Entered};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet, PyTuple};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// A request whose view is a coroutine function.
pub struct Start {
    pub key: Key,
    pub ticket: Ticket,
    /// Made before the start if that is on another thread.
    pub handle: Option<Arc<Handle>>,
    pub app: Arc<App>,
    pub plan: Arc<Plan>,
    pub state: Py<RequestState>,
    pub context: Context,
    /// Of a WebSocket's handshake.
    pub socket: Option<Py<Socket>>,
    pub mailbox: Arc<Mailbox<Message>>,
}

/// A task that may have to be stopped from the reactor of its request.
#[derive(Default)]
pub struct Handle(Mutex<Stand>);

#[derive(Default)]
enum Stand {
    /// Not started yet, on the loop of another thread.
    #[default]
    Waiting,
    Running(Py<PyAny>),
    /// Stopped before it was started, or over.
    Over,
}

impl Handle {
    /// Cancels the task, on its own loop's thread.
    pub fn cancel(&self, py: Python<'_>, host: &LoopHost) {
        let stand = std::mem::replace(&mut *self.lock(), Stand::Over);
        let Stand::Running(task) = stand else { return };
        let cancelled = task
            .getattr(py, intern!(py, "cancel"))
            .and_then(|cancel| host.call(py, (cancel,)));
        if let Err(error) = cancelled {
            error.write_unraisable(py, None);
        }
    }

    /// Returns whether the task is to be cancelled at once.
    fn begin(&self, task: &Bound<'_, PyAny>) -> bool {
        let mut stand = self.lock();
        if matches!(*stand, Stand::Over) {
            return true;
        }
        *stand = Stand::Running(task.clone().unbind());
        false
    }

    fn end(&self) {
        drop(std::mem::replace(&mut *self.lock(), Stand::Over));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Stand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of a task's start.
pub enum Started {
    /// It is done, and the reply holds its answer.
    Done,
    Running(Arc<Handle>),
}

/// Starts the task; called on the loop's own thread. When it is done later, its done callback leaves the answer in the
/// mailbox, and calls `schedule` or, without one, wakes the reactor. What was made for a request that is done at once is
/// the caller's to release.
pub fn start(
    py: Python<'_>,
    host: &LoopHost,
    mut start: Start,
    reply: &mut Reply,
    schedule: Option<Py<PyAny>>,
) -> PyResult<Started> {
    let state = start.state.bind(py).clone();
    let (stepped, entered) = match create(py, host, &start) {
        Ok(made) => made,
        Err(error) => {
            let _entered = start.context.enter(py)?;
            let failed = Failed::InView(error);
            let unhandled = invoke::answer(py, &start.app, &state, failed, reply);
            invoke::end(py, &start.app, &state, unhandled, reply);
            return Ok(Started::Done);
        }
    };
    let task = match stepped {
        Stepped::Task(task) => task,
        Stepped::Over(result) => {
            finish(py, &start.app, &start.plan, &state, result, reply);
            settle(&state, reply);
            return Ok(Started::Done);
        }
    };
    drop(entered);
    if !matches!(host.eager, Eager::No) && host.is_done.bind(py).call1((&task,))?.is_truthy()? {
        let result = host.get_result.bind(py).call1((&task,));
        let _entered = start.context.enter(py)?;
        finish(py, &start.app, &start.plan, &state, result, reply);
        settle(&state, reply);
        return Ok(Started::Done);
    }
    host.forget_context(py);
    let handle = Arc::clone(start.handle.get_or_insert_default());
    host.tasks.bind(py).add(&task)?;
    if handle.begin(&task) {
        task.call_method0(intern!(py, "cancel"))?;
    }
    host.pulse.task_began();
    let options = PyDict::new(py);
    options.set_item(intern!(py, "context"), start.context.object())?;
    let done = Py::new(
        py,
        Done {
            start: Some(start),
            tasks: host.tasks.clone_ref(py),
            pulse: Arc::clone(&host.pulse),
            schedule,
        },
    )?;
    task.call_method(intern!(py, "add_done_callback"), (done,), Some(&options))?;
    Ok(Started::Running(handle))
}

/// What a view's coroutine has become. The request's context may be entered still.
fn create<'a, 'py>(
    py: Python<'py>,
    host: &LoopHost,
    start: &'a Start,
) -> PyResult<(Stepped<'py>, Option<Entered<'a, 'py>>)> {
    let entered = start.context.enter(py)?;
    let state = start.state.bind(py);
    let coroutine = match (&start.plan.steps, &start.socket) {
        (Steps::Bare, _) => invoke::call_view(py, &start.plan, state)?,
        (_, Some(socket)) => start.app.call(
            intern!(py, "socket_dispatch_async"),
            (&start.app.object, state, socket),
        )?,
        (Steps::Files(_) | Steps::Hooks { .. } | Steps::Full | Steps::Socket, None) => {
            start.app.call(
                intern!(py, "full_dispatch_async"),
                (&start.app.object, state),
            )?
        }
    };
    let is_coroutine = coroutine.get_type().is(&host.coroutine_class);
    if !is_coroutine && !coroutine.hasattr(intern!(py, "send"))? {
        return Err(PyTypeError::new_err(
            "the async view did not return a coroutine",
        ));
    }
    // Most sockets wait for many messages: each of them would be a step of the task.
    let coroutine = if start.socket.is_some() {
        Bound::new(py, Runner::of(coroutine))?.into_any()
    } else {
        coroutine
    };
    let again = cfg!(Py_3_11) && host.give_context(py, &start.context)?;
    if again
        && is_coroutine
        && start.socket.is_none()
        && let Some(spares) = host.spares()
        && let Some(stepped) = spares.first_step(py, &coroutine, &start.context)?
    {
        return Ok((stepped, Some(entered)));
    }
    // A tuple and a dict go to the class as they are.
    let arguments = PyTuple::new(py, [coroutine])?;
    let make = || {
        let options = host.options.bind(py);
        host.task_class.bind(py).call(arguments, Some(options))
    };
    match &host.eager {
        Eager::Task(_) => {
            // The first step enters the context itself: it must not be entered already.
            drop(entered);
            make()
        }
        Eager::Here(first) => {
            let (task, step) = first.catch(py, make)?;
            drop(entered);
            if let Some(step) = step {
                first.run(py, host.books(), step)?;
            }
            Ok(task)
        }
        Eager::No => make(),
    }
    .map(|task| (Stepped::Task(task), None))
}

/// What the finished task says, as an answer.
fn finish(
    py: Python<'_>,
    app: &App,
    plan: &Plan,
    state: &Bound<'_, RequestState>,
    result: PyResult<Bound<'_, PyAny>>,
    reply: &mut Reply,
) {
    let failed = match plan.steps {
        Steps::Bare => match result {
            Ok(value) => invoke::bare_result(py, app, state, &value, reply)
                .err()
                .map(Failed::After),
            Err(error) if is_cancelled(py, &error) && is_over(state, |fate| &fate.expired) => Some(
                Failed::InView(timed_out(py, app, state).unwrap_or_else(|error| error)),
            ),
            Err(error) => Some(Failed::InView(error)),
        },
        Steps::Files(_) | Steps::Hooks { .. } | Steps::Full | Steps::Socket => result
            .and_then(|rendered| response::from_rendered(&rendered, reply))
            .err()
            .map(Failed::Unanswered),
    };
    let unhandled = match failed {
        // Nobody is there to be told, and nothing went wrong.
        Some(Failed::InView(error) | Failed::Unanswered(error))
            if is_cancelled(py, &error) && is_over(state, |fate| &fate.disconnected) =>
        {
            Some(error.into_value(py).into_any())
        }
        Some(failed) => invoke::answer(py, app, state, failed, reply),
        None => None,
    };
    invoke::end(py, app, state, unhandled, reply);
}

fn is_over(
    state: &Bound<'_, RequestState>,
    of: impl Fn(&Fate) -> &std::sync::atomic::AtomicBool,
) -> bool {
    state
        .try_borrow()
        .is_ok_and(|state| of(state.fate()).load(Ordering::Relaxed))
}

fn is_cancelled(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<pyo3::exceptions::asyncio::CancelledError>(py)
}

/// The view is over; what it made stays while a body is generated (`false`).
fn settle(state: &Bound<'_, RequestState>, reply: &Reply) -> bool {
    RequestState::settle_stream(state);
    let streams = matches!(reply.rest, Rest::Stream(..));
    if streams {
        RequestState::outlive_turn(state);
    }
    !streams
}

/// The done callback of a request's task. Runs in the request's context.
#[pyclass(module = "bustapi._core")]
struct Done {
    start: Option<Start>,
    tasks: Py<PySet>,
    pulse: Arc<Pulse>,
    schedule: Option<Py<PyAny>>,
}

#[pymethods]
impl Done {
    fn __call__(slf: &Bound<'_, Self>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let (start, tasks, schedule) = {
            let mut this = slf.try_borrow_mut()?;
            let Some(start) = this.start.take() else {
                return Ok(());
            };
            this.pulse.task_ended();
            (start, this.tasks.clone_ref(py), this.schedule.take())
        };
        if let Some(handle) = &start.handle {
            handle.end();
        }
        tasks.bind(py).discard(task)?;
        let mut reply = Box::new(Reply::default());
        let state = start.state.bind(py).clone();
        let result = task.call_method0(intern!(py, "result"));
        finish(py, &start.app, &start.plan, &state, result, &mut reply);
        if settle(&state, &reply) {
            // Three references that are known: this one, `start`'s and the reactor's; and the context's value.
            let context = &start.context;
            RequestState::release(&state, 4, || !context.has_copies(py));
        }
        let Start {
            key,
            ticket,
            mailbox,
            context,
            ..
        } = start;
        let message = Message::Reply {
            key,
            ticket,
            reply,
            context: Some(context),
        };
        match schedule {
            Some(schedule) => {
                if mailbox.leave_quietly(message) {
                    schedule.call0(py)?;
                }
            }
            None => mailbox.send(message),
        }
        Ok(())
    }
}

impl LoopHost {
    /// Starts a request's task from another reactor's thread.
    pub fn start_elsewhere(self: &Arc<Self>, py: Python<'_>, start: Start) -> PyResult<()> {
        let starter = Py::new(
            py,
            Starter {
                host: Arc::clone(self),
                start: Some(start),
            },
        )?;
        self.call(py, (starter,))
    }
}

/// Starts a task on the loop's thread for a reactor that lives on another.
#[pyclass(module = "bustapi._core")]
struct Starter {
    host: Arc<LoopHost>,
    start: Option<Start>,
}

#[pymethods]
impl Starter {
    fn __call__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (host, begin) = {
            let mut this = slf.try_borrow_mut()?;
            let Some(begin) = this.start.take() else {
                return Ok(());
            };
            (Arc::clone(&this.host), begin)
        };
        let (key, ticket, mailbox) = (begin.key, begin.ticket, Arc::clone(&begin.mailbox));
        let context = begin.context.clone_ref(py);
        let state = begin.state.bind(py).clone();
        let mut reply = Box::new(Reply::default());
        let started = start(py, &host, begin, &mut reply, None);
        // The reactor that keeps the context is another thread's.
        host.forget_context(py);
        match started {
            Ok(Started::Done) => {
                if !matches!(reply.rest, Rest::Stream(..)) {
                    // This reference and the reactor's; and the context's value.
                    RequestState::release(&state, 3, || !context.has_copies(py));
                }
                mailbox.send(Message::Reply {
                    key,
                    ticket,
                    reply,
                    context: Some(context),
                });
            }
            Ok(Started::Running(_)) => {}
            Err(error) => {
                error.write_unraisable(py, None);
                invoke::internal_error(&mut reply);
                mailbox.send(Message::Reply {
                    key,
                    ticket,
                    reply,
                    context: None,
                });
            }
        }
        Ok(())
    }
}
