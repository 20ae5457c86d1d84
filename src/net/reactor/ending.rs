//! Orders to end, and the end of a connection.

use super::accept::ACCEPTS;
use super::{Reactor, Timing};
use crate::conn::{Key, Service};
use crate::net::control::Order;
use std::time::Duration;

/// How long a drained connection's peer has to close its side.
const DRAIN_LINGER: Duration = Duration::from_millis(500);

impl<S: Service> Reactor<S> {
    pub(super) fn obey(&mut self) {
        match self.control.order() {
            Order::Serve => {}
            Order::Abort => self.finished = true,
            Order::Drain(grace) => {
                if self.drain_until.is_none() {
                    self.begin_drain(grace);
                }
            }
        }
    }

    pub(super) fn begin_drain(&mut self, grace: Duration) {
        self.drain_until = Some(self.now + grace);
        self.shared.draining = true;
        // Connections that the kernel completed are ours: they are answered, not reset.
        let listeners = self.listeners.len();
        for listener in 0..listeners {
            for _ in 0..self.shared.config.max_connections / ACCEPTS + 1 {
                self.more_accepts = false;
                self.accept(listener);
                if !self.more_accepts {
                    break;
                }
            }
        }
        self.more_accepts = false;
        self.stop_accepting();
        self.accept_again = None;
        self.listeners.clear();
        let keys: Vec<Key> = self.keys();
        for key in keys {
            self.sockets[key.index as usize].readable = true;
            self.read(key, true);
            if self.alive(key) {
                self.touch(key);
            }
        }
    }

    pub(super) fn end_drain(&mut self) {
        if let Some(until) = self.drain_until
            && (self.conns.is_empty() || self.now >= until)
        {
            self.finished = true;
        }
    }

    pub(super) fn close_all(&mut self, service: &mut S) {
        self.stop_accepting();
        self.listeners.clear();
        for key in self.keys() {
            self.remove(key);
        }
        self.ready.clear();
        self.serve(service);
        self.messages.clear();
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.conns
            .iter()
            .map(|(i, conn)| Key {
                index: i as u32,
                generation: conn.generation,
            })
            .collect()
    }

    /// The answer is out: says so with a FIN, and reads on for a while, because closing with unread bytes
    /// would reset the connection and could take the answer with it (RFC 9112 9.6).
    pub(super) fn linger(&mut self, key: Key) {
        let index = key.index as usize;
        if self.conns[index].is_read_closed()
            || self.sockets[index].stream.shutdown_write().is_err()
        {
            return self.remove(key);
        }
        self.sockets[index].write_shut = true;
        if self.sockets[index].timing != Timing::Linger {
            let mut after = self.shared.config.linger_timeout;
            if self.shared.draining {
                after = after.min(DRAIN_LINGER);
            }
            let deadline = self.now + after;
            let tick = self.wheel.tick(deadline);
            let socket = &mut self.sockets[index];
            socket.timing = Timing::Linger;
            socket.deadline = Some(deadline);
            if socket.wheel_tick.is_none_or(|standing| standing > tick) {
                socket.wheel_tick = Some(self.wheel.insert(tick, key));
            }
            if self.sockets[index].readable {
                self.unread.push(key);
            }
        }
    }
}
