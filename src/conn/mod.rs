//! One connection: a protocol engine between an inbox and an outbox. No sockets, no Python.
//!
//! `net` feeds it bytes and flushes what it has to say; a [`Service`] takes its requests and answers them.
//! A connection has one request with the service at a time; what a client pipelines behind it waits.

mod body;
mod events;
mod feed;
mod identity;
mod preamble;
mod reply;
mod request;
mod service;
#[cfg(test)]
mod tests;
mod upload;
mod websocket;

pub use body::Body;
pub use feed::{End, Fault, Feed, Piece, Taken};
pub use preamble::{Preamble, Said};
pub use reply::Parts;
pub use request::{PeerAddr, Request};
pub use service::{Batch, Key, KeyMap, Service, Shared};
pub use websocket::SocketEvent;

use crate::buf::{Flushed, Inbox, Outbox, Sink};
use crate::h1::{self, Engine, Eof, Event};
use crate::http::Head;
use body::Incoming;
use events::Beat;
use identity::Identity;
use request::Arriving;
use std::sync::Arc;
use upload::{Feeding, offered_at};
use websocket::Upgraded;

/// A body at least this long is sent by reference instead of being copied behind its head.
pub const BY_REFERENCE: usize = 16 * 1024;

/// What one view of received bytes keeps alive: its block.
pub const PINNED_BY_VIEW: usize = crate::buf::BLOCK;

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Between two requests, or inside one that is still arriving.
    Reading,
    /// A complete request waits for the service.
    Ready,
    /// A request waits for the service whose body is not complete.
    Offered,
    /// The service has the request.
    Serving,
    /// The service sends a body of unknown length.
    Streaming,
    /// Upgraded: what is received are frames.
    WebSocket,
    /// The last answer is in the outbox: flush it, then close.
    Closing,
}

/// What new bytes led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// No complete request; more bytes are needed (or were refused, see [`Conn::phase`]).
    Waiting,
    /// A request is complete: it can be taken.
    Ready,
}

pub struct Conn {
    pub(crate) generation: u32,
    peer: Arc<PeerAddr>,
    identity: Identity,
    engine: Engine,
    inbox: Inbox,
    pub(crate) outbox: Outbox,
    phase: Phase,
    arriving: Option<Box<Arriving>>,
    ready: Option<Request>,
    /// The peer sent its FIN: what was received is answered, then the connection closes.
    read_closed: bool,
    /// Requests received in full.
    requests: u32,
    /// A streamed answer was begun and not completed: its source has to hear of the connection's end.
    streaming: bool,
    /// Whoever makes the streamed answer waits until the connection has room.
    stalled: bool,
    /// The last answer ends with the connection and is cut short: only a reset tells the client.
    reset: bool,
    /// The service is told when the connection goes.
    followed: bool,
    upgraded: Option<Box<Upgraded>>,
    /// The body of the request that the service has, until its end.
    feeding: Option<Feeding>,
    /// Of a stream of events.
    beat: Option<Box<Beat>>,
    /// The service is to be told of what has come of a body.
    news: bool,
    /// Set while the connection is on the reactor's list of connections to flush.
    pub(crate) touched: bool,
    /// Set while the connection is on the reactor's list of connections with requests.
    pub(crate) queued: bool,
}

impl Conn {
    #[must_use]
    pub fn new(limits: h1::Limits, peer: Arc<PeerAddr>, generation: u32) -> Self {
        Self {
            generation,
            peer,
            identity: Identity::default(),
            engine: Engine::new(limits),
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            phase: Phase::Reading,
            arriving: None,
            ready: None,
            read_closed: false,
            requests: 0,
            streaming: false,
            stalled: false,
            reset: false,
            followed: false,
            upgraded: None,
            feeding: None,
            beat: None,
            news: false,
            touched: false,
            queued: false,
        }
    }

    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    #[must_use]
    pub fn peer(&self) -> &Arc<PeerAddr> {
        &self.peer
    }

    /// Requests received in full so far.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// Bytes of the incomplete request's body so far.
    #[must_use]
    pub fn body_received(&self) -> u64 {
        match &self.arriving {
            Some(arriving) => arriving.body.len() as u64,
            None => self.bytes_fed(),
        }
    }

    /// A streamed answer is not complete.
    #[must_use]
    pub fn has_open_stream(&self) -> bool {
        self.streaming
    }

    /// The connection is to be reset, because a plain close would pass for the end of the answer.
    #[must_use]
    pub fn must_reset(&self) -> bool {
        self.reset
    }

    /// A request is on its way in: at least one byte of it is here, not all of them.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.phase == Phase::Reading && (self.arriving.is_some() || !self.inbox.is_empty())
    }

    /// The head is complete and its body is not.
    #[must_use]
    pub fn is_receiving_body(&self) -> bool {
        self.phase == Phase::Reading && self.arriving.is_some()
    }

    /// Neither a request nor an answer is on its way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Reading
            && self.arriving.is_none()
            && self.inbox.is_empty()
            && self.outbox.is_empty()
    }

    #[must_use]
    pub fn is_read_closed(&self) -> bool {
        self.read_closed
    }

    /// Whether the socket should be read from now.
    #[must_use]
    pub fn wants_bytes(&self, shared: &Shared) -> bool {
        if self.read_closed || self.outbox.len() > shared.config.max_outbox {
            return false;
        }
        match self.phase {
            Phase::Reading => true,
            Phase::Serving | Phase::Streaming if self.feeding.is_some() => self.feeds_more(),
            Phase::Ready | Phase::Offered | Phase::Serving | Phase::Streaming => {
                self.inbox.len() < shared.config.max_pipeline
            }
            Phase::WebSocket => self.socket_wants_bytes(),
            Phase::Closing => false,
        }
    }

    /// Takes what a read brought, and parses as far as one request.
    pub fn handle_bytes(&mut self, read: crate::buf::View, shared: &mut Shared) -> Progress {
        self.inbox.push(read);
        self.advance(shared)
    }

    /// Takes the peer's FIN.
    pub fn handle_eof(&mut self, shared: &mut Shared) {
        self.read_closed = true;
        if self.phase == Phase::Reading {
            // A request that stopped half-way is dropped: RFC 9112 8, and no view is called for it.
            match self.engine.handle_eof(self.inbox.len()) {
                Eof::Clean | Eof::Truncated => self.close(shared),
            }
        } else if self.phase == Phase::WebSocket {
            self.close(shared);
        } else if self.phase == Phase::Offered {
            // The body will never be whole: RFC 9112 8, as above.
            self.close(shared);
        } else {
            self.end_body(Err(Fault::Disconnected));
        }
    }

    /// Parses unread bytes until a request is complete or more are needed.
    pub fn advance(&mut self, shared: &mut Shared) -> Progress {
        if self.phase != Phase::Reading || self.outbox.len() > shared.config.max_outbox {
            if self.phase == Phase::WebSocket {
                return self.advance_socket(shared);
            }
            return self.progress_of_body(shared);
        }
        if self.identity.awaits_preamble() && !self.take_preamble(shared) {
            return Progress::Waiting;
        }
        while !self.inbox.is_empty() || self.engine.has_event() {
            let step = self.engine.handle(self.inbox.bytes(), &mut shared.head);
            match step.event {
                Event::Head { complete, body } => {
                    let start = step.consumed - shared.head.len as usize;
                    let bytes = self.inbox.share(start, step.consumed);
                    self.inbox.consume(step.consumed);
                    let head = std::mem::take(&mut shared.head);
                    let origin = if self.identity.is_plain() {
                        None
                    } else {
                        match self.identity.of(&bytes, &head, shared) {
                            Ok(origin) => origin,
                            Err(identity::Refused) => return self.fail(400, shared),
                        }
                    };
                    if complete {
                        return self.complete(Request {
                            bytes,
                            head,
                            body: Body::Empty,
                            origin,
                        });
                    }
                    let incoming = Incoming::new(body);
                    self.arriving = Some(Box::new(Arriving {
                        bytes,
                        head,
                        body: incoming,
                        origin,
                        offered_at: offered_at(body, shared),
                    }));
                    if self.offer() {
                        return Progress::Ready;
                    }
                    self.ask_for_body();
                }
                Event::Data { start, end } => {
                    let Some(arriving) = self.arriving.as_mut() else {
                        return self.fail(500, shared);
                    };
                    if !arriving
                        .body
                        .push(&self.inbox, start, end, &shared.body_memory)
                    {
                        return self.fail(503, shared);
                    }
                    self.inbox.consume(step.consumed);
                    if self.offer() {
                        return Progress::Ready;
                    }
                }
                Event::End => {
                    self.inbox.consume(step.consumed);
                    let Some(arriving) = self.arriving.take() else {
                        return self.fail(500, shared);
                    };
                    let Arriving {
                        bytes,
                        head,
                        body,
                        origin,
                        ..
                    } = *arriving;
                    return self.complete(Request {
                        bytes,
                        head,
                        body: body.finish(),
                        origin,
                    });
                }
                Event::Reject(error) => return self.fail(error.status_hint(), shared),
                Event::Incomplete => {
                    self.inbox.consume(step.consumed);
                    if self.offer() {
                        return Progress::Ready;
                    }
                    if step.consumed == 0 {
                        break;
                    }
                }
            }
        }
        if self.read_closed {
            self.close(shared);
        }
        Progress::Waiting
    }

    /// Hands the complete request over; the connection is then `Serving` until it was answered.
    pub fn take_request(&mut self) -> Option<Request> {
        let request = self.ready.take()?;
        self.phase = Phase::Serving;
        Some(request)
    }

    /// Refuses the complete request, and those behind it that are complete too: there are too many to be served.
    pub fn shed(&mut self, shared: &mut Shared) {
        while self.take_request().is_some() {
            let lines = b"Retry-After: 1\r\nContent-Type: text/plain; charset=utf-8\r\n";
            let body = b"The server is busy.\n";
            self.reply(shared, 503, None, lines, std::iter::empty(), body);
            self.advance(shared);
        }
    }

    /// The peer was too slow with its request: 408 where a request was begun (RFC 9110 15.5.9), else a close.
    pub fn time_out(&mut self, shared: &mut Shared) {
        if self.feeding.is_some() {
            // Whoever reads the body has the answer to it.
            self.end_body(Err(Fault::TimedOut));
        } else if self.is_receiving() && !self.identity.awaits_preamble() {
            self.fail(408, shared);
        } else {
            self.abort(shared);
        }
    }

    /// Nothing more is read, and nothing is sent after what is in the outbox.
    pub fn close(&mut self, _shared: &mut Shared) {
        self.phase = Phase::Closing;
        self.inbox = Inbox::Empty;
        self.end_body(Err(Fault::Disconnected));
        self.arriving = None;
        self.ready = None;
    }

    /// Writes what is to be sent, at most `bound` bytes of it.
    ///
    /// # Errors
    /// The sink's.
    pub fn flush(
        &mut self,
        sink: &mut impl Sink,
        shared: &mut Shared,
        bound: usize,
    ) -> std::io::Result<Flushed> {
        self.outbox.flush(sink, &mut shared.graveyard, bound)
    }

    /// Ends a turn: an unparsed rest leaves the arena.
    pub fn settle(&mut self) {
        self.inbox.settle();
        self.announce_body();
    }

    /// The service failed on this connection's request.
    pub(crate) fn fail_serving(&mut self, shared: &mut Shared) {
        match self.phase {
            Phase::Serving => {
                self.fail(500, shared);
            }
            Phase::Streaming => self.abort(shared),
            Phase::Reading | Phase::Ready | Phase::Offered | Phase::WebSocket | Phase::Closing => {}
        }
    }

    fn complete(&mut self, request: Request) -> Progress {
        self.ready = Some(request);
        self.phase = Phase::Ready;
        self.requests = self.requests.saturating_add(1);
        Progress::Ready
    }

    #[cold]
    #[inline(never)]
    fn fail(&mut self, status: u16, shared: &mut Shared) -> Progress {
        let is_head = self.is_about_head();
        self.outbox
            .append(|out| h1::encode_error(out, status, is_head, &shared.date));
        self.close(shared);
        Progress::Waiting
    }

    /// What is refused is a HEAD, as far as can be told: its head may be what is wrong.
    fn is_about_head(&self) -> bool {
        let engine = &self.engine;
        if self.arriving.is_some() || engine.is_reading_body() || engine.is_waiting_for_reply() {
            return engine.is_head();
        }
        let line = self.inbox.bytes();
        let empty = line.iter().take_while(|b| matches!(b, b'\r' | b'\n'));
        line[empty.count()..].starts_with(b"HEAD ")
    }
}

/// A head that can be filled by the engine again.
pub(crate) type ScratchHead = Head;
