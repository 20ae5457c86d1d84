//! The engine of one connection: where it is in a request, and in the reply to it.

use super::chunked::{Decoded, Decoder};
use super::encode::Reply;
use super::framing::Facts;
use super::parse::Scan;
use super::recall::Recall;
use super::{BodyLength, Eof, Error, Event, Limits, Next, Step};
use crate::http::{Head, Version};

/// One side of one HTTP/1 connection: reads requests, writes replies, one at a time.
#[derive(Debug)]
pub struct Engine {
    limits: Limits,
    phase: Phase,
    recall: Recall,
    pub(super) exchange: Exchange,
}

#[derive(Debug)]
enum Phase {
    Head(Scan),
    Fixed {
        left: u64,
    },
    Chunked(Decoder),
    /// The request is complete; nothing is read before the reply is.
    Received,
    Rejected(Error),
    Closed,
}

/// What the reply needs to know of the request, and how far the reply is.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) version: Version,
    /// HEAD: the reply has a head only.
    pub(super) is_head: bool,
    /// What was agreed so far; only ever turned off.
    pub(super) keep_alive: bool,
    pub(super) expectation: Expectation,
    pub(super) reply: Reply,
}

/// RFC 9110 10.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expectation {
    None,
    /// The client may hold its body back until it hears from us.
    Pending,
    /// Answered, or overtaken by the body.
    Met,
}

impl Engine {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Head(Scan::default()),
            recall: Recall::default(),
            exchange: Exchange::new(),
        }
    }

    /// Takes unread bytes and says one thing about them. Bytes past `consumed` are to be given again.
    ///
    /// Call until `Incomplete`. The `End` of a body of known length needs no byte of its own: after the last `Data`
    /// call once more, with an empty `input` if nothing is left (see [`Engine::has_event`]).
    pub fn handle(&mut self, input: &[u8], head: &mut Head) -> Step {
        match &mut self.phase {
            Phase::Head(_) => self.handle_head(input, head),
            Phase::Fixed { left: 0 } => self.end(0),
            Phase::Fixed { left } => {
                let taken = (*left).min(input.len() as u64);
                if taken == 0 {
                    return Step::incomplete(0);
                }
                *left -= taken;
                self.exchange.body_begins();
                let end = taken as usize;
                Step {
                    consumed: end,
                    event: Event::Data { start: 0, end },
                }
            }
            Phase::Chunked(decoder) => match decoder.decode(input, &self.limits) {
                Ok(decoded) => self.decoded(decoded, input),
                Err(error) => self.reject(error),
            },
            Phase::Rejected(error) => Step {
                consumed: 0,
                event: Event::Reject(*error),
            },
            Phase::Received | Phase::Closed => Step::incomplete(0),
        }
    }

    /// Takes the end of input, with the number of bytes still unread.
    #[must_use]
    pub fn handle_eof(&mut self, unread: usize) -> Eof {
        match self.phase {
            Phase::Head(_) if unread > 0 => Eof::Truncated,
            Phase::Fixed { left } if left > 0 => Eof::Truncated,
            Phase::Chunked(_) => Eof::Truncated,
            Phase::Head(_)
            | Phase::Fixed { .. }
            | Phase::Received
            | Phase::Rejected(_)
            | Phase::Closed => Eof::Clean,
        }
    }

    /// The client waits for `100 Continue` before it sends the body, and nothing of the body has come.
    #[must_use]
    pub fn wants_continue(&self) -> bool {
        self.exchange.expectation == Expectation::Pending && self.exchange.reply == Reply::Awaited
    }

    /// The caller has sent `100 Continue`.
    pub fn continue_sent(&mut self) {
        self.exchange.body_begins();
    }

    /// Between requests, or in a head that is not complete.
    #[must_use]
    pub fn is_waiting_for_head(&self) -> bool {
        matches!(self.phase, Phase::Head(_))
    }

    /// A head was given and its body is not complete.
    #[must_use]
    pub fn is_reading_body(&self) -> bool {
        matches!(self.phase, Phase::Fixed { .. } | Phase::Chunked(_))
    }

    /// A request is complete and its reply is not.
    #[must_use]
    pub fn is_waiting_for_reply(&self) -> bool {
        matches!(self.phase, Phase::Received)
    }

    /// [`Engine::handle`] has something to say without another byte.
    #[must_use]
    pub fn has_event(&self) -> bool {
        matches!(self.phase, Phase::Fixed { left: 0 } | Phase::Rejected(_))
    }

    /// Bytes that the body still needs, where that is known.
    #[must_use]
    pub fn body_left(&self) -> Option<u64> {
        match self.phase {
            Phase::Fixed { left } => Some(left),
            Phase::Chunked(_) => None,
            _ => Some(0),
        }
    }

    /// Whether the connection persists after this exchange, as far as can be told now.
    #[must_use]
    pub fn will_keep_alive(&self) -> bool {
        self.exchange.keep_alive && !matches!(self.phase, Phase::Rejected(_) | Phase::Closed)
    }

    /// The connection closes after this reply, whatever was agreed.
    pub fn force_close(&mut self) {
        self.exchange.keep_alive = false;
    }

    /// The request whose head was read is a HEAD.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.exchange.is_head
    }

    /// The reply under way ends where the connection does: one that is cut short cannot be told from a whole one.
    #[must_use]
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.exchange.reply, Reply::Raw { left: None })
    }

    /// The reply is complete. With a body that was not read to its end the connection cannot persist: what follows on
    /// it is the rest of that body.
    pub fn finish(&mut self) -> Next {
        let is_whole = !matches!(self.exchange.reply, Reply::Chunked);
        let keep = self.exchange.keep_alive && is_whole && matches!(self.phase, Phase::Received);
        self.exchange = Exchange::new();
        if keep {
            self.phase = Phase::Head(Scan::default());
            Next::KeepAlive
        } else {
            self.phase = Phase::Closed;
            Next::Close
        }
    }

    /// The request was read to its end.
    pub(super) fn is_request_read(&self) -> bool {
        matches!(self.phase, Phase::Received | Phase::Fixed { left: 0 })
    }

    fn handle_head(&mut self, input: &[u8], head: &mut Head) -> Step {
        let Phase::Head(scan) = &mut self.phase else {
            return Step::incomplete(0);
        };
        let skipped = match scan.skip_blank_lines(input) {
            Ok(skipped) => skipped,
            Err(error) => return self.reject(error),
        };
        let rest = &input[skipped..];
        if matches!(rest, [] | [b'\r']) {
            return Step::incomplete(skipped);
        }
        if let Some(facts) = self.recall.read(rest, head, &self.limits) {
            return self.begin(facts, skipped + head.len as usize, input.len());
        }
        match scan.parse(rest, head, &self.limits) {
            Ok(Some(facts)) => {
                self.recall.note(rest, head, &facts);
                self.begin(facts, skipped + head.len as usize, input.len())
            }
            Ok(None) => Step::incomplete(skipped),
            Err(error) => self.reject(error),
        }
    }

    fn begin(&mut self, facts: Facts, consumed: usize, received: usize) -> Step {
        let complete = facts.body == BodyLength::None;
        self.phase = match facts.body {
            BodyLength::None => Phase::Received,
            BodyLength::Fixed(left) => Phase::Fixed { left },
            BodyLength::Chunked => Phase::Chunked(Decoder::new()),
        };
        let is_held_back = facts.expects_continue && !complete && received == consumed;
        self.exchange = Exchange {
            version: facts.version,
            is_head: facts.is_head,
            keep_alive: facts.keep_alive,
            expectation: if is_held_back {
                Expectation::Pending
            } else {
                Expectation::None
            },
            reply: Reply::Awaited,
        };
        Step {
            consumed,
            event: Event::Head {
                body: facts.body,
                complete,
            },
        }
    }

    fn decoded(&mut self, decoded: Decoded, input: &[u8]) -> Step {
        if !input.is_empty() {
            self.exchange.body_begins();
        }
        match decoded {
            Decoded::Incomplete => Step::incomplete(input.len()),
            Decoded::Data { start, end } => Step {
                consumed: end,
                event: Event::Data { start, end },
            },
            Decoded::End(consumed) => self.end(consumed),
        }
    }

    fn end(&mut self, consumed: usize) -> Step {
        self.phase = Phase::Received;
        Step {
            consumed,
            event: Event::End,
        }
    }

    fn reject(&mut self, error: Error) -> Step {
        self.phase = Phase::Rejected(error);
        self.exchange.keep_alive = false;
        Step {
            consumed: 0,
            event: Event::Reject(error),
        }
    }
}

impl Exchange {
    fn new() -> Self {
        Self {
            version: Version::Http11,
            is_head: false,
            keep_alive: true,
            expectation: Expectation::None,
            reply: Reply::Awaited,
        }
    }

    fn body_begins(&mut self) {
        if self.expectation == Expectation::Pending {
            self.expectation = Expectation::Met;
        }
    }
}

impl Step {
    fn incomplete(consumed: usize) -> Self {
        Self {
            consumed,
            event: Event::Incomplete,
        }
    }
}
