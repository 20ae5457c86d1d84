//! New connections, and what is done when there is no room for them.

use super::{Reactor, Socket, Timing, WAKER};
use crate::conn::{Conn, Key, Service};
use crate::h1;
use crate::net::socket::Stream;
use mio::unix::SourceFd;
use mio::{Interest, Token};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

/// Connections accepted from one listener in one turn.
pub(super) const ACCEPTS: usize = 128;
/// How long accepting rests when the process is out of descriptors.
pub(super) const REST: Duration = Duration::from_millis(100);

impl<S: Service> Reactor<S> {
    pub(super) fn accept(&mut self, listener: usize) {
        self.accept_some(listener);
    }

    /// Accepts what is queued, within this turn's bound. Returns whether the queue was seen empty.
    pub(super) fn accept_some(&mut self, listener: usize) -> bool {
        if !self.accepting {
            return false;
        }
        for _ in 0..ACCEPTS {
            if self.conns.len() >= self.shared.config.max_connections {
                self.rest();
                return false;
            }
            let Some(from) = self.listeners.get(listener) else {
                return true;
            };
            match from.accept() {
                Ok((socket, peer)) => {
                    // A peer that is gone already leaves nothing to do.
                    let _ = self.admit(socket, &peer);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                Err(e) => match e.raw_os_error() {
                    Some(libc::EMFILE | libc::ENFILE) => {
                        self.turn_away(listener);
                        self.rest();
                        return false;
                    }
                    Some(libc::ENOBUFS | libc::ENOMEM) => {
                        self.rest();
                        return false;
                    }
                    // This connection failed (ECONNABORTED and its kin); the next may not.
                    _ => {}
                },
            }
        }
        self.more_accepts = true;
        false
    }

    /// Out of descriptors: takes what is queued out of the queue and closes it, so that clients see an end.
    pub(super) fn turn_away(&mut self, listener: usize) {
        if self.reserve.take().is_none() {
            return;
        }
        for _ in 0..ACCEPTS {
            match self.listeners[listener].accept() {
                Ok((socket, _)) => self.refuse(&socket),
                Err(_) => break,
            }
        }
        self.reserve = File::open("/dev/null").ok();
    }

    /// Says that there is no room. What the client has sent is read first: closing over it would be a reset.
    pub(super) fn refuse(&mut self, mut socket: &socket2::Socket) {
        let _ = socket.read(self.arena.spare());
        let mut answer = Vec::with_capacity(256);
        h1::encode_error(&mut answer, 503, false, &self.shared.date);
        let _ = socket.write_all(&answer);
        let _ = socket.shutdown(Shutdown::Both);
    }

    pub(super) fn admit(
        &mut self,
        socket: socket2::Socket,
        peer: &socket2::SockAddr,
    ) -> io::Result<()> {
        let (mut stream, address) = Stream::new(socket, peer)?;
        let entry = self.sockets.vacant_entry();
        let index = entry.key();
        stream.register(self.poll.registry(), Token(index))?;
        entry.insert(Socket {
            stream,
            readable: false,
            blocked: false,
            deadline: None,
            request: 0,
            mark: 0,
            written: 0,
            wheel_tick: None,
            timing: Timing::None,
            write_shut: false,
        });
        self.generation = self.generation.wrapping_add(1);
        let mut conn = Conn::new(
            self.shared.config.h1_limits(),
            Arc::new(address),
            self.generation,
        );
        conn.meet(&self.shared.config);
        let at = self.conns.insert(conn);
        debug_assert_eq!(at, index);
        let key = Key {
            index: index as u32,
            generation: self.generation,
        };
        self.time_first_byte(key);
        Ok(())
    }

    pub(super) fn start_accepting(&mut self) -> io::Result<()> {
        if !self.accepting {
            for (i, listener) in self.listeners.iter().enumerate() {
                let token = Token(WAKER.0 - 1 - i);
                self.poll.registry().register(
                    &mut SourceFd(&listener.as_raw_fd()),
                    token,
                    Interest::READABLE,
                )?;
            }
            self.accepting = true;
        }
        Ok(())
    }

    pub(super) fn stop_accepting(&mut self) {
        if self.accepting {
            for listener in &self.listeners {
                let _ = self
                    .poll
                    .registry()
                    .deregister(&mut SourceFd(&listener.as_raw_fd()));
            }
            self.accepting = false;
        }
    }

    pub(super) fn rest(&mut self) {
        self.stop_accepting();
        self.accept_again = Some(self.now + REST);
    }
}
