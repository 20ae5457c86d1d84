//! Bodies that an async iterator makes: a task on the event loop pulls the pieces and pushes them to the reactor, one
//! under way at a time.

use super::pool::Ticket;
use super::service::Message;
use super::task::LoopHost;
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

#[derive(Default)]
struct Stand {
    /// What the task waits on until the piece was taken.
    taken: Option<Py<PyAny>>,
    /// Cancels the task.
    task: Option<Py<PyAny>>,
    stopped: bool,
}

#[pymethods]
impl Sink {
    /// Sends a piece; `taken`, a future of the loop, is done when there is room for another.
    fn push(&self, data: Vec<u8>, taken: Py<PyAny>) {
        self.lock().taken = Some(taken);
        self.mailbox.send(Message::Piece {
            key: self.key,
            ticket: self.ticket,
            data,
        });
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
        let taken = self.lock().taken.take();
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
