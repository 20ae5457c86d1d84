//! The service's part in WebSockets: handshakes to views, messages in, frames out.

use super::{Message, PyService};
use crate::conn::{Batch, Body, Key, Phase, Request};
use crate::py::face::application::App;
use crate::py::face::state::{RequestState, internal};
use crate::py::ffi::Context;
use crate::py::run::link::Link;
use crate::py::run::plan::{Mode, Plan};
use crate::py::run::pool::Job;
use crate::py::run::socket::Socket;
use crate::ws::{Handshake, Refusal};
use pyo3::intern;
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;

impl PyService {
    /// The plan of a handshake, whose rule the dialect finds; `None`: it is for no WebSocket of the application.
    pub(super) fn socket_plan(
        &mut self,
        py: Python<'_>,
        state: &Bound<'_, RequestState>,
    ) -> PyResult<Option<Arc<Plan>>> {
        let Some(table) = self.table.as_mut().filter(|table| table.sockets) else {
            return Ok(None);
        };
        if !is_upgrade(state.try_borrow()?.request()) {
            return Ok(None);
        }
        let app = Arc::clone(&table.app);
        let rule = app.call(intern!(py, "match_socket"), (&app.object, state))?;
        if rule.is_none() {
            return Ok(None);
        }
        match table.position(py, &rule) {
            Some(at) => table.plan(py, at).map(Some),
            None => Ok(None),
        }
    }

    /// Has a handshake's view run, where it can.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn begin_socket(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
        app: Arc<App>,
        plan: Arc<Plan>,
        state: Bound<'_, RequestState>,
        context: Context,
    ) -> PyResult<()> {
        let Some(socket) = self.open_socket(py, batch, key, &state)? else {
            self.answer(py, batch, key, None);
            return Ok(());
        };
        match plan.mode {
            Mode::Task if self.host.is_some() => {
                let socket = Some(socket);
                self.hand_to_loop(py, batch, key, app, plan, state, context, socket)?;
            }
            Mode::Pool if self.pool.is_some() => {
                let job = Job {
                    key,
                    app,
                    plan,
                    state: state.unbind(),
                    context,
                    socket: Some(socket),
                };
                self.hand_to_pool(py, batch, key, job)?;
            }
            _ => {
                // On the reactor's thread it would wait for messages that only the reactor brings.
                self.settle_socket(py, batch, key)?;
                return Err(internal(
                    "a WebSocket's view needs an event loop (async def) or pool threads (def)",
                ));
            }
        }
        Ok(())
    }

    /// The view has returned: what it sent goes out, and a handshake that it did not accept is its answer's.
    pub(super) fn settle_socket(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
    ) -> PyResult<()> {
        let Some(link) = self.sockets.get(&key).map(Arc::clone) else {
            return Ok(());
        };
        self.flush_socket(py, batch, key, &link)?;
        let refused = batch
            .conn(key)
            .is_some_and(|(conn, _)| conn.phase() == Phase::Serving);
        if refused {
            self.sockets.remove(&key);
            link.end(py, VecDeque::new());
        }
        Ok(())
    }

    /// The socket that a handshake's view gets, or the handshake is refused: `reply` is then filled.
    fn open_socket(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
        state: &Bound<'_, RequestState>,
    ) -> PyResult<Option<Py<Socket>>> {
        let (Some(mailbox), Some((conn, shared))) = (&self.mailbox, batch.conn(key)) else {
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
                self.reply.content_type = Some(b"text/plain; charset=utf-8");
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
        let mailbox = Arc::clone(mailbox);
        let link = Link::new(py, key, handshake, mailbox, self.host.as_ref(), shared);
        let link = Arc::new(link);
        self.sockets.insert(key, Arc::clone(&link));
        Py::new(py, Socket { link }).map(Some)
    }

    /// Takes what a socket's connection has for the view, and has the view go on.
    pub(super) fn deliver(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
    ) -> PyResult<()> {
        let Some(link) = self.sockets.get(&key).map(Arc::clone) else {
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
            self.show_loop(py)?;
            link.wake(py, woken, true);
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
        let Some(link) = self.sockets.get(&key).map(Arc::clone) else {
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
            self.show_loop(py)?;
            link.wake(py, woken, true);
            // What they sent meanwhile goes with this turn's write.
            if let Some((conn, shared)) = batch.conn(key) {
                let more = link.flush(conn, shared);
                link.wake(py, more, true);
            }
        }
        Ok(())
    }

    /// The same from where an error cannot be answered.
    pub(super) fn attend(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>, key: Key) {
        if let Err(error) = self.attend_socket(py, batch, key) {
            error.write_unraisable(py, None);
        }
    }

    /// Sockets whose connection is gone.
    pub(super) fn end_sockets(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>) {
        for (key, rest) in std::mem::take(&mut batch.shared.gone) {
            if let Some(link) = self.sockets.remove(&key) {
                if let Err(error) = self.show_loop(py) {
                    error.write_unraisable(py, None);
                }
                link.end(py, rest);
            }
        }
    }
}

fn is_upgrade(request: &Request) -> bool {
    request
        .field(b"upgrade")
        .is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
}
