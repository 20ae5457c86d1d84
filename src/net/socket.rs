//! A connected stream socket, TCP or unix.

use super::sys;
use crate::buf::Sink;
use crate::conn::PeerAddr;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token, event::Source};
use socket2::{SockAddr, SockRef, Socket};
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(super) fn new(socket: Socket, peer: &SockAddr) -> io::Result<(Self, PeerAddr)> {
        let local = socket.local_addr()?;
        if let (Some(peer), Some(local)) = (peer.as_socket(), local.as_socket()) {
            // An answer is one write: waiting for more to send would only delay it.
            socket.set_tcp_nodelay(true)?;
            let stream = TcpStream::from_std(socket.into());
            return Ok((Self::Tcp(stream), PeerAddr::Inet { peer, local }));
        }
        let path = local
            .as_pathname()
            .map(|p| p.display().to_string())
            .unwrap_or_default();
        Ok((
            Self::Unix(UnixStream::from_std(socket.into())),
            PeerAddr::Unix { local: path },
        ))
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => stream.register(registry, token, interest),
            Self::Unix(stream) => stream.register(registry, token, interest),
        }
    }

    /// Closing drops what was not delivered and resets the connection. A unix socket does so anyway.
    pub(super) fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Bytes that were written and that the peer's system has not confirmed, where that can be asked.
    pub(super) fn unsent(&self) -> u64 {
        match self {
            Self::Tcp(stream) => sys::unsent(stream.as_raw_fd()),
            Self::Unix(_) => 0,
        }
    }

    fn descriptor(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of a file that one call sends: what a slow disk takes long for does not keep the reactor for longer.
const PIECE: usize = 256 * 1024;

impl Sink for Stream {
    fn send_file(&mut self, file: &File, offset: u64, most: usize) -> io::Result<usize> {
        let most = most.min(PIECE);
        match sys::send_file(self.descriptor(), file.as_raw_fd(), offset, most)? {
            Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(sent) => Ok(sent),
            None => Through(self).send_file(file, offset, most),
        }
    }
}

/// A stream that takes files through memory.
struct Through<'a>(&'a mut Stream);

impl Write for Through<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Through<'_> {}
