//! `_core.BodyStream`: a request's body for a view that reads it while it arrives.
//!
//! A thread waits on the feed itself, and neither its wake-up nor its taking costs the reactor the interpreter. A task
//! waits on a [`Waiter`], which the service wakes in the turn that brought something.

use super::host::LoopHost;
use super::service::Message;
use super::waiter::{self, Source, Waiter, Waiters};
use crate::buf::{Budget, Charge};
use crate::conn::{Fault, Feed, Key, Piece, Taken};
use crate::net::Mailbox;
use crate::pace::Apart;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

pyo3::create_exception!(
    bustapi._core,
    BodyLost,
    pyo3::exceptions::PyException,
    "A body will never be whole. Its argument is the status that says why; None: the client has gone."
);

/// What its readers and the service share of one body.
pub struct Reading {
    key: Key,
    feed: Arc<Feed>,
    mailbox: Arc<Mailbox<Message>>,
    /// Where tasks run; none in a server without a loop.
    host: Option<Arc<LoopHost>>,
    /// The thread that brings the body, and can not wait for it.
    reactor: ThreadId,
    waiters: Mutex<Waiters>,
    /// For what was read as a whole, as long as the request may hold it.
    charge: Mutex<Charge>,
}

impl Reading {
    /// Called on the reactor's thread.
    pub fn new(
        key: Key,
        feed: Arc<Feed>,
        mailbox: Arc<Mailbox<Message>>,
        host: Option<Arc<LoopHost>>,
        memory: &Arc<Budget>,
    ) -> Arc<Self> {
        Arc::new(Self {
            key,
            feed,
            mailbox,
            host,
            reactor: std::thread::current().id(),
            waiters: Mutex::default(),
            charge: Mutex::new(Charge::new(memory)),
        })
    }

    /// There is something to take, or the end: tasks go on. `turn`: on the loop's thread that is within a turn.
    pub fn wake(&self, py: Python<'_>, turn: bool) {
        if !self.feed.is_ready() {
            return;
        }
        let woken = std::mem::take(&mut *self.waiters());
        if !woken.is_empty()
            && let Some(host) = &self.host
        {
            waiter::wake(py, host, woken, turn && host.is_here());
        }
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enlist(&self, waiter: Py<Waiter>) -> bool {
        // Listed before it is announced: news that come in between find it.
        self.waiters().push(waiter);
        if self.feed.await_more() {
            return false;
        }
        let all = std::mem::take(&mut *self.waiters());
        let is_done = !all.is_empty();
        drop(all);
        is_done
    }

    /// Tells the reactor to go on.
    fn nudge(&self, py: Python<'_>) {
        match &self.host {
            // On its own thread it needs a turn and no wake-up.
            Some(host) if host.is_here() && self.reactor == host.thread() => {
                if self.mailbox.nudge(self.key, false)
                    && let Err(error) = host.schedule(py).call0(py)
                {
                    error.write_unraisable(py, None);
                }
            }
            _ => {
                self.mailbox.nudge(self.key, true);
            }
        }
    }

    fn took(&self, py: Python<'_>, taken: &Taken) {
        if taken.has_room {
            self.nudge(py);
        }
    }

    /// Waits on the calling thread.
    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        let here = std::thread::current().id();
        let is_loop = self.host.as_ref().is_some_and(|host| host.is_here());
        if self.reactor == here || is_loop {
            return Err(PyRuntimeError::new_err(
                "the body is still arriving, and this thread cannot wait for it: an async view reads it by \
                 'async for chunk in request.stream()', or all of it by 'await request.load_body()'",
            ));
        }
        py.detach(|| {
            let _apart = Apart::begin();
            self.feed.wait();
        });
        Ok(())
    }

    /// Takes until `most` bytes are there, or the line's or the body's end.
    fn collect(&self, py: Python<'_>, most: usize, line: bool) -> PyResult<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut len = 0;
        while len < most {
            let taken = if line {
                self.feed.take_line(most - len)
            } else {
                self.feed.take(most - len)
            };
            self.took(py, &taken);
            len += taken.len;
            let ends_line = line && taken.pieces.last().is_some_and(|p| p.ends_with(b"\n"));
            pieces.extend(taken.pieces);
            if ends_line {
                break;
            }
            match taken.end {
                Some(Ok(())) => break,
                Some(Err(fault)) => return Err(lost(fault)),
                None if len < most && taken.len == 0 => self.wait(py)?,
                None => {}
            }
        }
        Ok(pieces)
    }

    /// The whole rest.
    fn collect_rest(&self, py: Python<'_>) -> PyResult<Vec<u8>> {
        let mut rest: Vec<u8> = Vec::new();
        loop {
            let taken = self.feed.take(usize::MAX);
            self.took(py, &taken);
            let need = rest.len() + taken.len;
            if need > rest.capacity() {
                let wanted = need.max(rest.capacity() * 2);
                if !self.charge(wanted) || rest.try_reserve_exact(wanted - rest.len()).is_err() {
                    self.settle();
                    return Err(BodyLost::new_err(Some(503)));
                }
            }
            for piece in &taken.pieces {
                rest.extend_from_slice(piece);
            }
            match taken.end {
                Some(Ok(())) => return Ok(rest),
                Some(Err(fault)) => {
                    self.settle();
                    return Err(lost(fault));
                }
                None if taken.len == 0 => self.wait(py)?,
                None => {}
            }
        }
    }

    /// Takes so many bytes in all from the process's budget for bodies.
    fn charge(&self, bytes: usize) -> bool {
        let mut charge = self.charge.lock().unwrap_or_else(PoisonError::into_inner);
        charge.raise_to(bytes)
    }

    /// Nothing of what was read as a whole is held any more: the request is over.
    pub fn settle(&self) {
        let mut charge = self.charge.lock().unwrap_or_else(PoisonError::into_inner);
        charge.release();
    }
}

impl Source for Reading {
    fn host(&self) -> Option<&LoopHost> {
        self.host.as_deref()
    }

    fn forget(&self, waiter: &Bound<'_, Waiter>) {
        let gone = {
            let mut waiters = self.waiters();
            let at = waiters.iter().position(|other| other.is(waiter));
            at.map(|at| waiters.swap_remove(at))
        };
        // Outside of the lock: what is dropped may run Python's code.
        drop(gone);
    }
}

#[pyclass(frozen, module = "bustapi._core")]
pub struct BodyStream {
    pub reading: Arc<Reading>,
}

#[pymethods]
impl BodyStream {
    /// Waits for `size` bytes, or the end; all of it without a size.
    #[pyo3(signature = (size = None))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        match size.and_then(|size| usize::try_from(size).ok()) {
            Some(size) => bytes(py, &self.reading.collect(py, size, false)?),
            None => Ok(PyBytes::new(py, &self.reading.collect_rest(py)?)),
        }
    }

    /// Waits for a first byte, and returns what is there, at most `size` bytes; none at the end.
    fn read1<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Bound<'py, PyBytes>> {
        loop {
            match self.take(py, size)? {
                Some(data) => return Ok(data),
                None => self.reading.wait(py)?,
            }
        }
    }

    /// Waits for a line, or the end, or `size` bytes.
    #[pyo3(signature = (size = None))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let most = size.map_or(usize::MAX, |size| {
            usize::try_from(size).unwrap_or(usize::MAX)
        });
        bytes(py, &self.reading.collect(py, most, true)?)
    }

    /// What is there, at most `size` bytes; none at the end, None if nothing is there yet.
    fn take<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let taken = self.reading.feed.take(size);
        self.reading.took(py, &taken);
        match taken.end {
            _ if taken.len > 0 || size == 0 => bytes(py, &taken.pieces).map(Some),
            None => Ok(None),
            Some(Ok(())) => bytes(py, &[]).map(Some),
            Some(Err(fault)) => Err(lost(fault)),
        }
    }

    /// Takes `size` bytes in all from the budget for bodies, until the request is over.
    fn reserve(&self, size: usize) -> PyResult<()> {
        if self.reading.charge(size) {
            return Ok(());
        }
        self.reading.settle();
        Err(BodyLost::new_err(Some(503)))
    }

    /// Something to await: it is over when `take` has something.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<Waiter>> {
        let source = Arc::clone(&self.reading);
        Waiter::of(py, source, |waiter| self.reading.enlist(waiter))
    }
}

fn bytes<'py>(py: Python<'py>, pieces: &[Piece]) -> PyResult<Bound<'py, PyBytes>> {
    let len = pieces.iter().map(|piece| piece.len()).sum();
    PyBytes::new_with(py, len, |mut into| {
        for piece in pieces {
            let (here, rest) = into.split_at_mut(piece.len());
            here.copy_from_slice(piece);
            into = rest;
        }
        Ok(())
    })
}

fn lost(fault: Fault) -> PyErr {
    BodyLost::new_err(match fault {
        Fault::Disconnected => None,
        Fault::TimedOut => Some(408),
        Fault::Refused(status) => Some(status),
    })
}
