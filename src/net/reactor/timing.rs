//! Which deadline a connection is under, and what happens when it passes.
//!
//! A deadline is for a stretch of a connection's life: its first byte, a head, a body, an answer, the pause between two
//! requests. Progress within the stretch buys no time, with two exceptions, which are counted in bytes: a body on its
//! way in and an answer on its way out may take as long as they keep to a least rate.

use super::ending::DRAIN_IDLE;
use super::{Reactor, Socket};
use crate::conn::{Key, Phase, Service};
use std::time::Duration;

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

impl<S: Service> Reactor<S> {
    /// Puts the connection under the timeout that its state asks for.
    pub(super) fn time(&mut self, key: Key) {
        let index = key.index as usize;
        let (socket, conn) = (&mut self.sockets[index], &mut self.conns[index]);
        let config = &self.shared.config;
        let (timing, after) = if socket.timing == Timing::Linger {
            (Timing::Linger, config.linger_timeout)
        } else if !conn.outbox.is_empty() {
            (Timing::Write, config.write_timeout)
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
            let Some(wait) = conn.next_beat(config, anew) else {
                return;
            };
            socket.timing = Timing::None;
            match wait {
                Some(wait) => (Timing::Beat, wait),
                None => (Timing::None, Duration::ZERO),
            }
        } else {
            (Timing::None, Duration::ZERO)
        };
        if timing == Timing::None {
            socket.timing = timing;
            socket.deadline = None;
            return;
        }
        let mut deadline = self.now + after;
        if timing == socket.timing && conn.requests() == socket.request {
            // A head must be whole in time, a linger be over, an answer be taken (which is looked at when the time
            // for it is up): what comes in between buys no more of it. A body's bytes do, at the least rate.
            let got = conn.body_received() as u64;
            let (Timing::Body, Some(until)) = (timing, socket.deadline) else {
                return;
            };
            if got == socket.mark {
                return;
            }
            deadline = deadline.min(until + worth(got - socket.mark, config.min_body_rate, after));
            socket.mark = got;
        } else {
            socket.mark = match timing {
                Timing::Body => conn.body_received() as u64,
                Timing::Write => socket.taken(),
                _ => 0,
            };
        }
        socket.timing = timing;
        socket.request = conn.requests();
        socket.deadline = Some(deadline);
        let tick = self.wheel.tick(deadline);
        if socket.wheel_tick.is_none_or(|standing| standing > tick) {
            socket.wheel_tick = Some(self.wheel.insert(tick, key));
        }
    }

    /// The time for an answer is up: what was taken of it since buys more, at the least rate.
    pub(super) fn extend_write(&mut self, key: Key) -> bool {
        let config = &self.shared.config;
        let socket = &mut self.sockets[key.index as usize];
        let Some(until) = socket.deadline else {
            return false;
        };
        let taken = socket.taken();
        let gained = worth(
            taken.saturating_sub(socket.mark),
            config.min_write_rate,
            config.write_timeout,
        );
        let deadline = (self.now + config.write_timeout).min(until + gained);
        if deadline <= self.now {
            return false;
        }
        socket.mark = taken;
        socket.deadline = Some(deadline);
        let tick = self.wheel.tick(deadline);
        socket.wheel_tick = Some(self.wheel.insert(tick, key));
        true
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
            if deadline > self.now {
                let tick = self.wheel.tick(deadline);
                socket.wheel_tick = Some(self.wheel.insert(tick, key));
                continue;
            }
            match socket.timing {
                Timing::Linger => self.remove(key),
                Timing::Write => {
                    if !self.extend_write(key) {
                        // What the kernel still holds of the answer goes too: nobody takes it.
                        self.sockets[key.index as usize].stream.reset_on_close();
                        self.remove(key);
                    }
                }
                Timing::None => {}
                Timing::Beat => {
                    socket.timing = Timing::None;
                    socket.deadline = None;
                    self.conns[key.index as usize].beat(&mut self.shared);
                    if self.conns[key.index as usize].has_events() {
                        self.queue(key);
                    }
                    self.touch(key);
                }
                Timing::FirstByte | Timing::Head | Timing::Body | Timing::KeepAlive => {
                    socket.deadline = None;
                    let conn = &mut self.conns[key.index as usize];
                    conn.time_out(&mut self.shared);
                    self.touch(key);
                }
            }
        }
        self.due = due;
    }

    /// A connection that says nothing has less time than one between two requests.
    pub(super) fn time_first_byte(&mut self, key: Key) {
        let mut after = self.shared.config.first_byte_timeout;
        if self.drain_until.is_some() {
            after = after.min(DRAIN_IDLE);
        }
        let deadline = self.now + after;
        let tick = self.wheel.tick(deadline);
        let at = self.wheel.insert(tick, key);
        let socket = &mut self.sockets[key.index as usize];
        socket.timing = Timing::FirstByte;
        socket.deadline = Some(deadline);
        socket.wheel_tick = Some(at);
    }
}

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
