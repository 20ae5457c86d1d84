//! The service behind a reactor's connections: requests to Python and answers back, once a turn.
//!
//! Rules: attach once a turn; hold no borrow of a connection across a call into Python; nothing a view raises
//! or does leaves this file; at most one request of a connection is in Python.

mod bodies;
mod sockets;

use super::body::Reading;
use super::invoke::{self, Failed};
use super::open::{self, OpenRequests};
use super::plan::{Mode, Paces, Plan, Steps, Table};
use super::pool::{Job, PoolQueue, Pushing, Ticket};
use super::reply::{Begun, Reply, Rest};
use super::sink::Sink;
use super::task::LoopHost;
use super::watchdog::{Pulse, Stage};
use crate::buf::Budget;
use crate::conn::{Batch, Key, Phase, Request, Service};
use crate::http::Method;
use crate::http::forwarded::Counts;
use crate::net::Mailbox;
use crate::pace::{Attached, Demotion, Stopwatch};
use crate::py::face::application::App;
use crate::py::face::state::{RequestState, internal};
use crate::py::ffi::{self, Context};
use crate::py::route::Found;
use pyo3::prelude::*;
use sockets::OpenSocket;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
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

/// The longest name of a host in bytes (RFC 1035 2.3.4).
const HOST: usize = 255;

pub struct PyService {
    app: Py<PyAny>,
    generation: Arc<AtomicU64>,
    pub(super) current: Py<PyAny>,
    pinned: Arc<Budget>,
    pub(super) mailbox: Arc<Mailbox<Message>>,
    pub(super) pulse: Arc<Pulse>,
    paces: Arc<Paces>,
    stopwatch: Stopwatch,
    table: Option<Table>,
    pub(super) reply: Reply,
    pub(super) open: OpenRequests,
    /// The body that the last inline view left to be generated belongs in the pool.
    pub(super) streams_from_pool: bool,
    /// Answers under way outside of the turn.
    pub(super) streams: HashMap<Key, Stream>,
    /// WebSockets, from their handshake on.
    sockets: HashMap<Key, OpenSocket>,
    /// Bodies that views read while they arrive.
    bodies: HashMap<Key, Weak<Reading>>,
    /// The context of the last inline request and its value of `current`, if the next can have them.
    kept: Option<(Context, Py<RequestState>)>,
    pub(super) pool: Option<Arc<PoolQueue>>,
    pub(super) host: Option<LoopHost>,
    hidden_loop: Option<Py<PyAny>>,
}

impl PyService {
    pub fn new(
        py: Python<'_>,
        app: Py<PyAny>,
        generation: Arc<AtomicU64>,
        pinned: Arc<Budget>,
        paces: Arc<Paces>,
        mailbox: Arc<Mailbox<Message>>,
        pulse: Arc<Pulse>,
    ) -> PyResult<Self> {
        let current = py
            .import("bustapi.kernel.context")?
            .getattr("current")?
            .unbind();
        Ok(Self {
            app,
            generation,
            current,
            pinned,
            mailbox,
            pulse,
            paces,
            stopwatch: Stopwatch::default(),
            table: None,
            reply: Reply::default(),
            open: OpenRequests::default(),
            streams_from_pool: false,
            streams: HashMap::new(),
            sockets: HashMap::new(),
            bodies: HashMap::new(),
            kept: None,
            pool: None,
            host: None,
            hidden_loop: None,
        })
    }

    pub fn set_pool(&mut self, pool: Arc<PoolQueue>) {
        self.pool = Some(pool);
    }

    pub fn host(&self, py: Python<'_>) -> Option<LoopHost> {
        self.host.as_ref().map(|host| host.clone_ref(py))
    }

    pub fn set_host(&mut self, host: LoopHost) {
        self.host = Some(host);
    }

    /// Compares generations and builds the table anew if the application has changed. Every request does it: a
    /// change made by a view holds for the next request of the same batch.
    fn refresh(&mut self, py: Python<'_>) -> PyResult<()> {
        let generation = self.generation.load(Ordering::Acquire);
        if self
            .table
            .as_ref()
            .is_some_and(|table| table.generation == generation)
        {
            return Ok(());
        }
        self.table = Some(Table::build(py, &self.app, generation, &self.paces)?);
        Ok(())
    }

    /// Matches the request and finds its plan. An error here is the application's (a converter raised, say).
    pub(super) fn plan(
        &mut self,
        py: Python<'_>,
        state: &Bound<'_, RequestState>,
    ) -> PyResult<Arc<Plan>> {
        let Some(table) = self.table.as_mut() else {
            return Err(internal("the application has no table"));
        };
        let found = {
            let this = state.try_borrow()?;
            let request = this.request();
            match request.host() {
                // Longer than a name can be: the dialect refuses it.
                Some(host) if host.len() > HOST => Found::Python,
                _ => table.router.get().find(py, request, table.host_matching)?,
            }
        };
        match found {
            Found::Rule { rule, view_args } => {
                let plan = table.plan(py, rule)?;
                state.try_borrow_mut()?.set_match(
                    plan.rule.clone_ref(py),
                    view_args.map(|args| args.unbind().into_any()),
                );
                if plan.automatic_options
                    && state.try_borrow()?.request().head.method == Method::Options
                {
                    return Ok(Arc::clone(&table.unmatched));
                }
                Ok(plan)
            }
            // No rule, or one that Python has to look at (custom converters): the dialect's own matching decides.
            Found::Python => match table.proxies {
                Some(counts) => self.plan_behind_proxies(py, state, &counts),
                None => self.plan_unmatched(py, state),
            },
        }
    }

    /// A handshake's plan, or that of a request without a rule.
    fn plan_unmatched(
        &mut self,
        py: Python<'_>,
        state: &Bound<'_, RequestState>,
    ) -> PyResult<Arc<Plan>> {
        let Some(table) = &self.table else {
            return Err(internal("the application has no table"));
        };
        let unmatched = Arc::clone(&table.unmatched);
        Ok(self.socket_plan(py, state)?.unwrap_or(unmatched))
    }

    /// What `plan` says for an application that believes proxies of its own accord. A request of which they say what only
    /// Python can tell keeps its origin, and goes through the application's wrapper.
    fn plan_behind_proxies(
        &mut self,
        py: Python<'_>,
        state: &Bound<'_, RequestState>,
        counts: &Counts,
    ) -> PyResult<Arc<Plan>> {
        let Some(table) = self.table.as_mut() else {
            return Err(internal("the application has no table"));
        };
        if !state.try_borrow_mut()?.believe(counts) {
            return Ok(Arc::clone(&table.unmatched));
        }
        let found = {
            let this = state.try_borrow()?;
            match this.request().host() {
                Some(host) if host.len() > HOST => Found::Python,
                _ => table.router.get().find(py, this.request(), false)?,
            }
        };
        let Found::Rule { rule, view_args } = found else {
            return self.plan_unmatched(py, state);
        };
        let plan = table.plan(py, rule)?;
        let mut this = state.try_borrow_mut()?;
        this.set_match(
            plan.rule.clone_ref(py),
            view_args.map(|args| args.unbind().into_any()),
        );
        if plan.automatic_options && this.request().head.method == Method::Options {
            return Ok(Arc::clone(&table.unmatched));
        }
        Ok(plan)
    }

    /// The pool is full and the request is for it: told before anything of Python is made for the request.
    fn is_refused(&mut self, py: Python<'_>, request: &Request) -> bool {
        if !self.pool.as_ref().is_some_and(|pool| pool.is_full()) {
            return false;
        }
        let Some(table) = self.table.as_mut() else {
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
        self.refresh(py)?;
        if self.is_refused(py, &request) {
            self.refuse(py, batch, key);
            return Ok(());
        }
        let Some(app) = self.table.as_ref().map(|table| Arc::clone(&table.app)) else {
            return Err(internal("the application has no table"));
        };
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
            match self.plan(py, &state) {
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
                    invoke::end(py, &app, &state, unhandled);
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
        RequestState::release(&state, &context, 2);
        if RequestState::can_be_renewed(&state, &context, self.current.bind(py)) {
            self.kept = Some((context, state.unbind()));
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
        if self
            .table
            .as_mut()
            .is_some_and(|table| !table.watch.is_unchanged(py))
        {
            self.table = None;
        }
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
