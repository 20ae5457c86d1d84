//! Which deadline a connection is under, and what happens when it passes.
//!
//! A deadline is for a stretch of a connection's life: its first byte, a head, a body, an answer, the pause between two
//! requests. Progress within the stretch buys no time, with two exceptions, which are counted in bytes: a body on its
//! way in and an answer on its way out may take as long as they keep to a least rate.

use super::ending::DRAIN_IDLE;
use super::{Reactor, Socket};
use crate::conn::{Key, Phase, Service};
use std::time::{Duration, Instant};

/// Which timeout a connection is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timing {
    None,
    FirstByte,
    Head,
    Body,
    KeepAlive,
    Write,
    /// The next look at a WebSocket: ping, pong, close, silence.
    Beat,
    Linger,
}

/// How often a stalled answer is looked at within `write_timeout`: what was taken long ago buys no time.
const LOOKS: u32 = 8;

impl<S: Service> Reactor<S> {
    /// Puts the connection under the timeout that its state asks for.
    pub(super) fn time(&mut self, key: Key) {
        let index = key.index as usize;
        let (socket, conn) = (&mut self.sockets[index], &mut self.conns[index]);
        let config = &self.shared.config;
        if socket.write_shut {
            return;
        }
        let (timing, after) = if !conn.outbox.is_empty() {
            if socket.timing != Timing::Write {
                self.time_write(key);
            }
            // Else what was taken is counted when the connection is looked at, whatever answers it was of.
            return;
        } else if conn.is_receiving_body() {
            (Timing::Body, config.body_timeout)
        } else if conn.is_receiving() {
            (Timing::Head, config.head_timeout)
        } else if conn.phase() == Phase::Reading {
            if socket.timing == Timing::FirstByte && conn.requests() == 0 {
                return;
            }
            let after = config.keep_alive_timeout;
            let bound = if self.drain_until.is_some() {
                DRAIN_IDLE
            } else {
                after
            };
            (Timing::KeepAlive, after.min(bound))
        } else if conn.phase() == Phase::WebSocket {
            let anew = socket.timing != Timing::Beat;
            let Some(wait) = conn.next_beat(&self.shared, anew) else {
                return;
            };
            // A wait of its own, whatever the one before it was.
            socket.timing = Timing::None;
            let Some(wait) = wait else {
                socket.deadline = None;
                return;
            };
            (Timing::Beat, wait)
        } else if let Some(wait) = conn.event_beat() {
            if socket.timing == Timing::Beat {
                return;
            }
            (Timing::Beat, wait)
        } else if conn.awaits_body() {
            (Timing::Body, config.body_timeout)
        } else {
            socket.timing = Timing::None;
            socket.deadline = None;
            return;
        };
        let mut deadline = self.now + after;
        if timing == socket.timing && conn.requests() == socket.request {
            // A head must be whole in time: what comes in between buys no more of it. A body's bytes do, at the
            // least rate.
            let got = conn.body_received();
            let (Timing::Body, Some(until)) = (timing, socket.deadline) else {
                return;
            };
            if got == socket.mark {
                return;
            }
            deadline = deadline.min(until + worth(got - socket.mark, config.min_body_rate, after));
            socket.mark = got;
        } else if timing == Timing::Body {
            socket.mark = conn.body_received();
        }
        socket.timing = timing;
        socket.request = conn.requests();
        socket.deadline = Some(deadline);
        if timing == Timing::KeepAlive {
            self.look_at_idle(key, deadline);
        } else {
            self.look_at(key, deadline);
        }
    }

    /// An idle connection is looked at before its time is up: the system may hold answers that nobody takes.
    fn look_at_idle(&mut self, key: Key, deadline: Instant) {
        let standing = self.sockets[key.index as usize].wheel_tick;
        let draining = self.drain_until.is_some();
        // The tick of now is no earlier than one of the past: it is not worked out for each answer.
        if !draining && standing.is_some_and(|standing| standing <= self.idle_tick) {
            return;
        }
        let look = deadline.min(self.now + self.shared.config.write_timeout);
        if !draining {
            self.idle_tick = self.wheel.tick(look);
        }
        self.look_at(key, look);
    }

    /// Has the wheel look at the connection at `at`, unless it does so before.
    pub(super) fn look_at(&mut self, key: Key, at: Instant) {
        let tick = self.wheel.tick(at);
        let socket = &mut self.sockets[key.index as usize];
        if socket.wheel_tick.is_none_or(|standing| standing > tick) {
            socket.wheel_tick = Some(self.wheel.insert(tick, key));
        }
    }

    /// From now on the peer has to take what was written, and what is still to be, at the least rate.
    fn time_write(&mut self, key: Key) {
        let after = self.shared.config.write_timeout;
        let socket = &mut self.sockets[key.index as usize];
        socket.timing = Timing::Write;
        socket.mark = socket.taken();
        socket.deadline = Some(self.now + after);
        self.look_at(key, self.now + after / LOOKS);
    }

    /// What was taken of answers buys time for the rest of them, at the least rate; without time it is the end.
    fn check_write(&mut self, key: Key) {
        let index = key.index as usize;
        let config = &self.shared.config;
        let socket = &mut self.sockets[index];
        let unsent = socket.stream.unsent();
        if unsent <= FIN && self.conns[index].outbox.is_empty() {
            // Taken, though nothing else happened that would have told.
            if socket.write_shut {
                return self.remove(key);
            }
            socket.timing = Timing::None;
            return self.time(key);
        }
        let taken = socket.written.saturating_sub(unsent);
        let until = socket.deadline.unwrap_or(self.now);
        let gained = worth(
            taken.saturating_sub(socket.mark),
            config.min_write_rate,
            config.write_timeout,
        );
        let deadline = (self.now + config.write_timeout).min(until + gained);
        if deadline <= self.now {
            // What the kernel still holds of the answer goes too: nobody takes it.
            socket.stream.reset_on_close();
            return self.remove(key);
        }
        socket.mark = taken;
        socket.deadline = Some(deadline);
        let look = deadline.min(self.now + config.write_timeout / LOOKS);
        self.look_at(key, look);
    }

    /// Whether the system holds answers for an idle or closing connection, which the peer then has to take in time.
    fn holds_answers(&self, key: Key) -> bool {
        !self.shared.draining && self.sockets[key.index as usize].stream.unsent() > FIN
    }

    pub(super) fn fire_timers(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.fire(self.now, &mut due);
        for (tick, key) in due.drain(..) {
            if !self.alive(key) {
                continue;
            }
            let socket = &mut self.sockets[key.index as usize];
            if socket.wheel_tick != Some(tick) {
                // An earlier deadline came in between and stands elsewhere.
                continue;
            }
            socket.wheel_tick = None;
            let Some(deadline) = socket.deadline else {
                continue;
            };
            let timing = socket.timing;
            if timing == Timing::Write {
                self.check_write(key);
            } else if deadline > self.now {
                self.look_again(key, deadline);
            } else if timing == Timing::Linger {
                if self.holds_answers(key) {
                    self.time_write(key);
                } else {
                    self.remove(key);
                }
            } else if timing == Timing::Beat {
                socket.timing = Timing::None;
                socket.deadline = None;
                let conn = &mut self.conns[key.index as usize];
                conn.beat(&mut self.shared);
                if conn.has_events() {
                    self.queue(key);
                }
                self.touch(key);
                // What is read ahead comes before the ping goes out, whose answer may be a reset.
                self.read(key, true);
            } else if timing != Timing::None {
                socket.deadline = None;
                let conn = &mut self.conns[key.index as usize];
                conn.time_out(&mut self.shared);
                if conn.has_events() {
                    self.queue(key);
                }
                self.touch(key);
            }
        }
        self.due = due;
    }

    /// The wheel came to a connection before its time is up.
    fn look_again(&mut self, key: Key, deadline: Instant) {
        let config = &self.shared.config;
        if self.sockets[key.index as usize].timing == Timing::KeepAlive {
            let idle = config
                .keep_alive_timeout
                .saturating_sub(deadline - self.now);
            if idle < config.write_timeout {
                let look = self.now + config.write_timeout - idle;
                return self.look_at(key, deadline.min(look));
            }
            if self.holds_answers(key) {
                return self.time_write(key);
            }
        }
        self.look_at(key, deadline);
    }

    /// A connection that says nothing has less time than one between two requests.
    pub(super) fn time_first_byte(&mut self, key: Key) {
        let mut after = self.shared.config.first_byte_timeout;
        if self.drain_until.is_some() {
            after = after.min(DRAIN_IDLE);
        }
        let deadline = self.now + after;
        let socket = &mut self.sockets[key.index as usize];
        socket.timing = Timing::FirstByte;
        socket.deadline = Some(deadline);
        self.look_at(key, deadline);
    }
}

/// What the system counts for an end that was sent and not confirmed.
const FIN: u64 = 1;

impl Socket {
    /// Bytes of answers that the peer took.
    fn taken(&self) -> u64 {
        self.written.saturating_sub(self.stream.unsent())
    }
}

/// The time that `bytes` are worth at `rate` bytes a second; without a rate, any byte is worth `most`.
fn worth(bytes: u64, rate: u32, most: Duration) -> Duration {
    match (bytes, rate) {
        (0, _) => Duration::ZERO,
        (_, 0) => most,
        _ => Duration::from_micros(bytes.saturating_mul(1_000_000) / u64::from(rate)).min(most),
    }
}
