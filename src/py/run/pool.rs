//! Views that may block: a bounded queue, served by Python threads.

use super::invoke::{self, Failed};
use super::plan::Plan;
use super::reply::{Reply, Rest};
use super::service::Message;
use super::stream::{self, Piece};
use crate::conn::Key;
use crate::net::Mailbox;
use crate::py::face::application::App;
use crate::py::face::state::RequestState;
use crate::py::ffi::Context;
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// One request for a thread.
pub struct Job {
    pub key: Key,
    pub app: Arc<App>,
    pub plan: Arc<Plan>,
    pub state: Py<RequestState>,
    pub context: Context,
}

impl Job {
    /// Runs it on the calling thread; the request is over when this returns.
    pub fn run_inline(self, py: Python<'_>, reply: &mut Reply) {
        let state = self.state.bind(py);
        match self.context.enter(py) {
            // The state is the context's value of the variable since the context was made.
            Ok(_entered) => invoke::run(py, &self.app, &self.plan, state, reply),
            Err(error) => {
                invoke::answer(py, &self.app, state, Failed::Unanswered(error), reply);
            }
        }
        if matches!(reply.rest, Rest::Stream(..)) {
            RequestState::outlive_turn(state);
        } else {
            RequestState::release(state, &self.context, 2);
        }
    }
}

struct Queue {
    jobs: VecDeque<(Job, Arc<Mailbox<Message>>)>,
    /// Threads that wait for a job: as many of `jobs` wait for nobody.
    idle: usize,
    closed: bool,
}

/// The queue between reactors and pool threads. Bounded: past it requests are refused at once.
pub struct PoolQueue {
    queue: Mutex<Queue>,
    changed: Condvar,
    bound: usize,
    /// A job would be refused now; to be read without the lock.
    full: AtomicBool,
}

impl PoolQueue {
    pub fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue {
                jobs: VecDeque::new(),
                idle: 0,
                closed: false,
            }),
            changed: Condvar::new(),
            bound,
            full: AtomicBool::new(false),
        })
    }

    /// Whether a job would be refused now.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Queues a job, or gives it back if the queue is full or closed.
    pub fn submit(&self, job: Job, mailbox: Arc<Mailbox<Message>>) -> Result<(), Box<Job>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.closed || queue.jobs.len() >= self.bound + queue.idle {
            return Err(Box::new(job));
        }
        queue.jobs.push_back((job, mailbox));
        self.note(&queue);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// The body of a pool thread: returns when the queue is closed and empty.
    pub fn work(&self, py: Python<'_>) {
        while let Some((job, mailbox)) = py.detach(|| self.next()) {
            let key = job.key;
            let mut reply = Box::new(Reply::default());
            let context = job.context.clone_ref(py);
            job.run_inline(py, &mut reply);
            match std::mem::replace(&mut reply.rest, Rest::Nothing) {
                Rest::Stream(iterator, length) => {
                    let flow = Flow::new();
                    reply.rest = Rest::Pushed(Pushing(Arc::clone(&flow)), length);
                    mailbox.send(Message::Reply {
                        key,
                        reply,
                        context: None,
                    });
                    push(py, iterator.bind(py), &context, key, &mailbox, &flow);
                }
                rest => {
                    reply.rest = rest;
                    mailbox.send(Message::Reply {
                        key,
                        reply,
                        context: None,
                    });
                }
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

    fn next(&self) -> Option<(Job, Arc<Mailbox<Message>>)> {
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

    fn note(&self, queue: &Queue) {
        let full = queue.jobs.len() >= self.bound + queue.idle;
        self.full.store(full, Ordering::Relaxed);
    }
}

/// Sends what the iterator yields, as fast as the client takes it.
fn push(
    py: Python<'_>,
    iterator: &Bound<'_, PyAny>,
    context: &Context,
    key: Key,
    mailbox: &Mailbox<Message>,
    flow: &Flow,
) {
    let complete = loop {
        match stream::next(iterator, Some(context)) {
            Ok(Piece::Data(data)) => {
                mailbox.send(Message::Piece { key, data });
                if !py.detach(|| flow.wait()) {
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
    stream::close(iterator, Some(context));
    mailbox.send(Message::End { key, complete });
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
    fn new() -> Arc<Self> {
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
pub struct Pushing(Arc<Flow>);

impl Pushing {
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
    /// Args: threads: how many will call `worker`; queue: requests that may wait.
    #[new]
    fn new(threads: usize, queue: usize) -> Self {
        Self {
            queue: PoolQueue::new(queue),
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
