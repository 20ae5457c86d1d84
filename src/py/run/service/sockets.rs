//! The service's part in WebSockets: handshakes to views, messages in, frames out.

use super::{Message, PyService};
use crate::conn::{Batch, Body, Key, Phase};
use crate::py::face::internal;
use crate::py::face::state::RequestState;
use crate::py::run::link::Link;
use crate::py::run::plan::Mode;
use crate::py::run::pool::{Job, Ticket};
use crate::py::run::socket::Socket;
use crate::py::run::waiter::Waiters;
use crate::py::run::watchdog::Stage;
use crate::ws::{Handshake, Refusal};
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A WebSocket as the service knows it, until its view has returned and its connection is gone. It is no open request:
/// it has no deadline, and a view is told of its client's departure by the socket and not by a cancellation.
pub(super) struct OpenSocket {
    link: Arc<Link>,
    /// Of the handshake: the connection may have had other requests before it.
    ticket: Ticket,
    /// The request, while the view runs outside of the turn.
    state: Option<Py<RequestState>>,
}

impl PyService {
    /// Has a handshake's view run, where it can.
    pub(super) fn begin_socket(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        mut job: Job,
    ) -> PyResult<()> {
        let (in_task, in_pool) = (job.plan.mode == Mode::Task, job.plan.mode == Mode::Pool);
        if !(in_task && self.host.is_some() || in_pool && self.pool.is_some()) {
            // On the reactor's thread it would wait for messages that only the reactor brings.
            return Err(internal(
                "a WebSocket's view needs an event loop (async def) or pool threads (def)",
            ));
        }
        let state = job.state.bind(py).clone();
        job.socket = self.open_socket(py, batch, job.key, job.ticket, &state)?;
        drop(state);
        if job.socket.is_none() {
            self.answer(py, batch, job.key, None);
            return Ok(());
        }
        self.hand_over(py, batch, job)
    }

    /// The view of a handshake runs on.
    pub(in crate::py::run) fn hold_socket(&mut self, key: Key, state: Py<RequestState>) {
        if let Some(open) = self.sockets.get_mut(&key) {
            open.state = Some(state);
        }
    }

    /// The view has returned: what it sent goes out. `true`: it did not accept the handshake, which is to be answered.
    pub(in crate::py::run) fn settle_socket(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
        ticket: Ticket,
    ) -> bool {
        let link = match self.sockets.get_mut(&key) {
            Some(open) if open.ticket == ticket => {
                drop(open.state.take());
                Arc::clone(&open.link)
            }
            _ => return false,
        };
        if let Err(error) = self.flush_socket(py, batch, key, &link) {
            error.write_unraisable(py, None);
        }
        match batch.conn(key).map(|(conn, _)| conn.phase()) {
            Some(Phase::Serving) => {
                self.sockets.remove(&key);
                link.end(py, VecDeque::new());
                true
            }
            Some(_) => false,
            None => {
                self.sockets.remove(&key);
                false
            }
        }
    }

    /// The view of a handshake cannot be run.
    pub(in crate::py::run) fn give_up_socket(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
    ) {
        let waits = batch
            .conn(key)
            .is_some_and(|(conn, _)| conn.phase() == Phase::Serving);
        if waits && let Some(open) = self.sockets.remove(&key) {
            open.link.end(py, VecDeque::new());
        }
    }

    /// The socket that a handshake's view gets, or the handshake is refused: `reply` is then filled.
    fn open_socket(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
        ticket: Ticket,
        state: &Bound<'_, RequestState>,
    ) -> PyResult<Option<Py<Socket>>> {
        let Some((conn, shared)) = batch.conn(key) else {
            return Ok(None);
        };
        let read = {
            let state = state.try_borrow()?;
            let request = state.request();
            if matches!(request.body, Body::Empty) {
                let compression = shared.config.websocket_compression;
                Handshake::read(&request.head, &request.bytes, compression)
            } else {
                Err(Refusal::Malformed)
            }
        };
        let handshake = match read {
            Ok(handshake) => handshake,
            Err(refusal) => {
                self.reply.clear();
                self.reply.status = refusal.status_hint();
                self.reply.lines = b"Content-Type: text/plain; charset=utf-8\r\n";
                self.reply.field(b"Sec-WebSocket-Version", b"13");
                if refusal == Refusal::Version {
                    // RFC 9110 15.5.22.
                    self.reply.field(b"Upgrade", b"websocket");
                    self.reply.field(b"Connection", b"Upgrade");
                }
                let text = refusal.to_string();
                self.reply.body.extend_from_slice(text.as_bytes());
                self.reply.body.push(b'\n');
                return Ok(None);
            }
        };
        conn.follow();
        let mailbox = Arc::clone(&self.mailbox);
        let link = Link::new(key, handshake, mailbox, self.host.as_ref(), shared);
        let link = Arc::new(link);
        let open = OpenSocket {
            link: Arc::clone(&link),
            ticket,
            state: None,
        };
        self.sockets.insert(key, open);
        Py::new(py, Socket { link }).map(Some)
    }

    /// Takes what a connection without a complete request has for a view, and has the view go on.
    pub(super) fn deliver(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
    ) -> PyResult<()> {
        let Some((conn, _)) = batch.conn(key) else {
            return Ok(());
        };
        if conn.phase() == Phase::Offered {
            return self.take_offer(py, batch, key);
        }
        if conn.take_news() {
            self.tell_reader(py, key)?;
        }
        let Some(link) = self.link(key) else {
            // Its view was told of its end.
            if let Some((conn, _)) = batch.conn(key) {
                while conn.take_event().is_some() {}
            }
            return Ok(());
        };
        let Some((conn, _)) = batch.conn(key) else {
            return Ok(());
        };
        let woken = link.fill(conn);
        if !woken.is_empty() {
            self.wake(py, link.as_ref(), woken)?;
        }
        self.flush_socket(py, batch, key, &link)?;
        if !link.is_starved() {
            batch.advance(key);
        }
        Ok(())
    }

    /// Somebody sent on a socket, took from a full queue, or may send more.
    fn attend_socket(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
    ) -> PyResult<()> {
        let Some(link) = self.link(key) else {
            return Ok(());
        };
        self.flush_socket(py, batch, key, &link)?;
        match batch.conn(key) {
            Some((conn, _)) if conn.has_events() => self.deliver(py, batch, key),
            _ => Ok(()),
        }
    }

    fn flush_socket(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
        link: &Link,
    ) -> PyResult<()> {
        let Some((conn, shared)) = batch.conn(key) else {
            return Ok(());
        };
        let woken = link.flush(conn, shared);
        if !woken.is_empty() {
            self.wake(py, link, woken)?;
            // What they sent meanwhile goes with this turn's write.
            if let Some((conn, shared)) = batch.conn(key) {
                let more = link.flush(conn, shared);
                if !more.is_empty() {
                    self.wake(py, link, more)?;
                }
            }
        }
        Ok(())
    }

    fn link(&self, key: Key) -> Option<Arc<Link>> {
        self.sockets.get(&key).map(|open| Arc::clone(&open.link))
    }

    /// Has tasks go on; those of the reactor's own loop in this turn.
    fn wake(&mut self, py: Python<'_>, link: &Link, waiters: Waiters) -> PyResult<()> {
        self.show_loop(py)?;
        self.pulse.enter(Stage::Task);
        link.wake(py, waiters, true);
        self.pulse.enter(Stage::Views);
        Ok(())
    }

    /// What `attend_socket` does, from where an error cannot be answered.
    pub(in crate::py::run) fn attend(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
    ) {
        if let Err(error) = self.attend_socket(py, batch, key) {
            error.write_unraisable(py, None);
        }
    }

    /// Sockets whose connection is gone, in the handshake or later.
    pub(super) fn end_sockets(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>) {
        for (key, rest) in std::mem::take(&mut batch.shared.gone) {
            let Some(link) = self.link(key) else {
                continue;
            };
            match self.sockets.get(&key).and_then(|open| open.state.as_ref()) {
                // It stays until its view has returned, which is not cancelled: it may have something to put away.
                Some(state) => {
                    if let Ok(state) = state.bind(py).try_borrow() {
                        state.fate().disconnected.store(true, Ordering::Relaxed);
                    }
                }
                None => {
                    self.sockets.remove(&key);
                }
            }
            if let Err(error) = self.show_loop(py) {
                error.write_unraisable(py, None);
            }
            self.pulse.enter(Stage::Task);
            link.end(py, rest);
            self.pulse.enter(Stage::Views);
        }
    }
}
