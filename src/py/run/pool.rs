//! Views that may block: a bounded queue, served by Python threads.

use super::invoke::{self, Failed};
use super::plan::{Mode, Plan};
use super::reply::{Reply, Rest};
use super::service::Message;
use super::stream::{self, Piece};
use crate::conn::Key;
use crate::net::Mailbox;
use crate::pace::{Attached, Look};
use crate::py::face::application::App;
use crate::py::face::state::RequestState;
use crate::py::ffi::Context;
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Tells the requests of one connection apart: an answer that comes too late is not the next request's.
pub type Ticket = u64;

/// One request for a thread.
pub struct Job {
    pub key: Key,
    pub ticket: Ticket,
    pub app: Arc<App>,
    pub plan: Arc<Plan>,
    pub state: Py<RequestState>,
    pub context: Context,
}

impl Job {
    /// Runs it on the calling thread; the request is over when this returns.
    /// `held`: the references to the request's state that the caller knows of.
    pub fn run_inline(self, py: Python<'_>, reply: &mut Reply, held: isize) {
        let state = self.state.bind(py);
        let auto = self.plan.mode == Mode::Auto;
        let look = (auto && self.plan.pace.is_suspect()).then(Look::begin);
        let begun = auto.then(Instant::now);
        match self.context.enter(py) {
            // The state is the context's value of the variable since the context was made.
            Ok(_entered) => invoke::run(py, &self.app, &self.plan, state, reply),
            Err(error) => {
                invoke::answer(py, &self.app, state, Failed::Unanswered(error), reply);
            }
        }
        if matches!(reply.rest, Rest::Stream(..)) {
            RequestState::outlive_turn(state);
            if auto {
                self.plan.pace.note_stream();
            }
            return;
        }
        if let Some(begun) = begun {
            self.plan.pace.note_pooled(begun.elapsed(), look.as_ref());
        }
        RequestState::release(state, &self.context, held);
    }
}

/// A body to be generated for an answer whose head the reactor sends.
pub struct Pushed {
    pub key: Key,
    pub ticket: Ticket,
    pub iterator: Py<PyAny>,
    pub context: Context,
    pub flow: Arc<Flow>,
}

/// What a thread of the pool does.
pub enum Work {
    View(Job),
    Body(Pushed),
}

struct Queue {
    jobs: VecDeque<(Work, Arc<Mailbox<Message>>)>,
    /// Threads that wait for a job: as many of `jobs` wait for nobody.
    idle: usize,
    /// Threads that were asked for.
    started: usize,
    closed: bool,
}

/// The queue between reactors and pool threads. Bounded: past it requests are refused at once.
pub struct PoolQueue {
    queue: Mutex<Queue>,
    changed: Condvar,
    bound: usize,
    threads: usize,
    /// Starts another thread; None: all of them are there from the beginning.
    grow: Option<Py<PyAny>>,
    /// A job would be refused now; to be read without the lock.
    full: AtomicBool,
}

impl PoolQueue {
    pub fn new(threads: usize, bound: usize, grow: Option<Py<PyAny>>) -> Arc<Self> {
        let started = if grow.is_some() { 1 } else { threads };
        Arc::new(Self {
            queue: Mutex::new(Queue {
                jobs: VecDeque::new(),
                idle: 0,
                started,
                closed: false,
            }),
            changed: Condvar::new(),
            bound,
            threads,
            grow,
            full: AtomicBool::new(false),
        })
    }

    /// Whether a job would be refused now.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Queues a job, and has a thread started for it if all are busy. Gives it back if the queue is full or closed.
    pub fn submit(
        &self,
        py: Python<'_>,
        job: Work,
        mailbox: Arc<Mailbox<Message>>,
    ) -> Result<(), Box<Work>> {
        let grows = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if queue.closed || queue.jobs.len() >= self.room(&queue) {
                return Err(Box::new(job));
            }
            let grows = queue.jobs.len() >= queue.idle && queue.started < self.threads;
            queue.jobs.push_back((job, mailbox));
            if grows {
                queue.started += 1;
            }
            self.note(&queue);
            grows
        };
        self.changed.notify_one();
        if grows
            && let Some(grow) = &self.grow
            && let Err(error) = grow.call0(py)
        {
            // Those that are there will come to the job.
            error.write_unraisable(py, None);
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.started -= 1;
            self.note(&queue);
        }
        Ok(())
    }

    /// The body of a pool thread: returns when the queue is closed and empty.
    pub fn work(&self, py: Python<'_>) {
        while let Some(((work, mailbox), _attached)) =
            py.detach(|| self.next().map(|next| (next, Attached::begin())))
        {
            match work {
                Work::View(job) => view(py, job, &mailbox),
                Work::Body(body) => push(py, &body, &mailbox),
            }
        }
    }

    pub fn close(&self) {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.changed.notify_all();
    }

    fn next(&self) -> Option<(Work, Arc<Mailbox<Message>>)> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                self.note(&queue);
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue.idle += 1;
            self.note(&queue);
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    /// How many jobs may be in the queue: those that wait, and those that a thread is about to take.
    fn room(&self, queue: &Queue) -> usize {
        self.bound + queue.idle + self.threads.saturating_sub(queue.started)
    }

    fn note(&self, queue: &Queue) {
        let full = queue.jobs.len() >= self.room(queue);
        self.full.store(full, Ordering::Relaxed);
    }
}

fn view(py: Python<'_>, job: Job, mailbox: &Arc<Mailbox<Message>>) {
    let (key, ticket) = (job.key, job.ticket);
    let mut reply = Box::new(Reply::default());
    let context = job.context.clone_ref(py);
    // The job's reference, its context's, and the reactor's.
    job.run_inline(py, &mut reply, 3);
    let body = match std::mem::replace(&mut reply.rest, Rest::Nothing) {
        Rest::Stream(iterator, length) => {
            let flow = Flow::new();
            reply.rest = Rest::Pushed(Pushing::new(&flow, ticket), length);
            Some(Pushed {
                key,
                ticket,
                iterator,
                context,
                flow,
            })
        }
        rest => {
            reply.rest = rest;
            None
        }
    };
    mailbox.send(Message::Reply {
        key,
        ticket,
        reply,
        context: None,
    });
    if let Some(body) = body {
        push(py, &body, mailbox);
    }
}

/// Sends what the iterator yields, as fast as the client takes it.
fn push(py: Python<'_>, body: &Pushed, mailbox: &Mailbox<Message>) {
    let (key, ticket, context) = (body.key, body.ticket, Some(&body.context));
    let iterator = body.iterator.bind(py);
    let complete = loop {
        match stream::next(iterator, context) {
            Ok(Piece::Data(data)) => {
                mailbox.send(Message::Piece { key, ticket, data });
                if !py.detach(|| body.flow.wait()) {
                    break false;
                }
            }
            Ok(Piece::End) => break true,
            Err(error) => {
                error.write_unraisable(py, Some(iterator));
                break false;
            }
        }
    };
    stream::close(iterator, context);
    mailbox.send(Message::End {
        key,
        ticket,
        complete,
    });
}

/// Back-pressure from a connection to the thread that produces its answer: one piece is under way at a time.
pub struct Flow {
    state: Mutex<FlowState>,
    changed: Condvar,
}

#[derive(Default)]
struct FlowState {
    open: bool,
    stopped: bool,
}

impl Flow {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn taken(&self, open: bool) {
        if open {
            self.state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .open = true;
            self.changed.notify_one();
        }
    }

    /// Nobody takes more.
    fn stop(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stopped = true;
        self.changed.notify_one();
    }

    /// Waits for room; `false` if nobody takes more.
    fn wait(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.stopped {
                return false;
            }
            if std::mem::take(&mut state.open) {
                return true;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The connection's side of a flow; the producer is told to stop when it goes, wherever that happens.
pub struct Pushing(Arc<Flow>, Ticket);

impl Pushing {
    pub fn new(flow: &Arc<Flow>, ticket: Ticket) -> Self {
        Self(Arc::clone(flow), ticket)
    }

    pub fn ticket(&self) -> Ticket {
        self.1
    }

    /// A piece was taken; `open`: there is room for the next.
    pub fn taken(&self, open: bool) {
        self.0.taken(open);
    }
}

impl Drop for Pushing {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The pool as Python sees it: `bustapi.serve` starts the threads.
#[pyclass(frozen, module = "bustapi._core")]
pub struct Pool {
    pub queue: Arc<PoolQueue>,
    threads: usize,
}

#[pymethods]
impl Pool {
    /// Args: threads: how many call `worker` at most; queue: requests that may wait; grow: called without arguments
    /// to start another thread, the first being there already. Without it all of them are.
    #[new]
    #[pyo3(signature = (threads, queue, grow = None))]
    fn new(threads: usize, queue: usize, grow: Option<Py<PyAny>>) -> Self {
        Self {
            queue: PoolQueue::new(threads, queue, grow),
            threads,
        }
    }

    #[getter]
    fn threads(&self) -> usize {
        self.threads
    }

    /// The body of a pool thread; returns when the pool is closed.
    fn worker(&self, py: Python<'_>) {
        self.queue.work(py);
    }

    /// Lets every thread return when the queue is empty.
    fn close(&self) {
        self.queue.close();
    }
}
