//! The service behind a reactor's connections: requests to Python and answers back, once a turn.
//!
//! Rules: attach once a turn; hold no borrow of a connection across a call into Python; nothing a view raises
//! or does leaves this file; at most one request of a connection is in Python.

use super::invoke::{self, Failed};
use super::plan::{Mode, Plan, Table};
use super::pool::{Job, PoolQueue, Pushing};
use super::reply::{Begun, Reply};
use super::stream::{self, Piece};
use super::task::{self, LoopHost};
use crate::buf::Budget;
use crate::conn::{Batch, Key, Phase, Request, Service};
use crate::http::Method;
use crate::http::forwarded::Counts;
use crate::net::Mailbox;
use crate::py::face::application::App;
use crate::py::face::state::{RequestState, internal};
use crate::py::ffi::{self, Context};
use crate::py::route::Found;
use pyo3::prelude::*;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What pool threads and tasks send to the reactor.
pub enum Message {
    /// A request's answer, and where a body that is generated is to be pulled.
    Reply {
        key: Key,
        reply: Box<Reply>,
        context: Option<Context>,
    },
    /// A piece of the streamed answer that a pool thread produces.
    Piece { key: Key, data: Vec<u8> },
    /// The stream is over; `false`: it failed, and the client must be able to tell.
    End { key: Key, complete: bool },
}

/// A streamed answer.
enum Stream {
    /// Pulled here, as the client takes it, in the context of the view.
    Inline(Py<PyAny>, Option<Context>),
    /// Pushed by a pool thread, which waits while the flow is closed.
    Pool(Pushing),
}

/// A streamed answer's pieces in one turn, so that one endless stream leaves time for others.
const PIECES: usize = 64;

/// The longest name of a host in bytes (RFC 1035 2.3.4).
const HOST: usize = 255;

pub struct PyService {
    app: Py<PyAny>,
    generation: Arc<AtomicU64>,
    current: Py<PyAny>,
    pinned: Arc<Budget>,
    mailbox: Option<Arc<Mailbox<Message>>>,
    table: Option<Table>,
    reply: Reply,
    /// Answers under way outside of the turn.
    streams: HashMap<Key, Stream>,
    /// The context of the last inline request, if the next can have it.
    context: Option<Context>,
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
            mailbox: None,
            table: None,
            reply: Reply::default(),
            streams: HashMap::new(),
            context: None,
            pool: None,
            host: None,
            hidden_loop: None,
        })
    }

    pub fn connect(&mut self, mailbox: Arc<Mailbox<Message>>) {
        self.mailbox = Some(mailbox);
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
        self.table = Some(Table::build(py, &self.app, generation)?);
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
            Ok(Found::Rule { rule, .. }) => table
                .plan(py, rule)
                .is_ok_and(|plan| plan.mode == Mode::Pool),
            Ok(Found::Python) | Err(_) => false,
        }
    }

    fn refuse(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>, key: Key) {
        self.reply.clear();
        self.reply.status = 503;
        self.reply.field(b"Retry-After", b"1");
        self.reply.content_type = Some(b"text/plain; charset=utf-8");
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
        let state = RequestState::new(request, peer, Arc::clone(&self.pinned), Arc::clone(&app));
        let state = Bound::new(py, state)?;
        let context = match self.context.take() {
            Some(context) => context,
            None => Context::copy_current(py)?,
        };
        let plan = {
            let _entered = context.enter(py)?;
            ffi::set_context_var(self.current.bind(py), state.as_any())?;
            match self.plan(py, &state) {
                Ok(plan) if plan.mode == Mode::Inline => {
                    self.hide_loop(py)?;
                    self.reply.clear();
                    invoke::run(py, &app, &plan, &state, &mut self.reply);
                    None
                }
                Ok(plan) => Some(plan),
                Err(error) => {
                    // A converter of the application, or the description of a rule.
                    let failed = Failed::InView(error);
                    let unhandled = invoke::answer(py, &app, &state, failed, &mut self.reply);
                    invoke::end(py, &app, &state, unhandled);
                    None
                }
            }
        };
        match plan {
            None => match self.answer(py, batch, key, Some(context)) {
                Some(context) => {
                    RequestState::release(&state, 2);
                    self.keep_context(py, context);
                }
                None => RequestState::outlive_turn(&state),
            },
            Some(plan) if plan.mode == Mode::Pool => self.hand_to_pool(
                py,
                batch,
                key,
                Job {
                    key,
                    app,
                    plan,
                    state: state.unbind(),
                    context,
                },
            )?,
            Some(plan) => self.hand_to_loop(py, batch, key, app, plan, state, context)?,
        }
        Ok(())
    }

    /// Keeps a request's context for the next one if nothing but our variable is in it: what the view has set is
    /// never seen by another request. Its copies are their owners' own.
    fn keep_context(&mut self, py: Python<'_>, context: Context) {
        if context.len(py) == 1 {
            self.context = Some(context);
        }
    }

    /// Sends `self.reply` on its connection; a body that is generated is pulled in `context`, which is given back
    /// otherwise.
    fn answer(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
        context: Option<Context>,
    ) -> Option<Context> {
        let Some((conn, shared)) = batch.conn(key) else {
            self.reply.clear();
            return context;
        };
        if conn.phase() != Phase::Serving {
            self.reply.clear();
            return context;
        }
        match self.reply.send(conn, shared) {
            None => {
                batch.advance(key);
                context
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

    fn hand_to_pool(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
        job: Job,
    ) -> PyResult<()> {
        let (Some(pool), Some(mailbox)) = (&self.pool, &self.mailbox) else {
            // No pool in this server: the view runs here.
            self.reply.clear();
            self.hide_loop(py)?;
            let context = job.context.clone_ref(py);
            job.run_inline(py, &mut self.reply);
            self.answer(py, batch, key, Some(context));
            return Ok(());
        };
        if let Err(job) = pool.submit(job, Arc::clone(mailbox)) {
            drop(job);
            self.refuse(py, batch, key);
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
        let (Some(host), Some(mailbox)) = (&self.host, &self.mailbox) else {
            // The application had nothing asynchronous when it was started: the pipeline runs the coroutine.
            self.reply.clear();
            {
                let _entered = context.enter(py)?;
                invoke::run_full(py, &app, &state, &mut self.reply);
            }
            match self.answer(py, batch, key, Some(context)) {
                Some(_) => RequestState::release(&state, 2),
                None => RequestState::outlive_turn(&state),
            }
            return Ok(());
        };
        let host = host.clone_ref(py);
        let start = task::Start {
            key,
            app,
            plan,
            state: state.unbind(),
            context,
            mailbox: Arc::clone(mailbox),
        };
        if !host.is_here() {
            return host.start_elsewhere(py, start);
        }
        self.show_loop(py)?;
        self.reply.clear();
        let schedule = Some(host.schedule(py));
        let context = start.context.clone_ref(py);
        if task::start(py, &host, start, &mut self.reply, schedule)? {
            self.answer(py, batch, key, Some(context));
        }
        Ok(())
    }

    fn take_messages(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>) {
        for message in std::mem::take(batch.messages) {
            match message {
                Message::Reply {
                    key,
                    reply,
                    context,
                } => {
                    self.reply = *reply;
                    self.answer(py, batch, key, context);
                }
                Message::Piece { key, data } => {
                    let Some((conn, shared)) = batch.conn(key) else {
                        continue;
                    };
                    conn.stream(&data);
                    if let Some(Stream::Pool(flow)) = self.streams.get(&key) {
                        flow.taken(conn.has_room(shared));
                    }
                }
                Message::End { key, complete } => {
                    self.streams.remove(&key);
                    self.end_stream(batch, key, complete);
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
        if !std::mem::take(&mut batch.shared.orphans) || self.streams.is_empty() {
            return;
        }
        let gone: Vec<Key> = self
            .streams
            .keys()
            .copied()
            .filter(|key| !batch.is_open(*key))
            .collect();
        for key in gone {
            if let Some(Stream::Inline(iterator, context)) = self.streams.remove(&key) {
                stream::close(iterator.bind(py), context.as_ref());
            }
        }
    }

    /// While sync views run, the thread's running loop is hidden: `asyncio.run()` in one works as anywhere.
    fn hide_loop(&mut self, py: Python<'_>) -> PyResult<()> {
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
        Python::attach(|py| {
            // A panic must not take the reactor with it: what was being answered gets a 500 and a closed connection.
            let caught = catch_unwind(AssertUnwindSafe(|| self.serve_attached(py, batch)));
            if caught.is_err() {
                batch.fail_serving();
            }
        });
    }
}
