//! Views that may block: a bounded queue, served by Python threads.

use super::invoke::{self, Failed};
use super::plan::{Mode, Plan};
use super::reply::{Reply, Rest};
use super::service::Message;
use super::socket::Socket;
use super::stream::{self, Piece};
use crate::conn::Key;
use crate::net::Mailbox;
use crate::pace::{self, Attached, Look};
use crate::py::face::application::App;
use crate::py::face::state::RequestState;
use crate::py::ffi::Context;
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    /// Of a WebSocket's handshake.
    pub socket: Option<Py<Socket>>,
    /// Of a body that is read while it arrives.
    pub place: Option<Place>,
}

impl Job {
    /// Runs it on the calling thread; the request is over when this returns.
    /// `held`: the references to the request's state that the caller knows of.
    pub fn run_inline(self, py: Python<'_>, reply: &mut Reply, held: isize) {
        let state = self.state.bind(py);
        let auto = self.plan.mode == Mode::Auto;
        let look = (auto && self.plan.pace.is_suspect()).then(Look::begin);
        // Whoever waits for a client's body says nothing of how the view behaves.
        let streamed = RequestState::is_read_as_it_comes(state);
        let auto = auto && !streamed;
        let begun = auto.then(Instant::now);
        match self.context.enter(py) {
            // The state is the context's value of the variable since the context was made.
            Ok(_entered) => match &self.socket {
                Some(socket) => invoke::run_socket(py, &self.app, state, socket, reply),
                None => invoke::run(py, &self.app, &self.plan, state, reply),
            },
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
        RequestState::release(state, held, || !self.context.has_copies(py));
        if streamed {
            RequestState::settle_stream(state);
        }
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
    /// Threads that have one.
    busy: usize,
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
    /// Places that are taken.
    reading: AtomicUsize,
}

/// One of the threads that may wait for clients' bodies at a time.
pub struct Place(Arc<PoolQueue>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.reading.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PoolQueue {
    pub fn new(threads: usize, bound: usize, grow: Option<Py<PyAny>>) -> Arc<Self> {
        let started = if grow.is_some() { 1 } else { threads };
        Arc::new(Self {
            queue: Mutex::new(Queue {
                jobs: VecDeque::new(),
                idle: 0,
                busy: 0,
                started,
                closed: false,
            }),
            changed: Condvar::new(),
            bound,
            threads,
            grow,
            full: AtomicBool::new(false),
            reading: AtomicUsize::new(0),
        })
    }

    /// Whether a job would be refused now.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// A place for a view that waits for its client's body. At most half of the threads do: slow clients leave the
    /// other half to the rest of the application.
    pub fn place(self: &Arc<Self>) -> Option<Place> {
        let most = self.threads.div_ceil(2);
        self.reading
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < most).then_some(n + 1)
            })
            .is_ok()
            .then(|| Place(Arc::clone(self)))
    }

    /// Queues a job, and has a thread started for it if all are busy. Gives it back if the queue is full or closed.
    pub fn submit(
        &self,
        py: Python<'_>,
        job: Work,
        mailbox: Arc<Mailbox<Message>>,
    ) -> Result<(), Box<Work>> {
        let grows = {
            let mut queue = self.lock();
            if queue.closed || queue.jobs.len() >= self.room(&queue) {
                return Err(Box::new(job));
            }
            self.put(&mut queue, job, mailbox)
        };
        self.announce(py, grows);
        Ok(())
    }

    /// Queues a body that was begun, whatever else waits; it ends here if the queue is closed.
    fn resume(&self, body: Pushed, mailbox: Arc<Mailbox<Message>>) {
        Python::attach(|py| {
            let mut queue = self.lock();
            if queue.closed {
                drop(queue);
                stream::close(body.iterator.bind(py), Some(&body.context));
                return;
            }
            let grows = self.put(&mut queue, Work::Body(body), mailbox);
            drop(queue);
            self.announce(py, grows);
        });
    }

    /// `true`: a thread has to be started.
    fn put(&self, queue: &mut Queue, job: Work, mailbox: Arc<Mailbox<Message>>) -> bool {
        let grows = queue.jobs.len() >= queue.idle && queue.started < self.threads;
        queue.jobs.push_back((job, mailbox));
        if grows {
            queue.started += 1;
        }
        self.note(queue);
        grows
    }

    fn announce(&self, py: Python<'_>, grows: bool) {
        self.changed.notify_one();
        if grows
            && let Some(grow) = &self.grow
            && let Err(error) = grow.call0(py)
        {
            // Those that are there will come to the job.
            error.write_unraisable(py, None);
            let mut queue = self.lock();
            queue.started -= 1;
            self.note(&queue);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of a pool thread: returns when the queue is closed and empty.
    pub fn work(self: &Arc<Self>, py: Python<'_>) {
        pace::enlist();
        let mut is_busy = false;
        while let Some(((work, mailbox), _attached)) =
            py.detach(|| self.next(is_busy).map(|next| (next, Attached::begin())))
        {
            is_busy = true;
            match work {
                Work::View(job) => view(py, self, job, &mailbox),
                Work::Body(body) => push(py, body, &mailbox),
            }
        }
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits for a job. `was_busy`: the thread has done one.
    fn next(&self, was_busy: bool) -> Option<(Work, Arc<Mailbox<Message>>)> {
        let mut queue = self.lock();
        queue.busy -= usize::from(was_busy);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                queue.busy += 1;
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

    /// How many jobs may be in the queue: those that wait, and those that a thread is about to take, be it one that is
    /// still starting.
    fn room(&self, queue: &Queue) -> usize {
        self.bound + self.threads.saturating_sub(queue.busy)
    }

    fn note(&self, queue: &Queue) {
        let full = queue.jobs.len() >= self.room(queue);
        self.full.store(full, Ordering::Relaxed);
    }
}

fn view(py: Python<'_>, pool: &Arc<PoolQueue>, job: Job, mailbox: &Arc<Mailbox<Message>>) {
    let (key, ticket) = (job.key, job.ticket);
    let mut reply = Box::new(Reply::default());
    let context = job.context.clone_ref(py);
    // The job's reference, its context's, and the reactor's.
    job.run_inline(py, &mut reply, 3);
    let body = match std::mem::replace(&mut reply.rest, Rest::Nothing) {
        Rest::Stream(iterator, length) => {
            let flow = Flow::new(pool);
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
        push(py, body, mailbox);
    }
}

/// Sends what the iterator yields, as fast as the client takes it. One that takes nothing gives the thread back: the
/// body goes on when there is room again, on whichever thread is free.
fn push(py: Python<'_>, mut body: Pushed, mailbox: &Arc<Mailbox<Message>>) {
    let (key, ticket, flow) = (body.key, body.ticket, Arc::clone(&body.flow));
    let mut next = flow.begin();
    let complete = loop {
        match next {
            Said::Go => {}
            Said::Full => match flow.park(body, mailbox) {
                None => return,
                Some(back) => {
                    // It was told to go on, or to stop, meanwhile.
                    body = back;
                    next = flow.begin();
                    continue;
                }
            },
            Said::Stop => break false,
        }
        match stream::next(body.iterator.bind(py), Some(&body.context)) {
            Ok(Piece::Data(data)) => {
                mailbox.send(Message::Piece { key, ticket, data });
                next = py.detach(|| flow.wait());
            }
            Ok(Piece::End) => break true,
            Err(error) => {
                stream::tell_failed(py, Some(&body.context), error);
                break false;
            }
        }
    };
    stream::close(body.iterator.bind(py), Some(&body.context));
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
    pool: Arc<PoolQueue>,
}

#[derive(Default)]
struct FlowState {
    /// What was said since the last piece.
    said: Option<Said>,
    /// The body, while no thread has it.
    parked: Option<(Pushed, Arc<Mailbox<Message>>)>,
}

/// What the producer of a body hears from its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// There is room for a piece.
    Go,
    /// There will be room for the next piece once the client has taken what was sent.
    Full,
    /// Nobody takes more.
    Stop,
}

impl Flow {
    pub fn new(pool: &Arc<PoolQueue>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            pool: Arc::clone(pool),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, FlowState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the producer; one that has parked goes back to a thread of the pool.
    fn say(&self, said: Said) {
        let parked = {
            let mut state = self.state();
            if state.said != Some(Said::Stop) {
                state.said = Some(said);
            }
            if said == Said::Full {
                None
            } else {
                state.parked.take()
            }
        };
        match parked {
            Some((body, mailbox)) => self.pool.resume(body, mailbox),
            None => self.changed.notify_one(),
        }
    }

    /// What a producer that has a thread anew may do.
    fn begin(&self) -> Said {
        let mut state = self.state();
        if state.said == Some(Said::Stop) {
            return Said::Stop;
        }
        state.said = None;
        Said::Go
    }

    /// Waits until the piece that was sent last has come to the connection.
    fn wait(&self) -> Said {
        let mut state = self.state();
        loop {
            match state.said {
                Some(Said::Go) => {
                    state.said = None;
                    return Said::Go;
                }
                Some(said) => return said,
                None => {
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Keeps the body until there is room; gives it back if there is by now, or if there never will be.
    fn park(&self, body: Pushed, mailbox: &Arc<Mailbox<Message>>) -> Option<Pushed> {
        let mut state = self.state();
        match state.said {
            Some(Said::Full) | None => {
                state.said = None;
                state.parked = Some((body, Arc::clone(mailbox)));
                None
            }
            Some(Said::Go | Said::Stop) => Some(body),
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
        self.0.say(if open { Said::Go } else { Said::Full });
    }
}

impl Drop for Pushing {
    fn drop(&mut self) {
        self.0.say(Said::Stop);
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
