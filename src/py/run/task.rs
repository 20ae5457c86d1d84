//! Async views: the root task of a request on a stock event loop.
//!
//! A task starts eagerly, by Python 3.12's own means or by `run::eager`: a coroutine that never suspends costs no turn of
//! the loop, and its answer is written with the batch. Otherwise the task's done callback leaves the answer in the
//! reactor's mailbox and schedules one turn.

use super::books::Books;
use super::eager::FirstSteps;
use super::invoke::{self, Failed};
use super::open::timed_out;
use super::plan::{Plan, Steps};
use super::pool::Ticket;
use super::reply::{Reply, Rest};
use super::response;
use super::runner::Runner;
use super::service::Message;
use super::socket::Socket;
use super::spare::{Spares, Stepped};
use super::waiter::Waiter;
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
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;

/// How a task comes to run its first step.
enum Eager {
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
    task_class: Py<PyAny>,
    is_done: Py<PyAny>,
    get_result: Py<PyAny>,
    /// What a request's task is made with; its context stands there for as long as that takes, or until the next one
    /// where the service keeps it.
    options: Py<PyDict>,
    /// The address of the context that stands there; 0 for none.
    context: AtomicUsize,
    /// What calling a coroutine function returns.
    coroutine_class: Py<PyAny>,
    get_running: Py<PyAny>,
    set_running: Py<PyAny>,
    /// Tasks under way: the loop itself keeps weak references only.
    tasks: Py<PySet>,
    /// Schedules one turn of the reactor that is this loop's guest.
    schedule: Py<PyAny>,
    eager: Eager,
    books: Arc<Books>,
    /// A waiter that the task at this address may use again, during the step that it woke the task for.
    lent: Mutex<Option<(Py<Waiter>, usize)>>,
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

    fn lock_lent(&self) -> std::sync::MutexGuard<'_, Option<(Py<Waiter>, usize)>> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Has the next task be made in a context; `true`: so was the last one. On the loop's thread, as everything that is
    /// about `options`.
    fn give_context(&self, py: Python<'_>, context: &Context) -> PyResult<bool> {
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

    fn spares(&self) -> Option<&Spares> {
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

    /// Starts a request's task from another reactor's thread.
    pub fn start_elsewhere(self: &Arc<Self>, py: Python<'_>, start: Start) -> PyResult<()> {
        let starter = Py::new(
            py,
            Starter {
                host: Arc::clone(self),
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
            invoke::end(py, &start.app, &state, unhandled);
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
                first.run(py, step)?;
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
