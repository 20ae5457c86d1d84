//! A connection after its upgrade to WebSocket (RFC 6455): what it received waits here until the service takes it.
//!
//! ```text
//!  Open ──close()──▶ CloseSent ──peer's close frame, or no answer in time──▶ Phase::Closing
//!    └── peer's close frame (echoed), a fault (told), the peer's FIN ───────────▲
//! ```
//!
//! Pings are answered here. Reading stops while events wait for the service or the outbox is full, so a peer gets no
//! further than the application; only after a silence it is read ahead, to see whether it has left.

use super::{Conn, Phase, Progress, Shared};
use crate::buf::{Inbox, Outbox, Segment};
use crate::h1::ReplyLength;
use crate::ws::{
    self, CloseReason, Decoder, Event, GOING_AWAY, Handshake, Limits, Message, Opcode, Role,
};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Events that wait for the service; past it the connection is not read.
const EVENTS: usize = 64;

/// What may wait in all when one is read ahead: more than a system holds of a connection that nobody reads.
const AHEAD: usize = 1024 * 1024;

/// What a message costs beside its bytes: its place, and its allocation.
const COST: usize = 64;

/// What the service is told of a connection.
#[derive(Debug)]
pub enum SocketEvent {
    Message(Message),
    /// The last one. A connection that goes without it ended abnormally.
    Closed(CloseReason),
}

#[derive(Debug)]
pub(super) struct Upgraded {
    decoder: Decoder,
    events: VecDeque<SocketEvent>,
    stage: Stage,
    /// When bytes came last, or a ping went.
    heard: Instant,
    /// When a message went last, either way.
    active: Instant,
    /// A ping went, and nothing came since.
    awaits_pong: bool,
    /// The wait has another length than the one that the timer knows.
    stale: bool,
    wants_room: bool,
    /// Bytes that are still read ahead, though events wait.
    ahead: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    CloseSent,
}

impl Conn {
    /// Answers the handshake that the service has with 101; the connection is then a WebSocket's.
    pub fn upgrade<'a>(
        &mut self,
        shared: &mut Shared,
        handshake: &Handshake,
        protocol: Option<&[u8]>,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) {
        if self.phase != Phase::Serving {
            return;
        }
        let extension = handshake.agreed.map(|agreed| agreed.to_field());
        let extension = extension.as_deref().map(str::as_bytes);
        let ours: [(&[u8], Option<&[u8]>); 3] = [
            (b"Sec-WebSocket-Accept", Some(&handshake.accept)),
            (b"Sec-WebSocket-Protocol", protocol),
            (b"Sec-WebSocket-Extensions", extension),
        ];
        let ours = ours
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let engine = &mut self.engine;
        self.outbox.append(|out| {
            engine.encode_head(
                out,
                101,
                Some(b"Switching Protocols"),
                b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
                ours.chain(fields.map(shorter)),
                ReplyLength::Known(0),
                true,
                &shared.date,
            )
        });
        let config = &shared.config;
        let limits = Limits {
            frame: config.websocket_max_frame,
            message: config.websocket_max_message,
        };
        let decoder = Decoder::new(Role::Server, limits, handshake.agreed.as_ref());
        self.upgraded = Some(Box::new(Upgraded {
            decoder,
            events: VecDeque::new(),
            stage: Stage::Open,
            heard: shared.now,
            active: shared.now,
            awaits_pong: false,
            stale: true,
            wants_room: false,
            ahead: 0,
        }));
        self.phase = Phase::WebSocket;
        if self.read_closed {
            self.close(shared);
        } else if shared.draining {
            self.go_away();
        }
    }

    /// The service follows this connection: it hears of its end, whatever that is.
    pub fn follow(&mut self) {
        self.followed = true;
    }

    /// Something waits for the service.
    #[must_use]
    pub fn has_events(&self) -> bool {
        self.news
            || self.phase == Phase::Offered
            || self
                .upgraded
                .as_ref()
                .is_some_and(|upgraded| !upgraded.events.is_empty())
    }

    pub fn take_event(&mut self) -> Option<SocketEvent> {
        self.upgraded.as_mut()?.events.pop_front()
    }

    /// Gives back what was taken and has no place.
    pub fn return_event(&mut self, event: SocketEvent) {
        if let Some(upgraded) = &mut self.upgraded {
            upgraded.events.push_front(event);
        }
    }

    /// Sends whole frames: `parts`, then `frames`, which is left empty.
    pub fn send_frames(&mut self, parts: &mut Vec<Segment>, frames: &mut Vec<u8>, now: Instant) {
        if let Some(upgraded) = self.upgraded.as_mut()
            && upgraded.stage == Stage::Open
            && self.phase == Phase::WebSocket
        {
            upgraded.active = now;
            for part in parts.drain(..) {
                self.outbox.push(part);
            }
            self.outbox.append(|out| out.extend_from_slice(frames));
        }
        frames.clear();
    }

    /// Begins the closing handshake.
    pub fn close_socket(&mut self, code: u16, reason: &str) {
        if let Some(upgraded) = self.upgraded.as_mut()
            && upgraded.stage == Stage::Open
            && self.phase == Phase::WebSocket
        {
            upgraded.stage = Stage::CloseSent;
            upgraded.stale = true;
            self.outbox
                .append(|out| ws::encode_close(out, code, reason));
        }
    }

    /// The server stops: tells the peer and the service. `true`: the service has to hear of it.
    pub(crate) fn go_away(&mut self) -> bool {
        self.end_events();
        self.end_by_server("the server stops")
    }

    /// Asks to be told when the outbox has room again.
    pub fn want_room(&mut self) {
        match &mut self.upgraded {
            Some(upgraded) => upgraded.wants_room = true,
            None => self.stalled = true,
        }
    }

    /// There is room that was asked for.
    pub(crate) fn take_room(&mut self, shared: &Shared) -> bool {
        if !self.has_room(shared) {
            return false;
        }
        match &mut self.upgraded {
            Some(upgraded) => std::mem::take(&mut upgraded.wants_room),
            None => std::mem::take(&mut self.stalled),
        }
    }

    /// How long to wait for the next beat, if that was not asked since it changed; `Some(None)`: for ever.
    pub(crate) fn next_beat(&mut self, shared: &Shared, anew: bool) -> Option<Option<Duration>> {
        let upgraded = self.upgraded.as_mut()?;
        if !anew && !upgraded.stale {
            return None;
        }
        upgraded.stale = false;
        let config = &shared.config;
        let rest = |time: Duration, since: Instant| {
            time.saturating_sub(shared.now.saturating_duration_since(since))
        };
        let heartbeat = match upgraded.stage {
            Stage::CloseSent => Some(config.websocket_close_timeout),
            Stage::Open if upgraded.awaits_pong => {
                Some(rest(config.websocket_ping_timeout, upgraded.heard))
            }
            Stage::Open => unless_zero(config.websocket_ping_interval)
                .map(|interval| rest(interval, upgraded.heard)),
        };
        let idle = match upgraded.stage {
            Stage::CloseSent => None,
            Stage::Open => {
                unless_zero(config.websocket_idle_timeout).map(|most| rest(most, upgraded.active))
            }
        };
        Some(match (heartbeat, idle) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        })
    }

    /// The wait is over; what came meanwhile may have made it too short.
    pub(crate) fn beat(&mut self, shared: &mut Shared) {
        let Some(upgraded) = self.upgraded.as_mut() else {
            return self.beat_events();
        };
        if upgraded.stale {
            // It was the wait for something else.
            return;
        }
        let (config, now) = (&shared.config, shared.now);
        let is_up = |time: Duration, since: Instant| now.saturating_duration_since(since) >= time;
        let may_be = |time: Duration, since: Instant| !time.is_zero() && is_up(time, since);
        match upgraded.stage {
            Stage::CloseSent => self.abort(shared),
            Stage::Open if may_be(config.websocket_idle_timeout, upgraded.active) => {
                self.end_by_server("no message for too long");
            }
            Stage::Open if upgraded.awaits_pong => {
                if is_up(config.websocket_ping_timeout, upgraded.heard) {
                    self.abort(shared);
                }
            }
            Stage::Open if may_be(config.websocket_ping_interval, upgraded.heard) => {
                // One that waits for the application is hardly listened to, so that no answer is no fault of its. The
                // ping goes all the same: a peer that is gone answers with a reset. One that left in order has its end
                // behind what it sent: that is read ahead, for the reset would take it away.
                let listens = upgraded.events.is_empty();
                upgraded.awaits_pong = listens;
                upgraded.heard = now;
                self.outbox
                    .append(|out| ws::encode_control(out, Opcode::Ping, &[]));
                if !listens {
                    upgraded.read_ahead();
                    // An end is read only behind whole messages that were taken in.
                    self.read_frames(now, config.max_outbox);
                }
            }
            Stage::Open => {}
        }
    }

    /// What was received and not taken, when the connection goes.
    pub(crate) fn take_followed(&mut self) -> Option<VecDeque<SocketEvent>> {
        if !self.followed {
            return None;
        }
        if let Some(upgraded) = &mut self.upgraded {
            upgraded.read_ahead();
            let now = upgraded.active;
            self.read_frames(now, usize::MAX);
        }
        let events = self.upgraded.take().map(|upgraded| upgraded.events);
        Some(events.unwrap_or_default())
    }

    /// Reads unread bytes until enough events wait.
    pub(super) fn advance_socket(&mut self, shared: &mut Shared) -> Progress {
        self.read_frames(shared.now, shared.config.max_outbox);
        if self.has_events() {
            Progress::Ready
        } else {
            Progress::Waiting
        }
    }

    fn read_frames(&mut self, now: Instant, max_outbox: usize) {
        let Some(upgraded) = self.upgraded.as_mut() else {
            return;
        };
        if upgraded.events.is_empty() {
            upgraded.ahead = 0;
        }
        while !self.inbox.is_empty()
            && (upgraded.events.len() < EVENTS || upgraded.ahead > 0)
            && self.outbox.len() <= max_outbox
        {
            upgraded.heard = now;
            // Silence counts from here on, and not from the ping's time.
            upgraded.stale |= std::mem::take(&mut upgraded.awaits_pong);
            let step = upgraded.decoder.handle(self.inbox.bytes());
            self.inbox.consume(step.consumed);
            match step.event {
                Event::Incomplete => break,
                Event::Message(message) => {
                    upgraded.active = now;
                    let cost = u32::try_from(COST + message.data.len()).unwrap_or(u32::MAX);
                    upgraded.ahead = upgraded.ahead.saturating_sub(cost);
                    // RFC 6455 1.4: after our close frame we are not interested.
                    if upgraded.stage == Stage::Open {
                        upgraded.events.push_back(SocketEvent::Message(message));
                    }
                }
                Event::Ping => pong(&mut self.outbox, upgraded.decoder.control()),
                Event::Pong => {}
                Event::Close(reason) => {
                    if upgraded.stage == Stage::Open {
                        self.outbox
                            .append(|out| ws::encode_close(out, reason.code, ""));
                        upgraded.events.push_back(SocketEvent::Closed(reason));
                    }
                    self.end_reading();
                    break;
                }
                Event::Fail(error) => {
                    if upgraded.stage == Stage::Open {
                        let text = error.to_string();
                        let code = error.close_code();
                        self.outbox.append(|out| ws::encode_close(out, code, &text));
                        let reason = CloseReason::new(code, &text);
                        upgraded.events.push_back(SocketEvent::Closed(reason));
                    }
                    self.end_reading();
                    break;
                }
            }
        }
    }

    /// Whether more may be read.
    pub(super) fn socket_wants_bytes(&self) -> bool {
        !self.has_events() || self.upgraded.as_ref().is_some_and(|u| u.ahead > 0)
    }

    fn end_by_server(&mut self, why: &str) -> bool {
        match &mut self.upgraded {
            Some(upgraded) if upgraded.stage == Stage::Open && self.phase == Phase::WebSocket => {
                let reason = CloseReason::new(GOING_AWAY, why);
                upgraded.events.push_back(SocketEvent::Closed(reason));
            }
            _ => return false,
        }
        self.close_socket(GOING_AWAY, why);
        true
    }

    /// The closing handshake is done, as far as it will be: RFC 6455 7.1.1, the server closes first.
    fn end_reading(&mut self) {
        self.phase = Phase::Closing;
        self.inbox = Inbox::Empty;
    }
}

impl Upgraded {
    /// Lets as much be read as may wait beside the events that do.
    fn read_ahead(&mut self) {
        let waiting = self.events.iter().map(|event| match event {
            SocketEvent::Message(message) => COST + message.data.len(),
            SocketEvent::Closed(_) => COST,
        });
        self.ahead = AHEAD.saturating_sub(waiting.sum()) as u32;
    }
}

fn shorter<'short, 'long: 'short>(
    field: (&'long [u8], &'long [u8]),
) -> (&'short [u8], &'short [u8]) {
    field
}

fn unless_zero(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

fn pong(outbox: &mut Outbox, payload: &[u8]) {
    outbox.append(|out| ws::encode_control(out, Opcode::Pong, payload));
}
