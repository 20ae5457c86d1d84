//! Bodies that the service reads while they arrive.
//!
//! ```text
//!  Reading ──large, or in chunks, and not whole──▶ Offered ──decline()──▶ Reading
//!                                                     │ begin_body()
//!                                                     ▼
//!                                    Serving | Streaming, with a feed until the body ends
//! ```
//!
//! The connection is read while the feed has room. An answer that is complete before its request ends the connection
//! (RFC 9112 9.3): what follows on it is the rest of a body.

use super::body::Incoming;
use super::request::Arriving;
use super::{Body, Conn, Fault, Feed, Phase, Progress, Request, Shared};
use crate::buf::{Charge, Held};
use crate::h1::{BodyLength, Event};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// A body on its way to its reader.
#[derive(Debug)]
pub(super) struct Feeding {
    feed: Arc<Feed>,
    received: u64,
}

impl Drop for Feeding {
    fn drop(&mut self) {
        // Where the body has ended this says nothing.
        self.feed.finish(Err(Fault::Disconnected));
    }
}

/// From how many bytes of it on a body is offered to the service.
pub(super) fn offered_at(length: BodyLength, shared: &Shared) -> usize {
    match length {
        _ if !shared.offers_bodies => usize::MAX,
        BodyLength::Fixed(n) if n <= shared.config.max_body_in_memory as u64 => usize::MAX,
        BodyLength::None | BodyLength::Fixed(_) | BodyLength::Chunked => 0,
    }
}

impl Conn {
    /// Offers the request whose body is still to come to the service, if it is one to be offered.
    pub(super) fn offer(&mut self) -> bool {
        let is_due = self.inbox.is_empty() && !self.engine.has_event();
        let arriving = self.arriving.as_ref();
        if !is_due || arriving.is_none_or(|a| a.body.len() < a.offered_at) {
            return false;
        }
        self.phase = Phase::Offered;
        true
    }

    /// What is offered, without its body, and whether that has outgrown what is kept in memory. The connection is then
    /// `Serving`; `begin_body` or `decline` comes next.
    pub fn take_offer(&mut self, shared: &Shared) -> Option<(Request, bool)> {
        if self.phase != Phase::Offered {
            return None;
        }
        let arriving = self.arriving.as_mut()?;
        let bound = shared.config.max_body_in_memory;
        let is_large = arriving.body.is_declared() || arriving.body.len() > bound;
        let request = Request {
            // It lives for longer than a turn.
            bytes: Held::Own(arriving.bytes.to_vec().into_boxed_slice()),
            head: std::mem::take(&mut arriving.head),
            body: Body::Empty,
            origin: arriving.origin.take(),
        };
        self.phase = Phase::Serving;
        Some((request, is_large))
    }

    /// Takes the offered request back, to be received in full, or to be offered again when it has more than `bound`
    /// bytes.
    pub fn decline(&mut self, request: Request, bound: usize) {
        let Some(arriving) = self.arriving.as_mut() else {
            return;
        };
        arriving.head = request.head;
        arriving.origin = request.origin;
        arriving.offered_at = bound.saturating_add(1);
        self.phase = Phase::Reading;
        self.ask_for_body();
    }

    /// The service reads the body that was offered. None: the process's budget for bodies is spent.
    pub fn begin_body(&mut self, shared: &mut Shared) -> Option<Arc<Feed>> {
        let Arriving { body, .. } = *self.arriving.take()?;
        let mut charge = Charge::new(&shared.body_memory);
        if !charge.raise_to(super::feed::WINDOW) {
            return None;
        }
        let received = body.len() as u64;
        let feed = Arc::new(Feed::new(charge));
        match body.finish() {
            Body::Empty => {}
            Body::Held(held) => {
                feed.push_own(held.to_vec());
            }
            Body::Own { bytes, .. } => {
                feed.push_own(bytes);
            }
        }
        self.requests = self.requests.saturating_add(1);
        self.feeding = Some(Feeding {
            feed: Arc::clone(&feed),
            received,
        });
        self.advance_body(shared);
        Some(feed)
    }

    /// The reader has begun, or has made room.
    pub(crate) fn resume_body(&mut self) {
        if self.feeding.as_ref().is_some_and(|f| f.feed.is_asked()) {
            self.ask_for_body();
        }
    }

    /// RFC 9110 10.1.1: sent only if the body has not begun to arrive.
    pub(super) fn ask_for_body(&mut self) {
        if self.inbox.is_empty() && self.engine.wants_continue() {
            self.outbox
                .append(|out| out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"));
            self.engine.continue_sent();
        }
    }

    /// Feeds what was received to the reader.
    pub(super) fn advance_body(&mut self, shared: &mut Shared) {
        while let Some(feeding) = &mut self.feeding
            && (!self.inbox.is_empty() || self.engine.has_event())
        {
            let step = self.engine.handle(self.inbox.bytes(), &mut shared.head);
            match step.event {
                Event::Data { start, end } => {
                    feeding.received += (end - start) as u64;
                    self.news |= match self.inbox.share(start, end) {
                        Held::View(view) => feeding.feed.push(view),
                        Held::Own(bytes) => feeding.feed.push_own(bytes.into_vec()),
                    };
                    self.inbox.consume(step.consumed);
                }
                Event::End => {
                    self.inbox.consume(step.consumed);
                    self.end_body(Ok(()));
                }
                Event::Reject(error) => {
                    self.end_body(Err(Fault::Refused(error.status_hint())));
                }
                Event::Incomplete if step.consumed > 0 => self.inbox.consume(step.consumed),
                Event::Incomplete | Event::Head { .. } => break,
            }
        }
    }

    /// The turn has brought what it could.
    pub(super) fn announce_body(&self) {
        if let Some(feeding) = &self.feeding {
            feeding.feed.announce();
        }
    }

    /// The reader hears of the body's end.
    pub(super) fn end_body(&mut self, end: super::End) {
        if let Some(feeding) = self.feeding.take() {
            self.news |= feeding.feed.finish(end);
        }
    }

    /// A reader takes the body as it comes.
    #[must_use]
    pub fn is_feeding(&self) -> bool {
        self.feeding.is_some()
    }

    /// Whether the client is the one who is waited for.
    pub(crate) fn awaits_body(&self) -> bool {
        !self.read_closed && self.feeds_more() && !self.engine.wants_continue()
    }

    /// Whether the reader has room for more.
    pub(super) fn feeds_more(&self) -> bool {
        self.feeding.as_ref().is_some_and(|f| f.feed.has_room())
    }

    pub(super) fn bytes_fed(&self) -> u64 {
        self.feeding.as_ref().map_or(0, |f| f.received)
    }

    /// A task waits for what has come of a body. Asked once.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// What `advance` means to whoever reads the body.
    pub(super) fn progress_of_body(&mut self, shared: &mut Shared) -> Progress {
        self.advance_body(shared);
        if self.news {
            Progress::Ready
        } else {
            Progress::Waiting
        }
    }
}

impl Incoming {
    /// The length was declared, and is beyond what is kept in memory: it would not be offered otherwise.
    fn is_declared(&self) -> bool {
        self.declared().is_some()
    }
}
