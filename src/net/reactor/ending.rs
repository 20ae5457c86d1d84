//! Orders to end, and the end of a connection.

use super::{Reactor, Timing};
use crate::conn::{Key, Service};
use crate::net::control::Order;
use std::time::Duration;

/// How long an idle connection is kept in a drain: a request that is on its way then meets an answer with
/// `Connection: close`, and not a closed socket.
pub(super) const DRAIN_IDLE: Duration = Duration::from_secs(1);

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
        self.empty_queues();
        for key in self.keys() {
            let socket = &mut self.sockets[key.index as usize];
            socket.readable = true;
            if matches!(socket.timing, Timing::FirstByte | Timing::KeepAlive) {
                // An idle connection has less time from now on.
                socket.timing = Timing::None;
            }
            self.read(key, true);
            if self.alive(key) {
                if self.conns[key.index as usize].go_away() {
                    self.queue(key);
                }
                self.touch(key);
            }
        }
    }

    /// Connections that the kernel completed are ours: they are accepted and answered, not reset. The listeners close
    /// the moment their queues are seen empty; where a bound keeps connections waiting, they stay open for as long.
    pub(super) fn empty_queues(&mut self) {
        if self.listeners.is_empty() {
            return;
        }
        self.more_accepts = false;
        let mut empty = true;
        for listener in 0..self.listeners.len() {
            while !self.accept_some(listener) {
                if !self.more_accepts {
                    empty = false;
                    break;
                }
                self.more_accepts = false;
            }
        }
        if empty {
            self.stop_accepting();
            self.accept_again = None;
            self.listeners.clear();
        }
    }

    pub(super) fn end_drain(&mut self) {
        if let Some(until) = self.drain_until
            && (self.conns.is_empty() && self.listeners.is_empty() || self.now >= until)
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
        if self.sockets[index].write_shut {
            return;
        }
        if self.conns[index].is_read_closed()
            || self.sockets[index].stream.shutdown_write().is_err()
        {
            return self.remove(key);
        }
        self.sockets[index].write_shut = true;
        let mut after = self.shared.config.linger_timeout;
        if self.shared.draining {
            after = after.min(DRAIN_LINGER);
        }
        let deadline = self.now + after;
        let socket = &mut self.sockets[index];
        socket.timing = Timing::Linger;
        socket.deadline = Some(deadline);
        if socket.readable {
            self.unread.push(key);
        }
        self.look_at(key, deadline);
    }
}
