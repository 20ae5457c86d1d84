//! Between a WebSocket's connection, which belongs to its reactor, and the view, which may run on any thread.
//!
//! Messages come in through a bounded queue; frames are encoded by whoever sends and go out with the reactor's next
//! turn. Whoever waits is a task (a [`Waiter`]) or a thread of the pool (the condition variable). No call into Python
//! is made while the state is locked.

use super::host::LoopHost;
use super::service::Message;
use super::waiter::{Source, Waiter, Waiters};
use crate::buf::Segment;
use crate::conn::{Conn, Key, Shared, SocketEvent};
use crate::net::Mailbox;
use crate::pace::Apart;
use crate::py::ffi::{BytesPayload, json};
use crate::ws::{self, ABNORMAL, CloseReason, Encoder, Handshake, Kind, Opcode};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// A message of `bytes` at least this long is sent from where it is.
const BY_REFERENCE: usize = 64 * 1024;

/// An empty buffer larger than this is given up.
const KEEP: usize = 64 * 1024;

pub struct Link {
    key: Key,
    pub handshake: Handshake,
    mailbox: Arc<Mailbox<Message>>,
    /// Where tasks run; none in a server without a loop.
    pub host: Option<Arc<LoopHost>>,
    /// The reactor's thread, if it is the loop's too: what is sent there needs a turn and no wake-up.
    home: Option<ThreadId>,
    max_queue: usize,
    max_bytes: usize,
    max_outbox: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    Connecting,
    Open,
    Closed(CloseReason),
}

/// What the answer to the handshake says beside what it must.
pub struct Accept {
    pub protocol: Option<Vec<u8>>,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

struct State {
    stage: Stage,
    inbound: VecDeque<ws::Message>,
    inbound_bytes: usize,
    /// The connection has events for which there was no place.
    starved: bool,
    encoder: Encoder,
    accept: Option<Accept>,
    parts: Vec<Segment>,
    frames: Vec<u8>,
    /// Bytes in `parts` and `frames`.
    unsent: usize,
    close: Option<(u16, String)>,
    /// The connection's outbox is full.
    blocked: bool,
    /// The reactor knows that there is something to do.
    notified: bool,
    readers: Waiters,
    writers: Waiters,
    /// Threads that wait for a change: without one, telling of it would be a system call for nothing.
    sleepers: usize,
}

/// What became of a message that was to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way, and there is room for more.
    Ready,
    /// It is on its way; the sender had better wait.
    Full,
    Closed,
}

/// What somebody who wants a message gets.
pub enum Received<'py> {
    Message(Bound<'py, PyAny>),
    /// None yet.
    Nothing,
    /// The link is closed, and every message was taken.
    End,
}

/// Which side of the link somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Messages,
    Room,
}

impl Link {
    pub fn new(
        key: Key,
        handshake: Handshake,
        mailbox: Arc<Mailbox<Message>>,
        host: Option<&Arc<LoopHost>>,
        shared: &Shared,
    ) -> Self {
        let config = &shared.config;
        let encoder = Encoder::new(handshake.agreed.as_ref());
        Self {
            key,
            handshake,
            mailbox,
            home: host.filter(|host| host.is_here()).map(|host| host.thread()),
            host: host.map(Arc::clone),
            max_queue: config.websocket_max_queue.max(1),
            max_bytes: config.websocket_max_message,
            max_outbox: config.max_outbox,
            state: Mutex::new(State {
                stage: Stage::Connecting,
                inbound: VecDeque::new(),
                inbound_bytes: 0,
                starved: false,
                encoder,
                accept: None,
                parts: Vec::new(),
                frames: Vec::new(),
                unsent: 0,
                close: None,
                blocked: false,
                notified: false,
                readers: Waiters::new(),
                writers: Waiters::new(),
                sleepers: 0,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn stage(&self) -> Stage {
        self.lock().stage.clone()
    }

    pub fn is_connecting(&self) -> bool {
        self.lock().stage == Stage::Connecting
    }

    // -- the view's side -------------------------------------------------------------------------------------------

    /// Answers the handshake; `false` if that cannot be done any more.
    pub fn accept(&self, py: Python<'_>, accept: Accept) -> bool {
        let mut state = self.lock();
        if state.stage != Stage::Connecting {
            return false;
        }
        state.stage = Stage::Open;
        state.accept = Some(accept);
        self.notify(py, state);
        true
    }

    /// The next message, a text as a `str`; None: there is none now.
    pub fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut state = self.lock();
        let Some(message) = state.inbound.pop_front() else {
            return Ok(None);
        };
        self.taken(py, state, &message);
        to_python(py, &message).map(Some)
    }

    /// The same for who awaits it: the waiter is woken when there may be one.
    pub fn receive<'py>(
        &self,
        py: Python<'py>,
        waiter: &Bound<'py, Waiter>,
    ) -> PyResult<Received<'py>> {
        let mut state = self.lock();
        if let Some(message) = state.inbound.pop_front() {
            self.taken(py, state, &message);
            return to_python(py, &message).map(Received::Message);
        }
        if matches!(state.stage, Stage::Closed(_)) {
            return Ok(Received::End);
        }
        if !state.readers.iter().any(|other| other.is(waiter)) {
            state.readers.push(waiter.clone().unbind());
        }
        Ok(Received::Nothing)
    }

    /// There is room for another message.
    fn taken(&self, py: Python<'_>, mut state: MutexGuard<'_, State>, message: &ws::Message) {
        state.inbound_bytes -= message.data.len();
        if state.starved && state.inbound.len() <= self.max_queue / 2 {
            state.starved = false;
            self.notify(py, state);
        }
    }

    pub fn send(&self, py: Python<'_>, kind: Kind, data: &[u8]) -> Sent {
        let mut state = self.lock();
        if state.stage != Stage::Open {
            return Sent::Closed;
        }
        let this = &mut *state;
        let before = this.frames.len();
        this.encoder.encode(&mut this.frames, kind, data);
        this.unsent += this.frames.len() - before;
        self.sent(py, state)
    }

    /// A message that may be large: not copied, unless it is to be compressed.
    pub fn send_bytes(&self, data: &Bound<'_, PyBytes>) -> Sent {
        let (py, bytes) = (data.py(), data.as_bytes());
        if bytes.len() < BY_REFERENCE {
            return self.send(py, Kind::Binary, bytes);
        }
        let mut state = self.lock();
        if state.stage != Stage::Open {
            return Sent::Closed;
        }
        if state.encoder.compresses(bytes.len()) {
            drop(state);
            return self.send(py, Kind::Binary, bytes);
        }
        let this = &mut *state;
        this.encoder
            .encode_header(&mut this.frames, Kind::Binary, bytes.len());
        let frames = std::mem::take(&mut this.frames);
        this.parts.push(Segment::Bytes(frames));
        let payload = BytesPayload::new(data.clone().unbind());
        this.parts.push(Segment::Payload(Box::new(payload)));
        this.unsent += bytes.len();
        self.sent(py, state)
    }

    fn sent(&self, py: Python<'_>, state: MutexGuard<'_, State>) -> Sent {
        let ready = !state.blocked && state.unsent < self.max_outbox;
        self.notify(py, state);
        if ready { Sent::Ready } else { Sent::Full }
    }

    pub fn ping(&self, py: Python<'_>, payload: &[u8]) -> Sent {
        let mut state = self.lock();
        if state.stage != Stage::Open {
            return Sent::Closed;
        }
        ws::encode_control(&mut state.frames, Opcode::Ping, payload);
        self.sent(py, state)
    }

    /// Begins the closing handshake; a connection that was not accepted is left to its answer.
    pub fn close(&self, py: Python<'_>, code: u16, reason: &str) {
        let mut state = self.lock();
        if state.stage != Stage::Open {
            return;
        }
        state.stage = Stage::Closed(CloseReason::new(code, reason));
        state.close = Some((code, reason.to_owned()));
        state.inbound.clear();
        state.inbound_bytes = 0;
        let waiting = self.everybody(&mut state);
        self.notify(py, state);
        self.wake(py, waiting, false);
    }

    /// Has a waiter woken when there is room to send more; `true`: there is.
    pub fn wait_for_room(&self, waiter: Py<Waiter>) -> bool {
        let mut state = self.lock();
        let is_ready = self.is_ready(&state, Side::Room);
        if !is_ready {
            state.writers.push(waiter);
        }
        is_ready
    }

    /// Waits on the calling thread; `false`: the time is up.
    pub fn wait_blocking(&self, py: Python<'_>, side: Side, timeout: Option<Duration>) -> bool {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        py.detach(|| {
            let _apart = Apart::begin();
            let mut state = self.lock();
            state.sleepers += 1;
            let mut is_ready = self.is_ready(&state, side);
            while !is_ready {
                state = match until {
                    None => self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner),
                    Some(until) => {
                        let left = until.saturating_duration_since(Instant::now());
                        if left.is_zero() {
                            break;
                        }
                        self.changed
                            .wait_timeout(state, left)
                            .unwrap_or_else(PoisonError::into_inner)
                            .0
                    }
                };
                is_ready = self.is_ready(&state, side);
            }
            state.sleepers -= 1;
            is_ready
        })
    }

    fn tell_threads(&self, state: &State) {
        if state.sleepers > 0 {
            self.changed.notify_all();
        }
    }

    fn is_ready(&self, state: &State, side: Side) -> bool {
        matches!(state.stage, Stage::Closed(_))
            || match side {
                Side::Messages => !state.inbound.is_empty(),
                Side::Room => !state.blocked && state.unsent < self.max_outbox,
            }
    }

    /// Tells the reactor that there is something to do, once until it has looked.
    fn notify(&self, py: Python<'_>, mut state: MutexGuard<'_, State>) {
        if std::mem::replace(&mut state.notified, true) {
            return;
        }
        drop(state);
        let message = Message::Socket { key: self.key };
        match (&self.host, self.home) {
            (Some(host), Some(home)) if home == std::thread::current().id() => {
                if self.mailbox.leave_quietly(message)
                    && let Err(error) = host.schedule(py).call0(py)
                {
                    error.write_unraisable(py, None);
                }
            }
            _ => self.mailbox.send(message),
        }
    }

    // -- the reactor's side ----------------------------------------------------------------------------------------

    /// Something waits at the connection until the view has taken more.
    pub fn is_starved(&self) -> bool {
        self.lock().starved
    }

    /// Takes from the connection what there is room for. Until [`Link::flush`] nobody needs to notify the reactor.
    pub fn fill(&self, conn: &mut Conn) -> Waiters {
        let mut state = self.lock();
        state.notified = true;
        state.starved = false;
        let mut woken = Waiters::new();
        while let Some(event) = conn.take_event() {
            let is_full =
                state.inbound.len() >= self.max_queue || state.inbound_bytes >= self.max_bytes;
            match event {
                SocketEvent::Message(message) if is_full => {
                    state.starved = true;
                    conn.return_event(SocketEvent::Message(message));
                    break;
                }
                event => woken.append(&mut self.take_in(&mut state, event)),
            }
        }
        woken
    }

    /// The connection is gone, and this was left of it.
    pub fn end(&self, py: Python<'_>, rest: VecDeque<SocketEvent>) {
        let mut state = self.lock();
        // Nobody is there to be notified.
        state.notified = true;
        let mut woken = Waiters::new();
        let lost = SocketEvent::Closed(CloseReason::new(ABNORMAL, ""));
        for event in rest.into_iter().chain([lost]) {
            woken.append(&mut self.take_in(&mut state, event));
        }
        let (parts, frames) = (
            std::mem::take(&mut state.parts),
            std::mem::take(&mut state.frames),
        );
        drop(state);
        drop((parts, frames));
        self.wake(py, woken, true);
    }

    fn take_in(&self, state: &mut State, event: SocketEvent) -> Waiters {
        if matches!(state.stage, Stage::Closed(_)) {
            return Waiters::new();
        }
        match event {
            SocketEvent::Message(message) => {
                state.inbound_bytes += message.data.len();
                state.inbound.push_back(message);
                self.tell_threads(state);
                std::mem::take(&mut state.readers)
            }
            SocketEvent::Closed(reason) => {
                state.stage = Stage::Closed(reason);
                self.everybody(state)
            }
        }
    }

    fn everybody(&self, state: &mut State) -> Waiters {
        self.tell_threads(state);
        let mut all = std::mem::take(&mut state.readers);
        all.append(&mut state.writers);
        all
    }

    /// Gives the connection what was sent, and says who may send more.
    pub fn flush(&self, conn: &mut Conn, shared: &mut Shared) -> Waiters {
        let mut state = self.lock();
        let state = &mut *state;
        state.notified = false;
        if let Some(Accept { protocol, fields }) = state.accept.take() {
            let fields = fields.iter().map(|(name, value)| (&name[..], &value[..]));
            conn.upgrade(shared, &self.handshake, protocol.as_deref(), fields);
            conn.advance(shared);
        }
        if state.unsent > 0 || !state.frames.is_empty() {
            conn.send_frames(&mut state.parts, &mut state.frames, shared.now);
            // A connection that takes no more leaves them.
            shared
                .graveyard
                .extend(state.parts.drain(..).filter_map(payload));
            state.unsent = 0;
            if state.frames.capacity() > KEEP {
                state.frames = Vec::new();
            }
        }
        if let Some((code, reason)) = state.close.take() {
            conn.close_socket(code, &reason);
        }
        state.blocked = !conn.has_room(shared);
        if state.blocked {
            conn.want_room();
            return Waiters::new();
        }
        self.tell_threads(state);
        std::mem::take(&mut state.writers)
    }

    /// Lets tasks go on: with the loop's next round, or in a `turn` of the loop's own reactor here and now.
    pub fn wake(&self, py: Python<'_>, waiters: Waiters, turn: bool) {
        if waiters.is_empty() {
            return;
        }
        let Some(host) = &self.host else {
            return;
        };
        super::waiter::wake(py, host, waiters, turn && self.home.is_some());
    }
}

impl Source for Link {
    fn host(&self) -> Option<&LoopHost> {
        self.host.as_deref()
    }

    fn forget(&self, waiter: &Bound<'_, Waiter>) {
        let mut state = self.lock();
        let mut gone = Vec::new();
        let this = &mut *state;
        for waiters in [&mut this.readers, &mut this.writers] {
            while let Some(at) = waiters.iter().position(|other| other.is(waiter)) {
                gone.push(waiters.swap_remove(at));
            }
        }
        // What is dropped may run Python's code.
        drop(state);
        drop(gone);
    }
}

fn to_python<'py>(py: Python<'py>, message: &ws::Message) -> PyResult<Bound<'py, PyAny>> {
    Ok(match message.kind {
        Kind::Binary => PyBytes::new(py, &message.data).into_any(),
        Kind::Text if message.data.is_ascii() => json::ascii_str(py, &message.data)?.into_any(),
        // The connection has checked it.
        Kind::Text => json::utf8_str(py, &message.data)
            .ok_or_else(|| PyValueError::new_err("a text is not UTF-8"))?
            .into_any(),
    })
}

fn payload(segment: Segment) -> Option<Box<dyn crate::buf::Payload>> {
    match segment {
        Segment::Payload(payload) => Some(payload),
        Segment::Bytes(_) | Segment::File(_) => None,
    }
}
