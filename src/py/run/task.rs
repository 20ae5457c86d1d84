//! Async views: the root task of a request on a stock event loop.
//!
//! On 3.12 and later the task starts eagerly: a coroutine that never suspends costs no turn of the loop, and its
//! answer is written with the batch. Otherwise the task's done callback leaves the answer in the reactor's
//! mailbox and schedules one turn.

use super::invoke::{self, Failed};
use super::open::timed_out;
use super::plan::{Plan, Steps};
use super::pool::Ticket;
use super::reply::{Reply, Rest};
use super::response;
use super::service::Message;
use super::socket::Socket;
use super::watchdog::Pulse;
use crate::conn::Key;
use crate::net::Mailbox;
use crate::py::face::application::App;
use crate::py::face::fate::Fate;
use crate::py::face::state::RequestState;
use crate::py::ffi::Context;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;

/// The loop that hosts async views, and what is needed of asyncio.
pub struct LoopHost {
    event_loop: Py<PyAny>,
    thread: ThreadId,
    task_class: Py<PyAny>,
    /// What a request's task is made with, but for its context; copied for each.
    options: Py<PyDict>,
    /// What calling a coroutine function returns.
    coroutine_class: Py<PyAny>,
    get_running: Py<PyAny>,
    set_running: Py<PyAny>,
    /// Tasks under way: the loop itself keeps weak references only.
    tasks: Py<PySet>,
    /// Schedules one turn of the reactor that is this loop's guest.
    schedule: Py<PyAny>,
    eager: bool,
    /// Of the reactor that is this loop's guest.
    pulse: Arc<Pulse>,
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
        options.set_item("name", "request")?;
        if cfg!(Py_3_11) {
            // Earlier tasks copy the current context, which is the request's: it is entered here.
            options.set_item(intern!(py, "context"), py.None())?;
        }
        if cfg!(Py_3_12) {
            options.set_item("eager_start", true)?;
        }
        Ok(Self {
            event_loop: event_loop.clone().unbind(),
            thread: std::thread::current().id(),
            task_class: asyncio.getattr("Task")?.unbind(),
            options: options.unbind(),
            coroutine_class: py.import("types")?.getattr("CoroutineType")?.unbind(),
            get_running: events.getattr("_get_running_loop")?.unbind(),
            set_running: events.getattr("_set_running_loop")?.unbind(),
            tasks: PySet::empty(py)?.unbind(),
            schedule,
            eager: cfg!(Py_3_12),
            pulse,
        })
    }

    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        Self {
            event_loop: self.event_loop.clone_ref(py),
            thread: self.thread,
            task_class: self.task_class.clone_ref(py),
            options: self.options.clone_ref(py),
            coroutine_class: self.coroutine_class.clone_ref(py),
            get_running: self.get_running.clone_ref(py),
            set_running: self.set_running.clone_ref(py),
            tasks: self.tasks.clone_ref(py),
            schedule: self.schedule.clone_ref(py),
            eager: self.eager,
            pulse: Arc::clone(&self.pulse),
        }
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

    /// Has the loop call something in its next round, from any thread.
    pub fn call_soon(&self, py: Python<'_>, callback: Py<PyAny>) -> PyResult<()> {
        let name = if self.is_here() {
            intern!(py, "call_soon")
        } else {
            intern!(py, "call_soon_threadsafe")
        };
        self.event_loop
            .call_method1(py, name, (callback,))
            .map(drop)
    }

    /// What schedules a turn of this loop's guest.
    pub fn schedule(&self, py: Python<'_>) -> Py<PyAny> {
        self.schedule.clone_ref(py)
    }

    /// Has the loop call `call`: a function and its arguments.
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

    /// Starts a request's task from another reactor's thread.
    pub fn start_elsewhere(&self, py: Python<'_>, start: Start) -> PyResult<()> {
        let starter = Py::new(
            py,
            Starter {
                host: self.clone_ref(py),
                start: Some(start),
            },
        )?;
        self.event_loop
            .call_method1(py, intern!(py, "call_soon_threadsafe"), (starter,))
            .map(drop)
    }
}

/// A request whose view is a coroutine function.
pub struct Start {
    pub key: Key,
    pub ticket: Ticket,
    pub handle: Arc<Handle>,
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

/// Starts the task; called on the loop's own thread. `true`: it is done, and `reply` holds its answer. Else its
/// done callback leaves the answer in the mailbox, and calls `schedule` or, without one, wakes the reactor.
pub fn start(
    py: Python<'_>,
    host: &LoopHost,
    start: Start,
    reply: &mut Reply,
    schedule: Option<Py<PyAny>>,
) -> PyResult<bool> {
    let state = start.state.bind(py).clone();
    let task = match create(py, host, &start) {
        Ok(task) => task,
        Err(error) => {
            let _entered = start.context.enter(py)?;
            let failed = Failed::InView(error);
            let unhandled = invoke::answer(py, &start.app, &state, failed, reply);
            invoke::end(py, &start.app, &state, unhandled);
            return Ok(true);
        }
    };
    if host.eager && task.call_method0(intern!(py, "done"))?.is_truthy()? {
        {
            let _entered = start.context.enter(py)?;
            finish(py, &start.app, &start.plan, &state, &task, reply);
        }
        drop(task);
        // Three references that are known: this one, `start`'s and the reactor's; and the context's value.
        release(&state, &start.context, 4, reply);
        return Ok(true);
    }
    host.tasks.bind(py).add(&task)?;
    if start.handle.begin(&task) {
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
    Ok(false)
}

fn create<'py>(py: Python<'py>, host: &LoopHost, start: &Start) -> PyResult<Bound<'py, PyAny>> {
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
    let options = host.options.bind(py).copy()?;
    if cfg!(Py_3_11) {
        options.set_item(intern!(py, "context"), start.context.object())?;
    }
    if host.eager {
        // An eager first step enters the context itself: it must not be entered already.
        drop(entered);
    }
    host.task_class.bind(py).call((coroutine,), Some(&options))
}

/// What the finished task says, as an answer.
fn finish(
    py: Python<'_>,
    app: &App,
    plan: &Plan,
    state: &Bound<'_, RequestState>,
    task: &Bound<'_, PyAny>,
    reply: &mut Reply,
) {
    let result = task.call_method0(intern!(py, "result"));
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
    invoke::end(py, app, state, unhandled);
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

fn release(state: &Bound<'_, RequestState>, context: &Context, held: isize, reply: &Reply) {
    RequestState::settle_stream(state);
    if matches!(reply.rest, Rest::Stream(..)) {
        RequestState::outlive_turn(state);
    } else {
        RequestState::release(state, context, held);
    }
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
        start.handle.end();
        tasks.bind(py).discard(task)?;
        let mut reply = Box::new(Reply::default());
        let state = start.state.bind(py).clone();
        finish(py, &start.app, &start.plan, &state, task, &mut reply);
        // As above.
        release(&state, &start.context, 4, &reply);
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

/// Starts a task on the loop's thread for a reactor that lives on another.
#[pyclass(module = "bustapi._core")]
struct Starter {
    host: LoopHost,
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
            (this.host.clone_ref(py), begin)
        };
        let (key, ticket, mailbox) = (begin.key, begin.ticket, Arc::clone(&begin.mailbox));
        let context = begin.context.clone_ref(py);
        let mut reply = Box::new(Reply::default());
        match start(py, &host, begin, &mut reply, None) {
            Ok(true) => mailbox.send(Message::Reply {
                key,
                ticket,
                reply,
                context: Some(context),
            }),
            Ok(false) => {}
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
