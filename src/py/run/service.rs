//! The service behind a reactor's connections: requests to Python and answers back, once a turn.
//!
//! Rules: attach once a turn; hold no borrow of a connection across a call into Python; nothing a view raises
//! or does leaves this file; at most one request of a connection is in Python.

use super::invoke::{self, Failed};
use super::open::{self, OpenRequests};
use super::plan::{Mode, Paces, Plan, Table};
use super::pool::{Flow, Job, PoolQueue, Pushed, Pushing, Ticket, Work};
use super::reply::{Begun, Reply, Rest};
use super::sink::{self, Sink};
use super::stream::{self, Piece};
use super::task::{self, LoopHost};
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
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
}

/// A streamed answer.
enum Stream {
    /// Pulled here, as the client takes it, in the context of the view.
    Inline(Py<PyAny>, Option<Context>),
    /// Pushed by a pool thread, which waits while the flow is closed.
    Pool(Pushing),
    /// Pushed by a task of the event loop.
    Task(Py<Sink>),
}

/// A streamed answer's pieces in one turn, so that one endless stream leaves time for others.
const PIECES: usize = 64;

/// The longest name of a host in bytes (RFC 1035 2.3.4).
const HOST: usize = 255;

pub struct PyService {
    app: Py<PyAny>,
    generation: Arc<AtomicU64>,
    pub(super) current: Py<PyAny>,
    pinned: Arc<Budget>,
    mailbox: Arc<Mailbox<Message>>,
    pub(super) pulse: Arc<Pulse>,
    paces: Arc<Paces>,
    stopwatch: Stopwatch,
    table: Option<Table>,
    pub(super) reply: Reply,
    pub(super) open: OpenRequests,
    /// The body that the last inline view left to be generated belongs in the pool.
    streams_from_pool: bool,
    /// Answers under way outside of the turn.
    streams: HashMap<Key, Stream>,
    /// The context of the last inline request and its value of `current`, if the next can have them.
    kept: Option<(Context, Py<RequestState>)>,
    pool: Option<Arc<PoolQueue>>,
    host: Option<LoopHost>,
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
    fn plan(&mut self, py: Python<'_>, state: &Bound<'_, RequestState>) -> PyResult<Arc<Plan>> {
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
                None => Ok(Arc::clone(&table.unmatched)),
            },
        }
    }

    /// The same for an application that believes proxies of its own accord. A request of which they say what only
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
            return Ok(Arc::clone(&table.unmatched));
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

    fn refuse(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>, key: Key) {
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
            return Ok(());
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
        // Whatever comes next is not a call that is measured here.
        self.stopwatch.forget();
        if plan.mode == Mode::Task {
            return self.hand_to_loop(py, batch, key, app, plan, state, context);
        }
        self.hand_to_pool(py, batch, key, app, plan, state.unbind(), context)
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
        if plan.mode == Mode::Inline {
            invoke::run(py, app, plan, state, &mut self.reply);
            self.stopwatch.forget();
            return;
        }
        self.stopwatch.begin(&plan.pace);
        invoke::run(py, app, plan, state, &mut self.reply);
        let demotion = self.stopwatch.end(&plan.pace);
        if self.pool.is_none() {
            return;
        }
        if let Some(demotion) = demotion {
            tell_demotion(py, app, plan, &demotion);
        }
        if matches!(self.reply.rest, Rest::Stream(..)) {
            self.streams_from_pool = true;
            plan.pace.note_stream();
        }
    }

    /// Begins the answer of an inline view whose body is generated: of an `auto` one in the pool, since what the
    /// generator will do is not known.
    fn begin_stream(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
        context: Context,
    ) {
        let mut context = Some(context);
        let in_task = self.host.is_some()
            && matches!(&self.reply.rest, Rest::Stream(body, _) if sink::is_async(body.bind(py)));
        if std::mem::take(&mut self.streams_from_pool)
            && !in_task
            && let Some(pool) = &self.pool
            && let Some(own) = context.take()
            && let Rest::Stream(iterator, length) =
                std::mem::replace(&mut self.reply.rest, Rest::Nothing)
        {
            let flow = Flow::new();
            let ticket = self.open.next_ticket();
            let body = Pushed {
                key,
                ticket,
                iterator,
                context: own,
                flow: Arc::clone(&flow),
            };
            match pool.submit(py, Work::Body(body), Arc::clone(&self.mailbox)) {
                Ok(()) => {
                    self.reply.rest = Rest::Pushed(Pushing::new(&flow, ticket), length);
                }
                Err(refused) => {
                    if let Work::Body(body) = *refused {
                        self.reply.rest = Rest::Stream(body.iterator, length);
                        context = Some(body.context);
                    }
                }
            }
        }
        self.answer(py, batch, key, context);
    }

    /// Keeps a request's context and state for the next one if nothing else refers to them and nothing was set in the
    /// context: what a view has set or kept is never seen by another request.
    fn keep(&mut self, py: Python<'_>, context: Context, state: Bound<'_, RequestState>) {
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

    #[allow(clippy::too_many_arguments)]
    fn hand_to_pool(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
        app: Arc<App>,
        plan: Arc<Plan>,
        state: Py<RequestState>,
        context: Context,
    ) -> PyResult<()> {
        let mut job = Job {
            key,
            ticket: 0,
            app,
            plan,
            state,
            context,
        };
        let Some(pool) = &self.pool else {
            // No pool in this server: the view runs here.
            self.reply.clear();
            self.hide_loop(py)?;
            self.pulse.step();
            let context = job.context.clone_ref(py);
            job.run_inline(py, &mut self.reply, 2);
            self.answer(py, batch, key, Some(context));
            return Ok(());
        };
        let state = job.state.clone_ref(py);
        let (ticket, deadline) = self.open.admit(key, &job.app, &job.plan, state, None);
        job.ticket = ticket;
        if let Err(work) = pool.submit(py, Work::View(job), Arc::clone(&self.mailbox)) {
            drop(work);
            self.open.forget(key);
            self.refuse(py, batch, key);
        } else if let Some(deadline) = deadline {
            self.pulse.expect(deadline);
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn hand_to_loop(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
        app: Arc<App>,
        plan: Arc<Plan>,
        state: Bound<'_, RequestState>,
        context: Context,
    ) -> PyResult<()> {
        let Some(host) = &self.host else {
            // The application had nothing asynchronous when it was started: the pipeline runs the coroutine.
            self.reply.clear();
            {
                let _entered = context.enter(py)?;
                invoke::run_full(py, &app, &state, &mut self.reply);
            }
            match self.answer(py, batch, key, Some(context)) {
                Some(context) => RequestState::release(&state, &context, 2),
                None => RequestState::outlive_turn(&state),
            }
            return Ok(());
        };
        let host = host.clone_ref(py);
        let handle = Arc::new(task::Handle::default());
        let (ticket, deadline) = self.open.admit(
            key,
            &app,
            &plan,
            state.clone().unbind(),
            Some(Arc::clone(&handle)),
        );
        let start = task::Start {
            key,
            ticket,
            handle,
            app,
            plan,
            state: state.unbind(),
            context,
            mailbox: Arc::clone(&self.mailbox),
        };
        if let Some(deadline) = deadline {
            self.pulse.expect(deadline);
        }
        if !host.is_here() {
            return host.start_elsewhere(py, start);
        }
        self.show_loop(py)?;
        self.reply.clear();
        let schedule = Some(host.schedule(py));
        let context = start.context.clone_ref(py);
        self.pulse.enter(Stage::Task);
        let done = task::start(py, &host, start, &mut self.reply, schedule)?;
        self.pulse.enter(Stage::Views);
        if done {
            self.open.forget(key);
            self.answer(py, batch, key, Some(context));
        }
        Ok(())
    }

    /// A body that an async iterator makes is a task's business, if there is a loop for it.
    fn begin_task(
        &mut self,
        py: Python<'_>,
        key: Key,
        iterator: &Py<PyAny>,
        context: Option<&Context>,
    ) -> bool {
        let pieces = iterator.bind(py);
        let Some(host) = &self.host else { return false };
        if !sink::is_async(pieces) {
            return false;
        }
        let ticket = self.open.next_ticket();
        match sink::start(py, host, key, ticket, &self.mailbox, pieces, context) {
            Ok(sink) => {
                self.streams.insert(key, Stream::Task(sink));
                true
            }
            Err(error) => {
                error.write_unraisable(py, None);
                false
            }
        }
    }

    fn stream_ticket(&self, key: Key) -> Option<Ticket> {
        match self.streams.get(&key)? {
            Stream::Pool(flow) => Some(flow.ticket()),
            Stream::Task(sink) => Some(sink.get().ticket()),
            Stream::Inline(..) => None,
        }
    }

    fn take_messages(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>) {
        for message in std::mem::take(batch.messages) {
            match message {
                Message::Reply {
                    key,
                    ticket,
                    mut reply,
                    context,
                } => {
                    if self.open.finish(key, ticket) {
                        self.reply = *reply;
                        self.answer(py, batch, key, context);
                    } else {
                        open::discard(py, &mut reply);
                    }
                }
                Message::Piece { key, ticket, data } => {
                    if self.stream_ticket(key) == Some(ticket)
                        && let Some((conn, _)) = batch.conn(key)
                    {
                        conn.stream(&data);
                        self.pull(py, batch, key);
                    }
                }
                Message::End {
                    key,
                    ticket,
                    complete,
                } => {
                    // Of a body that was refused there is no stream, and another request may be served by now.
                    if self.stream_ticket(key) == Some(ticket) {
                        self.streams.remove(&key);
                        self.end_stream(batch, key, complete);
                    }
                }
                Message::Due => {
                    let host = self.host(py);
                    self.expire(py, batch, host.as_ref());
                }
            }
        }
    }

    /// Pulls pieces of an inline stream while the client takes them.
    fn pull(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>, key: Key) {
        let (iterator, context) = match self.streams.get(&key) {
            Some(Stream::Inline(iterator, context)) => (
                iterator.clone_ref(py),
                context.as_ref().map(|context| context.clone_ref(py)),
            ),
            Some(Stream::Pool(flow)) => {
                if let Some((conn, shared)) = batch.conn(key) {
                    flow.taken(conn.has_room(shared));
                }
                return;
            }
            Some(Stream::Task(sink)) => {
                if let Some((conn, shared)) = batch.conn(key)
                    && conn.has_room(shared)
                    && let Some(host) = &self.host
                {
                    sink.get().taken(py, host);
                }
                return;
            }
            None => return,
        };
        if self.hide_loop(py).is_err() {
            return;
        }
        for _ in 0..PIECES {
            let piece = stream::next(iterator.bind(py), context.as_ref());
            let Some((conn, shared)) = batch.conn(key) else {
                break;
            };
            match piece {
                Ok(Piece::Data(data)) => {
                    conn.stream(&data);
                    if !conn.has_room(shared) {
                        return;
                    }
                }
                Ok(Piece::End) => {
                    self.streams.remove(&key);
                    stream::close(iterator.bind(py), context.as_ref());
                    return self.end_stream(batch, key, true);
                }
                Err(error) => {
                    self.streams.remove(&key);
                    error.write_unraisable(py, Some(iterator.bind(py)));
                    stream::close(iterator.bind(py), context.as_ref());
                    return self.end_stream(batch, key, false);
                }
            }
        }
    }

    fn end_stream(&mut self, batch: &mut Batch<'_, Message>, key: Key, complete: bool) {
        let Some((conn, shared)) = batch.conn(key) else {
            return;
        };
        if complete {
            conn.end_stream(shared);
            batch.advance(key);
        } else {
            conn.abort(shared);
        }
    }

    /// Streams whose connection is gone: closed, and pool threads told to stop.
    fn drop_orphans(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>) {
        if !std::mem::take(&mut batch.shared.orphans) {
            return;
        }
        let host = self.host(py);
        self.leave_gone(py, batch, host.as_ref());
        let gone: Vec<Key> = self
            .streams
            .keys()
            .copied()
            .filter(|key| !batch.is_open(*key))
            .collect();
        for key in gone {
            match (self.streams.remove(&key), &host) {
                (Some(Stream::Inline(iterator, context)), _) => {
                    stream::close(iterator.bind(py), context.as_ref());
                }
                (Some(Stream::Task(sink)), Some(host)) => sink.get().stop(py, host),
                // The end of its flow stops a thread of the pool.
                _ => {}
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

    fn show_loop(&mut self, py: Python<'_>) -> PyResult<()> {
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
        self.take_messages(py, batch);
        for key in batch.take_resumable() {
            self.pull(py, batch, key);
        }
        while let Some(key) = batch.next_ready() {
            if let Err(error) = self.handle(py, batch, key) {
                self.open.forget(key);
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
