//! The service behind a reactor's connections: requests to Python and answers back, once a turn.
//!
//! Rules: attach once a turn; hold no borrow of a connection across a call into Python; nothing a view raises
//! or does leaves this file; at most one request of a connection is in Python.

mod bodies;
mod sockets;

use super::body::Reading;
use super::host::LoopHost;
use super::invoke::{self, Failed};
use super::open::{self, OpenRequests};
use super::plan::{Mode, Plan, Steps};
use super::planner::Planner;
use super::pool::{Job, PoolQueue, Pushing, Ticket};
use super::reply::{Begun, Reply, Rest};
use super::sink::Sink;
use super::watchdog::{Pulse, Stage};
use crate::buf::Budget;
use crate::conn::{Batch, Key, KeyMap, Phase, Request, Service};
use crate::net::Mailbox;
use crate::pace::{Attached, Demotion, Stopwatch};
use crate::py::face::application::App;
use crate::py::face::state::RequestState;
use crate::py::ffi::{self, Context};
use crate::py::route::Found;
use pyo3::prelude::*;
use sockets::OpenSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What pool threads and tasks send to the reactor.
pub enum Message {
    /// A request's answer, and where a body that is generated is to be pulled.
    Reply {
        key: Key,
        ticket: Ticket,
        reply: Box<Reply>,
        context: Option<Context>,
    },
    /// A piece of the streamed answer that a pool thread produces.
    Piece {
        key: Key,
        ticket: Ticket,
        data: Vec<u8>,
    },
    /// The stream is over; `false`: it failed, and the client must be able to tell.
    End {
        key: Key,
        ticket: Ticket,
        complete: bool,
    },
    /// The time of some view is up.
    Due,
    /// A WebSocket's view has something for its connection.
    Socket { key: Key },
}

/// A streamed answer.
pub(super) enum Stream {
    /// Pulled here, as the client takes it, in the context of the view.
    Inline(Py<PyAny>, Option<Context>),
    /// Pushed by a pool thread, which waits while the flow is closed.
    Pool(Pushing),
    /// Pushed by a task of the event loop.
    Task(Py<Sink>),
}

pub struct PyService {
    pub(super) planner: Planner,
    pub(super) current: Py<PyAny>,
    pinned: Arc<Budget>,
    pub(super) mailbox: Arc<Mailbox<Message>>,
    pub(super) pulse: Arc<Pulse>,
    stopwatch: Stopwatch,
    pub(super) reply: Reply,
    pub(super) open: OpenRequests,
    /// The body that the last inline view left to be generated belongs in the pool.
    pub(super) streams_from_pool: bool,
    /// Answers under way outside of the turn.
    pub(super) streams: KeyMap<Stream>,
    /// WebSockets, from their handshake on.
    sockets: KeyMap<OpenSocket>,
    /// Bodies that views read while they arrive.
    bodies: KeyMap<Weak<Reading>>,
    /// The context of the last inline request and its value of `current`, if the next can have them.
    kept: Option<(Context, Py<RequestState>)>,
    pub(super) pool: Option<Arc<PoolQueue>>,
    pub(super) host: Option<Arc<LoopHost>>,
    hidden_loop: Option<Py<PyAny>>,
}

impl PyService {
    pub fn new(
        py: Python<'_>,
        planner: Planner,
        pinned: Arc<Budget>,
        mailbox: Arc<Mailbox<Message>>,
        pulse: Arc<Pulse>,
    ) -> PyResult<Self> {
        let current = py
            .import("bustapi.kernel.context")?
            .getattr("current")?
            .unbind();
        Ok(Self {
            planner,
            current,
            pinned,
            mailbox,
            pulse,
            stopwatch: Stopwatch::default(),
            reply: Reply::default(),
            open: OpenRequests::default(),
            streams_from_pool: false,
            streams: KeyMap::default(),
            sockets: KeyMap::default(),
            bodies: KeyMap::default(),
            kept: None,
            pool: None,
            host: None,
            hidden_loop: None,
        })
    }

    pub fn set_pool(&mut self, pool: Arc<PoolQueue>) {
        self.pool = Some(pool);
    }

    pub fn set_host(&mut self, host: Arc<LoopHost>) {
        self.host = Some(host);
    }

    /// The pool is full and the request is for it: told before anything of Python is made for the request.
    fn is_refused(&mut self, py: Python<'_>, request: &Request) -> bool {
        if !self.pool.as_ref().is_some_and(|pool| pool.is_full()) {
            return false;
        }
        let Some(table) = self.planner.table() else {
            return false;
        };
        // What cannot be told here is told by the way through Python, or by the full queue itself.
        let found = table.router.get().find(py, request, table.host_matching);
        match found {
            Ok(Found::Rule { rule, .. }) => {
                table.plan(py, rule).is_ok_and(|plan| match plan.mode {
                    Mode::Pool => true,
                    Mode::Auto => !plan.pace.is_inline(),
                    Mode::Inline | Mode::Task => false,
                })
            }
            Ok(Found::Python) | Err(_) => false,
        }
    }

    pub(super) fn refuse(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>, key: Key) {
        self.reply.clear();
        self.reply.status = 503;
        self.reply.lines = b"Retry-After: 1\r\nContent-Type: text/plain; charset=utf-8\r\n";
        self.reply.body.extend_from_slice(b"The server is busy.\n");
        self.answer(py, batch, key, None);
    }

    /// Takes one request through as much as can be done now.
    fn handle(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>, key: Key) -> PyResult<()> {
        let Some((conn, _)) = batch.conn(key) else {
            return Ok(());
        };
        let Some(request) = conn.take_request() else {
            return self.deliver(py, batch, key);
        };
        let peer = Arc::clone(conn.peer());
        let app = self.planner.refresh(py)?;
        if self.is_refused(py, &request) {
            self.refuse(py, batch, key);
            return Ok(());
        }
        let kept = self.kept.take();
        let is_kept = kept.is_some();
        let (context, state) = match kept {
            Some((context, state)) => {
                let state = state.into_bound(py);
                RequestState::renew(&state, request, &peer, &app);
                (context, state)
            }
            None => {
                let pinned = Arc::clone(&self.pinned);
                let state = RequestState::new(request, peer, pinned, Arc::clone(&app));
                (Context::copy_current(py)?, Bound::new(py, state)?)
            }
        };
        let (plan, done) = {
            let _entered = context.enter(py)?;
            if !is_kept {
                ffi::set_context_var(self.current.bind(py), state.as_any())?;
            }
            match self.planner.plan(py, &state) {
                Ok(plan) if self.runs_here(&plan) => {
                    self.hide_loop(py)?;
                    self.reply.clear();
                    self.run_here(py, &app, &plan, &state);
                    (Some(plan), true)
                }
                Ok(plan) => (Some(plan), false),
                Err(error) => {
                    // A converter of the application, or the description of a rule.
                    let failed = Failed::InView(error);
                    let unhandled = invoke::answer(py, &app, &state, failed, &mut self.reply);
                    invoke::end(py, &app, &state, unhandled, &mut self.reply);
                    (None, true)
                }
            }
        };
        let Some(plan) = plan.filter(|_| !done) else {
            if matches!(self.reply.rest, Rest::Stream(..)) {
                RequestState::outlive_turn(&state);
                self.begin_stream(py, batch, key, context);
            } else if let Some(context) = self.answer(py, batch, key, Some(context)) {
                self.keep(py, context, state);
            }
            return Ok(());
        };
        let job = self.job(key, app, plan, state, context);
        if matches!(job.plan.steps, Steps::Socket) {
            return self.begin_socket(py, batch, job);
        }
        self.hand_over(py, batch, job)
    }

    /// A request that leaves the turn.
    fn job(
        &mut self,
        key: Key,
        app: Arc<App>,
        plan: Arc<Plan>,
        state: Bound<'_, RequestState>,
        context: Context,
    ) -> Job {
        // Whatever comes next is not a call that is measured here.
        self.stopwatch.forget();
        Job {
            key,
            ticket: self.open.next_ticket(),
            app,
            plan,
            state: state.unbind(),
            context,
            socket: None,
            place: None,
        }
    }

    /// Whether the view runs within the turn.
    fn runs_here(&self, plan: &Plan) -> bool {
        match plan.mode {
            Mode::Inline => true,
            Mode::Auto => plan.pace.is_inline() || self.pool.is_none(),
            Mode::Pool | Mode::Task => false,
        }
    }

    /// Calls the view, in the entered context.
    fn run_here(
        &mut self,
        py: Python<'_>,
        app: &App,
        plan: &Plan,
        state: &Bound<'_, RequestState>,
    ) {
        self.pulse.step();
        if plan.mode == Mode::Inline || self.pool.is_none() {
            invoke::run(py, app, plan, state, &mut self.reply);
            self.stopwatch.forget();
            return;
        }
        self.stopwatch.begin(&plan.pace);
        invoke::run(py, app, plan, state, &mut self.reply);
        if let Some(demotion) = self.stopwatch.end(&plan.pace) {
            tell_demotion(py, app, plan, &demotion);
        }
        if matches!(self.reply.rest, Rest::Stream(..)) {
            self.streams_from_pool = true;
            plan.pace.note_stream();
        }
    }

    /// Keeps a request's context and state for the next one if nothing else refers to them and nothing was set in the
    /// context: what a view has set or kept is never seen by another request.
    pub(super) fn keep(
        &mut self,
        py: Python<'_>,
        context: Context,
        state: Bound<'_, RequestState>,
    ) {
        let hosted = self
            .host
            .as_ref()
            .map_or(0, |host| host.references(&context));
        let is_alone = context.holds_only(py, 1 + hosted, self.current.bind(py), state.as_any());
        if !is_alone || ffi::reference_count(state.as_any()) != 2 {
            RequestState::release(&state, 2, || is_alone || !context.has_copies(py));
        }
        if is_alone && RequestState::can_be_renewed(&state) {
            self.kept = Some((context, state.unbind()));
        } else if hosted != 0
            && let Some(host) = &self.host
            && host.is_here()
        {
            host.forget_context(py);
        }
    }

    /// Sends `self.reply` on its connection; a body that is generated is pulled in `context`, which is given back
    /// otherwise.
    pub(super) fn answer(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
        context: Option<Context>,
    ) -> Option<Context> {
        let Some((conn, shared)) = batch.conn(key) else {
            open::discard(py, &mut self.reply);
            return context;
        };
        if conn.phase() != Phase::Serving {
            open::discard(py, &mut self.reply);
            return context;
        }
        match self.reply.send(conn, shared) {
            None => {
                batch.advance(key);
                context
            }
            Some(Begun::Pull(iterator))
                if self.begin_task(py, key, &iterator, context.as_ref()) =>
            {
                None
            }
            Some(Begun::Pull(iterator)) => {
                self.streams.insert(key, Stream::Inline(iterator, context));
                self.pull(py, batch, key);
                None
            }
            Some(Begun::Pushed(flow)) => {
                self.streams.insert(key, Stream::Pool(flow));
                context
            }
        }
    }

    /// While sync views run, the thread's running loop is hidden: `asyncio.run()` in one works as anywhere.
    pub(super) fn hide_loop(&mut self, py: Python<'_>) -> PyResult<()> {
        if let Some(host) = &self.host
            && self.hidden_loop.is_none()
            && host.is_here()
        {
            self.hidden_loop = host.hide(py)?;
        }
        Ok(())
    }

    pub(super) fn show_loop(&mut self, py: Python<'_>) -> PyResult<()> {
        if let (Some(host), Some(running)) = (&self.host, self.hidden_loop.take()) {
            host.show(py, running)?;
        }
        Ok(())
    }

    fn serve_attached(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>) {
        self.pulse.enter(Stage::Views);
        self.stopwatch.forget();
        batch.shared.graveyard.clear();
        self.planner.look(py);
        self.end_sockets(py, batch);
        self.take_messages(py, batch);
        for key in batch.take_resumable() {
            self.pull(py, batch, key);
        }
        while let Some(key) = batch.next_ready() {
            if let Err(error) = self.handle(py, batch, key) {
                self.open.forget(key);
                self.give_up_socket(py, batch, key);
                error.write_unraisable(py, None);
                invoke::internal_error(&mut self.reply);
                self.answer(py, batch, key, None);
            }
        }
        self.drop_orphans(py, batch);
        if let Err(error) = self.show_loop(py) {
            error.write_unraisable(py, None);
        }
    }
}

impl Service for PyService {
    type Message = Message;

    const READS_BODIES: bool = true;

    fn serve(&mut self, batch: &mut Batch<'_, Message>) {
        let _attached = Attached::begin();
        Python::attach(|py| {
            // A panic must not take the reactor with it: what was being answered gets a 500 and a closed connection.
            let caught = catch_unwind(AssertUnwindSafe(|| self.serve_attached(py, batch)));
            if caught.is_err() {
                batch.fail_serving();
            }
            self.pulse.enter(Stage::Outside);
        });
    }
}

/// Logs that a route goes back to the pool; a log that fails must not fail the request.
fn tell_demotion(py: Python<'_>, app: &App, plan: &Plan, demotion: &Demotion) {
    let times: Vec<f64> = demotion.times.iter().map(Duration::as_secs_f64).collect();
    let told = py.import("bustapi.kernel.execution").and_then(|module| {
        module.call_method1(
            "tell_demotion",
            (
                &app.object,
                &plan.rule,
                &plan.view,
                times,
                demotion.calls,
                demotion.needed,
            ),
        )
    });
    if let Err(error) = told {
        error.write_unraisable(py, None);
    }
}
