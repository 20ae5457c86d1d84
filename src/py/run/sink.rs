//! Bodies that an async iterator makes: a task on the event loop pulls the pieces and pushes them to the reactor, one
//! under way at a time.

use super::host::LoopHost;
use super::pool::Ticket;
use super::service::Message;
use crate::conn::Key;
use crate::net::Mailbox;
use crate::py::ffi::Context;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::{Arc, Mutex, PoisonError};

/// Where a task puts the pieces of one answer.
#[pyclass(frozen, module = "bustapi._core")]
pub struct Sink {
    key: Key,
    ticket: Ticket,
    mailbox: Arc<Mailbox<Message>>,
    stand: Mutex<Stand>,
}

/// Bytes that can be on their way to the connection before the task has to wait for it.
const AHEAD: usize = 4 * 1024;

/// What a piece counts at the least: there are not many small ones either.
const LEAST: usize = 512;

#[derive(Default)]
struct Stand {
    /// Bytes sent since the connection last had room.
    flying: usize,
    /// What the task waits on until the piece was taken.
    taken: Option<Py<PyAny>>,
    /// Cancels the task.
    task: Option<Py<PyAny>>,
    stopped: bool,
}

#[pymethods]
impl Sink {
    /// Sends a piece; `False`: the next has to `wait`.
    fn push(&self, data: &[u8]) -> bool {
        let has_room = {
            let mut stand = self.lock();
            stand.flying += data.len().max(LEAST);
            stand.flying < AHEAD
        };
        self.mailbox.send(Message::Piece {
            key: self.key,
            ticket: self.ticket,
            data: data.to_vec(),
        });
        has_room
    }

    /// `taken`, a future of the loop, is done when there is room for another piece. `False`: there is.
    fn wait(&self, taken: Py<PyAny>) -> bool {
        let mut stand = self.lock();
        if stand.flying < AHEAD {
            return false;
        }
        stand.taken = Some(taken);
        true
    }

    /// Ends the answer; without `complete` so that the client can tell.
    fn end(&self, complete: bool) {
        self.mailbox.send(Message::End {
            key: self.key,
            ticket: self.ticket,
            complete,
        });
    }

    /// Tells which task is to be cancelled when the client goes. `False`: it has gone.
    fn begin(&self, task: Py<PyAny>) -> bool {
        let mut stand = self.lock();
        stand.task = Some(task);
        !stand.stopped
    }
}

impl Sink {
    fn lock(&self) -> std::sync::MutexGuard<'_, Stand> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// There is room for another piece.
    pub fn taken(&self, py: Python<'_>, host: &LoopHost) {
        let taken = {
            let mut stand = self.lock();
            stand.flying = 0;
            stand.taken.take()
        };
        if let Some(taken) = taken {
            let called = py
                .import("bustapi.kernel.pieces")
                .and_then(|module| module.getattr(intern!(py, "tell_taken")))
                .and_then(|tell| host.call(py, (tell, taken)));
            if let Err(error) = called {
                error.write_unraisable(py, None);
            }
        }
    }

    /// Nobody takes more.
    pub fn stop(&self, py: Python<'_>, host: &LoopHost) {
        let task = {
            let mut stand = self.lock();
            stand.stopped = true;
            stand.task.take()
        };
        if let Some(task) = task {
            let cancelled = task
                .getattr(py, intern!(py, "cancel"))
                .and_then(|cancel| host.call(py, (cancel,)));
            if let Err(error) = cancelled {
                error.write_unraisable(py, None);
            }
        }
    }
}

/// Whether the body is a `bustapi.kernel.pieces.AsyncPieces`.
pub fn is_async(body: &Bound<'_, PyAny>) -> bool {
    body.hasattr(intern!(body.py(), "begin")).unwrap_or(false)
}

/// Starts the task that pulls `pieces`, in the request's context.
pub fn start(
    py: Python<'_>,
    host: &LoopHost,
    key: Key,
    ticket: Ticket,
    mailbox: &Arc<Mailbox<Message>>,
    pieces: &Bound<'_, PyAny>,
    context: Option<&Context>,
) -> PyResult<Py<Sink>> {
    let sink = Py::new(
        py,
        Sink {
            key,
            ticket,
            mailbox: Arc::clone(mailbox),
            stand: Mutex::default(),
        },
    )?;
    let options = PyDict::new(py);
    if let Some(context) = context {
        options.set_item(intern!(py, "context"), context.object())?;
    }
    let begin = pieces.getattr(intern!(py, "begin"))?;
    host.call_in(py, (begin, sink.clone_ref(py)), &options)?;
    Ok(sink)
}
