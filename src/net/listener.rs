//! Listening sockets: bound here, or inherited by number from the process that bound them.

use super::sys;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

/// Bytes that the kernel holds of an answer before it sends them, on a connection of TCP; the rest stays in the outbox,
/// where it is bounded and, sent by reference, shared. The kernel's own bound is its socket buffer: up to 4 MiB that a
/// thousand readers who take nothing would each have filled, at 7 ms of copying.
#[cfg(any(target_os = "linux", target_os = "macos"))]
const HELD_UNSENT: u32 = 128 * 1024;

/// A bound, listening, non-blocking socket.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// The path of a unix socket that this process created.
    path: Option<PathBuf>,
}

impl Listener {
    /// Binds every address that `host` resolves to.
    ///
    /// With `reuse_port` the sockets become members of a `SO_REUSEPORT` group, across which the kernel spreads
    /// connections; without it a port that is in use is an error. Port 0 takes a free one, the same for all.
    ///
    /// # Errors
    /// The resolver's, or `bind(2)`'s.
    pub fn bind(host: &str, port: u16, backlog: i32, reuse_port: bool) -> io::Result<Vec<Self>> {
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in (host, port).to_socket_addrs()? {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let mut bound: Vec<Self> = Vec::new();
        let mut refused = None;
        for mut address in addresses {
            if port == 0
                && let Some(first) = bound
                    .first()
                    .and_then(|l| l.socket.local_addr().ok()?.as_socket())
            {
                address.set_port(first.port());
            }
            match Self::bind_one(address, backlog, reuse_port) {
                Ok(listener) => bound.push(listener),
                // A name may resolve to an address family that this machine does not have.
                Err(e)
                    if e.kind() == io::ErrorKind::AddrNotAvailable
                        || e.raw_os_error() == Some(libc::EAFNOSUPPORT) =>
                {
                    refused = Some(e);
                }
                Err(e) => return Err(e),
            }
        }
        if bound.is_empty() {
            return Err(refused.unwrap_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "the host name has no address")
            }));
        }
        Ok(bound)
    }

    fn bind_one(address: SocketAddr, backlog: i32, reuse_port: bool) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // Connections of an earlier process in TIME_WAIT do not keep the port.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if reuse_port {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&address.into())?;
        if !reuse_port {
            // Later members of this port's group (made by this user only) need the flag on the first socket too.
            socket.set_reuse_port(true)?;
        }
        // Connections inherit it: no call for each of them.
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        socket.set_tcp_notsent_lowat(HELD_UNSENT)?;
        Self::listen(socket, backlog, None)
    }

    /// Binds a unix socket. A socket file that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// `bind(2)`'s; `AddrInUse` if a server answers on it.
    pub fn bind_unix(path: &Path, backlog: i32) -> io::Result<Self> {
        let address = SockAddr::unix(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        if let Err(e) = socket.bind(&address) {
            if e.kind() != io::ErrorKind::AddrInUse {
                return Err(e);
            }
            let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            match probe.connect(&address) {
                Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)?;
                    socket.bind(&address)?;
                }
                _ => return Err(e),
            }
        }
        Self::listen(socket, backlog, Some(path.to_owned()))
    }

    fn listen(socket: Socket, backlog: i32, path: Option<PathBuf>) -> io::Result<Self> {
        socket.listen(backlog)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path })
    }

    /// Takes over an inherited listening socket.
    ///
    /// # Errors
    /// If the descriptor is not an open socket.
    pub fn from_fd(fd: RawFd) -> io::Result<Self> {
        let socket = sys::adopt_socket(fd)?;
        socket.set_nonblocking(true)?;
        socket.set_cloexec(true)?;
        Ok(Self { socket, path: None })
    }

    /// A second handle on the same socket: both accept from the same queue.
    ///
    /// # Errors
    /// `dup(2)`'s.
    pub fn duplicate(&self) -> io::Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
            path: None,
        })
    }

    /// `127.0.0.1:5000`, `[::1]:5000` or `unix:/path`.
    #[must_use]
    pub fn address(&self) -> String {
        let Ok(address) = self.socket.local_addr() else {
            return String::new();
        };
        match (address.as_socket(), address.as_pathname()) {
            (Some(inet), _) => inet.to_string(),
            (None, Some(path)) => format!("unix:{}", path.display()),
            (None, None) => String::from("unix:"),
        }
    }

    #[must_use]
    pub fn is_unix(&self) -> bool {
        self.socket
            .local_addr()
            .is_ok_and(|address| address.is_unix())
    }

    /// The file to remove when the server ends.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Accepts one connection, non-blocking and close-on-exec.
    ///
    /// # Errors
    /// `accept(2)`'s, `WouldBlock` when the queue is empty.
    pub(super) fn accept(&self) -> io::Result<(Socket, SockAddr)> {
        let (socket, peer) = self.socket.accept()?;
        socket.set_nonblocking(true)?;
        Ok((socket, peer))
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
