//! `_core.Listener`, `_core.Dispatcher` and `_core.Reactor`: the server as `bustapi.serve` drives it.

use super::face::generation::Generation;
use super::run::host::LoopHost;
use super::run::plan::{Paces, Table};
use super::run::planner::Planner;
use super::run::pool::Pool;
use super::run::service::PyService;
use super::run::watchdog::Pulse;
use super::settings;
use crate::buf::Budget;
use crate::config::Config;
use crate::net::{self, Control, Turn};
use crate::pace;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A bound, listening, non-blocking socket.
#[pyclass(frozen, module = "bustapi._core")]
pub struct Listener {
    inner: Mutex<Option<net::Listener>>,
}

impl Listener {
    fn new(inner: net::Listener) -> Self {
        Self {
            inner: Mutex::new(Some(inner)),
        }
    }

    fn with<R>(&self, f: impl FnOnce(&net::Listener) -> R) -> PyResult<R> {
        let inner = lock(&self.inner);
        inner
            .as_ref()
            .map(f)
            .ok_or_else(|| PyValueError::new_err("the listener is closed or belongs to a reactor"))
    }
}

#[pymethods]
impl Listener {
    /// Binds every address that `host` resolves to; with `reuse_port` as a member of a port group.
    #[staticmethod]
    #[pyo3(signature = (host, port, *, backlog = 2048, reuse_port = false))]
    fn bind(
        py: Python<'_>,
        host: String,
        port: u16,
        backlog: i32,
        reuse_port: bool,
    ) -> PyResult<Vec<Self>> {
        let bound = py
            .detach(|| net::Listener::bind(&host, port, backlog, reuse_port))
            .map_err(os_error)?;
        Ok(bound.into_iter().map(Self::new).collect())
    }

    #[staticmethod]
    #[pyo3(signature = (path, *, backlog = 2048))]
    fn bind_unix(path: &str, backlog: i32) -> PyResult<Self> {
        net::Listener::bind_unix(Path::new(path), backlog)
            .map(Self::new)
            .map_err(os_error)
    }

    /// Takes over the inherited descriptor `fd`, which must be a listening socket.
    #[staticmethod]
    fn from_fd(fd: RawFd) -> PyResult<Self> {
        net::Listener::from_fd(fd).map(Self::new).map_err(os_error)
    }

    fn fileno(&self) -> PyResult<RawFd> {
        self.with(AsRawFd::as_raw_fd)
    }

    #[getter]
    fn address(&self) -> PyResult<String> {
        self.with(net::Listener::address)
    }

    /// A second handle on the same accept queue.
    fn duplicate(&self) -> PyResult<Self> {
        self.with(net::Listener::duplicate)?
            .map(Self::new)
            .map_err(os_error)
    }

    fn close(&self) {
        lock(&self.inner).take();
    }

    fn __repr__(&self) -> String {
        format!(
            "<Listener {}>",
            self.address().unwrap_or_else(|_| String::from("closed"))
        )
    }
}

/// With the number, which a caller looks at, apart from the text.
fn os_error(error: io::Error) -> PyErr {
    let Some(code) = error.raw_os_error() else {
        return error.into();
    };
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    PyOSError::new_err((code, text.to_owned()))
}

/// An application as reactors serve it.
#[pyclass(frozen, module = "bustapi._core")]
pub struct Dispatcher {
    app: Py<PyAny>,
    generation: Py<Generation>,
    paces: Arc<Paces>,
}

#[pymethods]
impl Dispatcher {
    /// `app._generation` must be the `Generation` that its registries count.
    #[new]
    fn new(app: &Bound<'_, PyAny>) -> PyResult<Self> {
        let generation = app.getattr(intern!(app.py(), "_generation"))?.extract()?;
        // Built for its errors: they belong to the start, not to the first request.
        let paces = Arc::new(Paces::default());
        Table::build(app.py(), &app.clone().unbind(), 0, &paces)?;
        Ok(Self {
            app: app.clone().unbind(),
            generation,
            paces,
        })
    }
}

impl Dispatcher {
    fn planner(&self, py: Python<'_>) -> Planner {
        let generation = self.generation.get().shared();
        Planner::new(self.app.clone_ref(py), generation, Arc::clone(&self.paces))
    }
}

struct Running {
    reactor: net::Reactor<PyService>,
    service: PyService,
}

/// One thread's poll loop. `run` serves on a thread of its own; `turn` as the guest of an event loop.
#[pyclass(frozen, module = "bustapi._core", weakref)]
pub struct Reactor {
    running: Mutex<Option<Box<Running>>>,
    control: Arc<Control>,
    pulse: Arc<Pulse>,
    /// The loop that its async views run on.
    host: Mutex<Option<Arc<LoopHost>>>,
    fd: RawFd,
    guest: Mutex<Option<Guest>>,
    finished: AtomicBool,
    connections: std::sync::atomic::AtomicUsize,
    requests: AtomicU64,
}

/// The reactor's standing with the event loop that hosts it.
struct Guest {
    event_loop: Py<PyAny>,
    turn: Py<PyAny>,
    timer: Option<Py<PyAny>>,
    scheduled: bool,
    /// Called without arguments when the reactor has finished.
    done: Option<Py<PyAny>>,
}

/// Turns in a row, without waiting, before a guest gives its host the thread back.
const GUEST_TURNS: usize = 4;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Budgets are the process's, whatever the number of reactors: the first reactor's settings make them.
fn budgets(config: &Config) -> (Arc<Budget>, Arc<Budget>) {
    static BUDGETS: Mutex<Option<(Arc<Budget>, Arc<Budget>)>> = Mutex::new(None);
    let mut budgets = lock(&BUDGETS);
    let (body, pinned) = budgets.get_or_insert_with(|| {
        (
            Budget::new(config.max_body_memory),
            Budget::new(config.max_pinned),
        )
    });
    (Arc::clone(body), Arc::clone(pinned))
}

#[pymethods]
impl Reactor {
    #[new]
    #[pyo3(signature = (dispatcher, listeners, settings, pool = None))]
    fn new(
        py: Python<'_>,
        dispatcher: &Dispatcher,
        listeners: Vec<Py<Listener>>,
        settings: &Bound<'_, PyDict>,
        pool: Option<&Pool>,
    ) -> PyResult<Self> {
        let config = Arc::new(settings::read(settings)?);
        let listeners = listeners
            .iter()
            .map(|listener| {
                lock(&listener.get().inner).take().ok_or_else(|| {
                    PyValueError::new_err("a listener is closed or belongs to another reactor")
                })
            })
            .collect::<PyResult<Vec<_>>>()?;
        let (body, pinned) = budgets(&config);
        let reactor = net::Reactor::new(config, body, listeners)?;
        let pulse = Pulse::new(reactor.control(), reactor.mailbox());
        let mut service = PyService::new(
            py,
            dispatcher.planner(py),
            pinned,
            reactor.mailbox(),
            Arc::clone(&pulse),
        )?;
        if let Some(pool) = pool {
            service.set_pool(Arc::clone(&pool.queue));
        }
        Ok(Self {
            control: reactor.control(),
            pulse,
            host: Mutex::new(None),
            fd: reactor.as_raw_fd(),
            running: Mutex::new(Some(Box::new(Running { reactor, service }))),
            guest: Mutex::new(None),
            finished: AtomicBool::new(false),
            connections: std::sync::atomic::AtomicUsize::new(0),
            requests: AtomicU64::new(0),
        })
    }

    /// The poll's descriptor: readable when a turn has something to do.
    fn fileno(&self) -> RawFd {
        self.fd
    }

    /// Serves until drained or aborted. Python's signal handlers run after every turn.
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let mut running = self.take()?;
        self.pulse.settle(py, false)?;
        let result = loop {
            // Detached for as long as nobody asks for attention: the service attaches for requests by itself.
            let turned = py.detach(|| {
                loop {
                    let turned = running.reactor.turn(&mut running.service, None);
                    self.count(&running);
                    match turned {
                        Ok(Turn::Idle | Turn::Busy) if !self.control.take_attention() => {}
                        other => break other,
                    }
                }
            });
            match turned {
                Ok(Turn::Finished) => break Ok(()),
                Ok(Turn::Interrupted | Turn::Idle | Turn::Busy) => {}
                Err(error) => break Err(error.into()),
            }
            // A signal that came just before a wait interrupts nothing; then its handler's thread has called `wake`.
            if let Err(error) = py.check_signals() {
                break Err(error);
            }
        };
        self.finish(py, running);
        result
    }

    /// One turn that waits at most `timeout` seconds (None: until something happens); `False` when finished.
    #[pyo3(signature = (timeout = Some(0.0)))]
    fn turn(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = match timeout {
            Some(seconds) => Some(Duration::try_from_secs_f64(seconds).map_err(|_| {
                PyValueError::new_err("timeout must be a number of seconds, not negative")
            })?),
            None => None,
        };
        let mut running = self.take()?;
        let result = py.detach(|| running.reactor.turn(&mut running.service, timeout));
        self.count(&running);
        match result {
            Ok(Turn::Finished) => {
                self.finish(py, running);
                Ok(false)
            }
            Ok(_) => {
                *lock(&self.running) = Some(running);
                Ok(true)
            }
            Err(error) => {
                self.finish(py, running);
                Err(error.into())
            }
        }
    }

    /// Makes the reactor a guest of `event_loop` (asyncio's or uvloop's), on whose thread this is called: it takes
    /// its turns as the loop's reader, and async views run as the loop's tasks. `done` is called on the loop when
    /// the reactor has finished. Returns the set of the tasks that run views, of all reactors that use the loop.
    #[pyo3(signature = (event_loop, done = None))]
    fn attach_loop(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PySet>> {
        let py = slf.py();
        let turn = slf.getattr(intern!(py, "_guest_turn"))?;
        let schedule = slf.getattr(intern!(py, "_guest_schedule"))?;
        let this = slf.get();
        let tasks = {
            let mut running = lock(&this.running);
            let running = running
                .as_mut()
                .ok_or_else(|| PyRuntimeError::new_err("the reactor has finished"))?;
            let host = LoopHost::new(event_loop, schedule.unbind(), Arc::clone(&this.pulse))?;
            let host = Arc::new(host);
            let tasks = host.tasks.clone_ref(py);
            *lock(&this.host) = Some(Arc::clone(&host));
            running.service.set_host(host);
            tasks
        };
        this.pulse.settle(py, true)?;
        *lock(&this.guest) = Some(Guest {
            event_loop: event_loop.clone().unbind(),
            turn: turn.clone().unbind(),
            timer: None,
            scheduled: false,
            done,
        });
        event_loop.call_method1(intern!(py, "add_reader"), (this.fd, turn))?;
        this.schedule(py)?;
        Ok(tasks)
    }

    /// Lets async views of this reactor run on another reactor's loop (`host` is that reactor).
    fn use_loop_of(&self, host: &Self) -> PyResult<()> {
        let hosted = lock(&host.host)
            .as_ref()
            .map(Arc::clone)
            .ok_or_else(|| PyValueError::new_err("the other reactor has no event loop"))?;
        let mut running = lock(&self.running);
        let running = running
            .as_mut()
            .ok_or_else(|| PyRuntimeError::new_err("the reactor has finished"))?;
        running.service.set_host(hosted);
        Ok(())
    }

    /// A guest's turn: called by the loop when the poll's descriptor is readable, or as scheduled.
    fn _guest_turn(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(guest) = lock(&self.guest).as_mut() {
            guest.scheduled = false;
        }
        let Some(mut running) = lock(&self.running).take() else {
            return Ok(());
        };
        self.pulse.step();
        let mut busy = false;
        let mut wait = None;
        let mut ended = None;
        for _ in 0..GUEST_TURNS {
            match py.detach(|| {
                running
                    .reactor
                    .turn(&mut running.service, Some(Duration::ZERO))
            }) {
                // A turn that found something is followed by another look: what it answered often is
                // answered by the peer before the loop would come round.
                Ok(Turn::Busy) => busy = true,
                Ok(Turn::Idle) => {
                    busy = false;
                    if !running.reactor.was_active() {
                        break;
                    }
                }
                Ok(Turn::Interrupted) => {}
                Ok(Turn::Finished) => {
                    ended = Some(Ok(()));
                    break;
                }
                Err(error) => {
                    ended = Some(Err(error));
                    break;
                }
            }
        }
        self.count(&running);
        if let Some(end) = ended {
            self.finish(py, running);
            return end.map_err(Into::into);
        }
        if !busy {
            wait = running.reactor.wait();
        }
        *lock(&self.running) = Some(running);
        if busy {
            return self.schedule(py);
        }
        self.arm(py, wait)
    }

    /// Schedules one guest turn, if none is scheduled.
    fn _guest_schedule(&self, py: Python<'_>) -> PyResult<()> {
        self.schedule(py)
    }

    /// Ends the current wait. Any thread.
    fn wake(&self) {
        self.control.call();
    }

    /// Stops accepting, answers what was received within `grace` seconds, then finishes. Any thread.
    fn drain(&self, grace: f64) -> PyResult<()> {
        let grace = Duration::try_from_secs_f64(grace).map_err(|_| {
            PyValueError::new_err("grace must be a number of seconds, not negative")
        })?;
        self.control.drain(grace);
        Ok(())
    }

    /// Finishes now. Any thread.
    fn abort(&self) {
        self.control.abort();
    }

    #[getter]
    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Requests that were given to the application so far.
    #[getter]
    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    #[getter]
    fn finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }
}

impl Reactor {
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    fn take(&self) -> PyResult<Box<Running>> {
        lock(&self.running).take().ok_or_else(|| {
            PyRuntimeError::new_err(
                "the reactor has finished, or is taking a turn already (turns do not nest)",
            )
        })
    }

    fn count(&self, running: &Running) {
        self.connections
            .store(running.reactor.connections(), Ordering::Relaxed);
        self.requests
            .store(running.reactor.requests(), Ordering::Relaxed);
    }

    fn finish(&self, py: Python<'_>, running: Box<Running>) {
        self.count(&running);
        self.connections.store(0, Ordering::Relaxed);
        let guest = lock(&self.guest).take();
        if let Some(guest) = guest {
            // Before the poll is closed: the loop must not watch a number that another file may get.
            let removed =
                guest
                    .event_loop
                    .call_method1(py, intern!(py, "remove_reader"), (self.fd,));
            let cancelled = guest
                .timer
                .map(|timer| timer.call_method0(py, intern!(py, "cancel")));
            if let Err(error) = removed.and(cancelled.unwrap_or_else(|| Ok(py.None()))) {
                error.write_unraisable(py, None);
            }
            if let Some(done) = guest.done {
                let told = guest
                    .event_loop
                    .call_method1(py, intern!(py, "call_soon"), (done,));
                if let Err(error) = told {
                    error.write_unraisable(py, None);
                }
            }
        }
        drop(running);
        drop(lock(&self.host).take());
        self.finished.store(true, Ordering::Release);
    }

    fn schedule(&self, py: Python<'_>) -> PyResult<()> {
        let call = {
            let mut guest = lock(&self.guest);
            let Some(guest) = guest.as_mut() else {
                return Ok(());
            };
            if guest.scheduled {
                return Ok(());
            }
            guest.scheduled = true;
            (guest.event_loop.clone_ref(py), guest.turn.clone_ref(py))
        };
        call.0
            .call_method1(py, intern!(py, "call_soon"), (call.1,))
            .map(drop)
    }

    /// Keeps one timer of the loop on the reactor's next deadline.
    fn arm(&self, py: Python<'_>, wait: Option<Duration>) -> PyResult<()> {
        let (event_loop, turn, old) = {
            let mut guest = lock(&self.guest);
            let Some(guest) = guest.as_mut() else {
                return Ok(());
            };
            (
                guest.event_loop.clone_ref(py),
                guest.turn.clone_ref(py),
                guest.timer.take(),
            )
        };
        if let Some(old) = old {
            old.call_method0(py, intern!(py, "cancel"))?;
        }
        if let Some(wait) = wait {
            let timer = event_loop.call_method1(
                py,
                intern!(py, "call_later"),
                (wait.as_secs_f64(), turn),
            )?;
            if let Some(guest) = lock(&self.guest).as_mut() {
                guest.timer = Some(timer);
            }
        }
        Ok(())
    }
}

/// Tells the measuring of views how often a thread that wants the interpreter asks for it, in seconds.
#[pyfunction]
pub fn note_switch_interval(seconds: f64) {
    if let Ok(interval) = Duration::try_from_secs_f64(seconds) {
        pace::set_switch_interval(interval);
    }
}
