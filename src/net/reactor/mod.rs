//! The poll loop: one thread's sockets, timers and connections.
//!
//! A turn: wait for events, read and parse, let the service answer what is complete (once, for all
//! connections), write. Rules: one `recv` and one `send` a connection and turn where the peer allows it; a
//! turn is bounded (accepts, reads, service calls), and what is left over makes the next turn start at once.

mod accept;
mod ending;
mod timing;

use super::control::{Control, Mailbox};
use super::listener::Listener;
use super::socket::Stream;
use super::waiting::Waiting;
use super::wheel::{Tick, Wheel};
use crate::buf::{Arena, Budget, Flushed};
use crate::config::Config;
use crate::conn::{Batch, Conn, Key, Phase, Progress, Service, Shared};
use crate::http::imf_fixdate;
use accept::REST;
use mio::{Events, Poll, Token, Waker};
use slab::Slab;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use timing::Timing;

const WAKER: Token = Token(usize::MAX);
/// Listener `i` has the token `WAKER - 1 - i`.
const LISTENERS: usize = 1024;

/// Reads from one connection in one turn: up to 1 MiB of a large body.
const READS: usize = 16;

/// Bytes written to one connection in one turn, and to all those together that have more than `SMALL` to be sent. What
/// is left of a large answer goes out in the next turns, so that a small one waits for milliseconds at most.
const WRITES: usize = 512 * 1024;
const WRITES_IN_TURN: usize = 8 * 1024 * 1024;
const SMALL: usize = 64 * 1024;

/// How long payloads that were sent may wait for a turn that drops them, when nothing else makes one.
const BURIAL: Duration = Duration::from_millis(100);

/// What a turn ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing to do until an event or `Reactor::wait`.
    Idle,
    /// Work was left over: turn again without waiting.
    Busy,
    /// The wait was cut short by a signal.
    Interrupted,
    /// Drained or aborted: every connection and listener is closed.
    Finished,
}

struct Socket {
    stream: Stream,
    /// The kernel may hold more bytes: no event will tell of them.
    readable: bool,
    /// The outbox is waiting for room in the socket buffer.
    blocked: bool,
    deadline: Option<Instant>,
    /// The connection's count of requests when its deadline was set: more of the same request buys no time.
    request: u32,
    /// What the peer had sent of a body, or taken of an answer, when it was last given time for it.
    mark: u64,
    /// Bytes of answers that the kernel took.
    written: u64,
    /// Where the wheel will look at this connection next.
    wheel_tick: Option<Tick>,
    timing: Timing,
    write_shut: bool,
}

pub struct Reactor<S: Service> {
    poll: Poll,
    events: Events,
    waiting: Waiting,
    control: Arc<Control>,
    mailbox: Arc<Mailbox<S::Message>>,
    listeners: Vec<Listener>,
    accepting: bool,
    accept_again: Option<Instant>,
    /// Given up for a moment to take a connection out of the queue when there is no other descriptor.
    reserve: Option<File>,
    sockets: Slab<Socket>,
    conns: Slab<Conn>,
    generation: u32,
    arena: Arena,
    wheel: Wheel<Key>,
    /// Where the wheel looks at a connection that has become idle; no later than that of one that becomes so now.
    idle_tick: Tick,
    shared: Shared,
    messages: Vec<S::Message>,
    ready: VecDeque<Key>,
    touched: Vec<Key>,
    /// Connections whose streamed answer has room again.
    resumable: Vec<Key>,
    /// Connections whose socket may hold more bytes than this turn read.
    unread: Vec<Key>,
    /// Connections whose answer was not written as far as their socket would have taken it.
    unflushed: Vec<Key>,
    /// What is left of `WRITES_IN_TURN`.
    writes: usize,
    due: Vec<(Tick, Key)>,
    /// Accepting was cut short by the bound.
    more_accepts: bool,
    /// Requests that the service was given.
    requests: u64,
    second: u64,
    now: Instant,
    drain_until: Option<Instant>,
    finished: bool,
    active: bool,
}

impl<S: Service> Reactor<S> {
    /// # Errors
    /// If the poll or its waker cannot be made, or a listener cannot be registered.
    pub fn new(
        config: Arc<Config>,
        body_memory: Arc<Budget>,
        listeners: Vec<Listener>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let control = Arc::new(Control::new(Waker::new(poll.registry(), WAKER)?));
        let now = Instant::now();
        let mut reactor = Self {
            poll,
            events: Events::with_capacity(1024),
            waiting: Waiting::new(config.busy_poll),
            mailbox: Arc::new(Mailbox::new(Arc::clone(&control))),
            control,
            listeners,
            accepting: false,
            accept_again: None,
            reserve: File::open("/dev/null").ok(),
            sockets: Slab::new(),
            conns: Slab::new(),
            generation: 0,
            arena: Arena::new(),
            wheel: Wheel::new(now),
            idle_tick: 0,
            shared: Shared {
                offers_bodies: S::READS_BODIES,
                ..Shared::new(config, body_memory)
            },
            messages: Vec::new(),
            ready: VecDeque::new(),
            touched: Vec::new(),
            resumable: Vec::new(),
            unread: Vec::new(),
            unflushed: Vec::new(),
            writes: 0,
            due: Vec::new(),
            more_accepts: false,
            requests: 0,
            second: 0,
            now,
            drain_until: None,
            finished: false,
            active: false,
        };
        reactor.tell_time();
        reactor.start_accepting()?;
        Ok(reactor)
    }

    #[must_use]
    pub fn control(&self) -> Arc<Control> {
        Arc::clone(&self.control)
    }

    #[must_use]
    pub fn mailbox(&self) -> Arc<Mailbox<S::Message>> {
        Arc::clone(&self.mailbox)
    }

    #[must_use]
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// How many requests the service was given so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// How long a turn may wait for events; `None`: for ever.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let timer = self.wheel.until_next(now);
        let rest = self
            .accept_again
            .map(|at| at.saturating_duration_since(now));
        let drain = self.drain_until.map(|at| at.saturating_duration_since(now));
        let burial = (!self.shared.graveyard.is_empty()).then_some(BURIAL);
        [timer, rest, drain, burial].into_iter().flatten().min()
    }

    /// Whether the last turn had an event or a message.
    #[must_use]
    pub fn was_active(&self) -> bool {
        self.active
    }

    /// Work that no event will tell of.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || !self.resumable.is_empty()
            || !self.unread.is_empty()
            || !self.unflushed.is_empty()
            || self.more_accepts
            || self.shared.orphans
            || !self.shared.gone.is_empty()
            || self.mailbox.is_full()
            || self.mailbox.is_nudged()
    }

    /// One turn; waits for events at most `timeout` (and no longer than [`Reactor::wait`] says).
    ///
    /// # Errors
    /// If the poll itself fails, after which the reactor is of no use.
    pub fn turn(&mut self, service: &mut S, timeout: Option<Duration>) -> io::Result<Turn> {
        if self.finished {
            return Ok(Turn::Finished);
        }
        let wait = match (timeout, self.wait()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if let Err(e) = self.waiting.wait(&mut self.poll, &mut self.events, wait) {
            if e.kind() == io::ErrorKind::Interrupted {
                return Ok(Turn::Interrupted);
            }
            return Err(e);
        }
        self.active = !self.events.is_empty();
        self.now = Instant::now();
        self.shared.now = self.now;
        self.tell_time();
        self.obey();
        if !self.finished {
            self.writes = WRITES_IN_TURN;
            if !self.unflushed.is_empty() {
                self.take_unflushed();
            }
            self.take_events();
            self.take_leftovers();
            self.fire_timers();
            self.serve(service);
            self.flush_touched();
            self.arena.rewind();
            self.end_drain();
        }
        if self.finished {
            self.close_all(service);
            return Ok(Turn::Finished);
        }
        Ok(if self.has_work() {
            Turn::Busy
        } else {
            Turn::Idle
        })
    }

    fn take_events(&mut self) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let token = event.token();
            if token == WAKER {
                continue;
            }
            if let Some(listener) = listener_of(token) {
                self.accept(listener);
                continue;
            }
            let index = token.0;
            let Some(conn) = self.conns.get(index) else {
                continue;
            };
            let key = Key {
                index: index as u32,
                generation: conn.generation,
            };
            if event.is_error() {
                // Reset: nobody will take an answer.
                self.remove(key);
                continue;
            }
            if event.is_writable() && self.sockets[index].blocked {
                self.sockets[index].blocked = false;
                self.touch(key);
            }
            if event.is_readable() || event.is_read_closed() {
                self.sockets[index].readable = true;
                self.read(key, event.is_read_closed());
            }
        }
        self.events = events;
    }

    /// Those that were cut short come before the ones that events tell of: each has its turn.
    fn take_unflushed(&mut self) {
        for key in std::mem::take(&mut self.unflushed) {
            if self.alive(key) {
                self.touch(key);
            }
        }
    }

    fn take_leftovers(&mut self) {
        if self.accept_again.is_some_and(|at| at <= self.now) {
            self.accept_again = None;
            if self.start_accepting().is_err() {
                self.accept_again = Some(self.now + REST);
            }
        }
        if self.drain_until.is_some() {
            self.empty_queues();
        } else if self.more_accepts {
            self.more_accepts = false;
            for listener in 0..self.listeners.len() {
                self.accept(listener);
            }
        }
        for key in std::mem::take(&mut self.unread) {
            if self.alive(key) {
                self.read(key, true);
            }
        }
        if self.mailbox.is_nudged() {
            self.read_on();
        }
    }

    /// Goes on with the bodies whose readers take more.
    fn read_on(&mut self) {
        for key in self.mailbox.take_nudged() {
            if self.alive(key) {
                self.conns[key.index as usize].resume_body();
                self.touch(key);
                self.read(key, true);
            }
        }
    }

    /// Reads until the socket is drained, a request is complete, or this turn's share is used.
    fn read(&mut self, key: Key, until_empty: bool) {
        let index = key.index as usize;
        for _ in 0..READS {
            let (socket, conn) = (&mut self.sockets[index], &mut self.conns[index]);
            if !socket.readable {
                return;
            }
            if socket.write_shut {
                return self.discard(key);
            }
            if !conn.wants_bytes(&self.shared) {
                return;
            }
            let spare = self.arena.spare();
            let room = spare.len();
            match socket.stream.read(spare) {
                Ok(0) => {
                    socket.readable = false;
                    conn.handle_eof(&mut self.shared);
                    if conn.has_events() {
                        self.queue(key);
                    }
                    return self.touch(key);
                }
                Ok(n) => {
                    // Edge-triggered: a read that left room has emptied the socket, unless a FIN is behind it.
                    socket.readable = n == room || until_empty;
                    let view = self.arena.commit(n);
                    if conn.handle_bytes(view, &mut self.shared) == Progress::Ready {
                        self.queue(key);
                    }
                    self.touch(key);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    socket.readable = false;
                    return;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.remove(key),
            }
        }
        self.unread.push(key);
    }

    /// Puts a connection with a complete request in line for the service, or refuses the request.
    fn queue(&mut self, key: Key) {
        let conn = &mut self.conns[key.index as usize];
        if conn.queued {
            return;
        }
        if self.ready.len() < self.shared.config.max_waiting || conn.phase() != Phase::Ready {
            conn.queued = true;
            self.ready.push_back(key);
        } else {
            conn.shed(&mut self.shared);
        }
    }

    /// Reads and drops what a peer still sends after its last answer.
    fn discard(&mut self, key: Key) {
        let socket = &mut self.sockets[key.index as usize];
        for _ in 0..READS {
            match socket.stream.read(self.arena.spare()) {
                Ok(0) => return self.remove(key),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    socket.readable = false;
                    return;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.remove(key),
            }
        }
        self.unread.push(key);
    }

    fn serve(&mut self, service: &mut S) {
        self.mailbox.collect(&mut self.messages);
        let work =
            !(self.ready.is_empty() && self.resumable.is_empty() && self.messages.is_empty());
        let told = self.shared.orphans || !self.shared.gone.is_empty();
        if !work && self.shared.graveyard.is_empty() && !told {
            return;
        }
        let budget = self.shared.config.turn_budget;
        let mut batch = Batch {
            budget,
            sockets: 0,
            shared: &mut self.shared,
            messages: &mut self.messages,
            conns: &mut self.conns,
            ready: &mut self.ready,
            touched: &mut self.touched,
            resumable: &mut self.resumable,
            streak: (None, 0),
        };
        service.serve(&mut batch);
        self.requests += (budget - batch.budget - batch.sockets) as u64;
    }

    /// Writes what the turn produced and decides what each connection waits for.
    fn flush_touched(&mut self) {
        let mut i = 0;
        while i < self.touched.len() {
            let key = self.touched[i];
            i += 1;
            if self.alive(key) {
                self.conns[key.index as usize].touched = false;
                self.flush(key);
            }
        }
        self.touched.clear();
    }

    fn flush(&mut self, key: Key) {
        let index = key.index as usize;
        let (socket, conn) = (&mut self.sockets[index], &mut self.conns[index]);
        let was_full = conn.outbox.len() > self.shared.config.max_outbox;
        if !conn.outbox.is_empty() && !socket.blocked {
            let before = conn.outbox.len();
            let is_large = before > SMALL;
            if is_large && self.writes == 0 {
                self.unflushed.push(key);
            } else {
                match conn.flush(&mut socket.stream, &mut self.shared, WRITES) {
                    Ok(Flushed::All) => {}
                    Ok(Flushed::Blocked) => socket.blocked = true,
                    Ok(Flushed::Bounded) => self.unflushed.push(key),
                    Err(_) => {
                        // A file may have ended before its part did: the client must not take what came for all.
                        socket.stream.reset_on_close();
                        return self.remove(key);
                    }
                }
                let written = before - conn.outbox.len();
                socket.written += written as u64;
                if is_large {
                    self.writes = self.writes.saturating_sub(written);
                }
            }
        }
        conn.outbox.release(&mut self.shared.buffers);
        conn.settle();
        if matches!(conn.phase(), Phase::Streaming | Phase::WebSocket)
            && conn.take_room(&self.shared)
        {
            self.resumable.push(key);
        }
        if conn.phase() == Phase::Closing && conn.outbox.is_empty() {
            if conn.must_reset() {
                socket.stream.reset_on_close();
                return self.remove(key);
            }
            return self.linger(key);
        }
        if was_full
            && conn.outbox.len() <= self.shared.config.max_outbox
            && conn.advance(&mut self.shared) == Progress::Ready
        {
            self.queue(key);
        }
        let (socket, conn) = (&mut self.sockets[index], &mut self.conns[index]);
        if socket.readable && conn.wants_bytes(&self.shared) {
            self.unread.push(key);
        }
        self.time(key);
    }

    fn remove(&mut self, key: Key) {
        let index = key.index as usize;
        // Dropping the stream closes it, which also ends its registration.
        drop(self.sockets.try_remove(index));
        if let Some(mut conn) = self.conns.try_remove(index) {
            // A request that is being served and a stream are told of by their keys; a WebSocket, from its handshake on,
            // with what of it was not taken.
            self.shared.orphans |=
                conn.has_open_stream() || conn.phase() == Phase::Serving || conn.take_news();
            if let Some(events) = conn.take_followed() {
                self.shared.gone.push((key, events));
            }
            conn.outbox.clear(&mut self.shared.graveyard);
            conn.outbox.release(&mut self.shared.buffers);
        }
    }

    fn alive(&self, key: Key) -> bool {
        self.conns
            .get(key.index as usize)
            .is_some_and(|conn| conn.generation == key.generation)
    }

    fn touch(&mut self, key: Key) {
        let conn = &mut self.conns[key.index as usize];
        if !conn.touched {
            conn.touched = true;
            self.touched.push(key);
        }
    }

    fn tell_time(&mut self) {
        let second = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        if second != self.second {
            self.second = second;
            imf_fixdate(second, &mut self.shared.date);
        }
    }
}

impl<S: Service> AsRawFd for Reactor<S> {
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

fn listener_of(token: Token) -> Option<usize> {
    let behind = WAKER.0 - 1 - token.0;
    (behind < LISTENERS).then_some(behind)
}
